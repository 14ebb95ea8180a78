"""Which part each arm plays in the comparison."""

from __future__ import annotations

from dataclasses import dataclass

from tailscope.core import ClassCounts, InputError
from tailscope.experiment.config import ExperimentConfig


@dataclass(frozen=True)
class Roles:
    """The arms by what is compared of them.

    Args:
        compared: Arms whose networks are looked into, control first and the second control last.
        outside: Of these, arms that are outside families and rankings, with the reason.
        monotone: Arms that adjust another arm's logits in a way that changes no ranking, with the reason; they are
            judged by calibration only.
        ensembles: Ensembles, with the arm that each averages.
        again: Of those compared, the second control (A/A), which is held against control alone; None without one.
    """

    compared: tuple[str, ...]
    outside: dict[str, str]
    monotone: dict[str, str]
    ensembles: dict[str, str]
    again: str | None = None


def roles_of(config: ExperimentConfig, counts: ClassCounts) -> Roles:
    """The roles, read from the plans of the treatments (METHODS section 2).

    Raises:
        InputError: Control itself ranks as another treatment by construction.
    """
    plans = {arm: config.treatment(arm).build()(counts) for arm in config.arms}
    same = {arm: plan.same_ranking for arm, plan in plans.items() if plan.same_ranking}
    if config.compare.control in same:
        raise InputError(
            f"`compare.control` is {config.compare.control!r}, which is no treatment of its own "
            f"({same[config.compare.control]}); choose the arm that it rests on"
        )
    monotone = {arm: why for arm, why in same.items() if plans[arm].after_training is not None}
    again = () if config.second_control is None else (config.second_control,)
    compared = (*(arm for arm in config.arms if arm not in monotone), *again)
    outside = {arm: why for arm, why in same.items() if arm not in monotone}
    return Roles(compared, outside, monotone, config.ensembles, config.second_control)
