"""Does a training offer what a treatment needs? Asked before it starts, with a remedy where it does not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tailscope.core.records import ClassCounts
from tailscope.treatments.plan import ASCENT, BOTH_SIDES, LEARNS, POSITIVES, SINGLE_LABEL, TreatmentPlan

LEAST_CHANCE = 0.5  # a requirement on the batch that fails in most batches is not met
LARGEST_BATCH = 2**30
MOST_NAMED = 10  # classes in one sentence


@dataclass(frozen=True, eq=False)
class TrainingFacts:
    """What a training offers, as far as it is known beforehand.

    Args:
        class_counts: Of the training split.
        targets: (N, K) of the training split, in {0, 1, NaN}.
        draw_weights: (N,) with which the plan draws the images in its first stage, None for each once per epoch.
        batch_size: Images per step.
        optimizer: ``"adam"``, ``"adamw"`` or ``"sgd"``.
        lr: Peak learning rate of the network.
        steps: Steps of the whole training.
        mean_lr_share: Mean of the schedule relative to its peak, in [0, 1]; 1 for a constant rate.
        attributes: (N,) columns of the image table that the samplers of later stages name.
    """

    class_counts: ClassCounts
    targets: NDArray[np.floating]
    draw_weights: NDArray[np.float64] | None
    batch_size: int
    optimizer: str
    lr: float
    steps: int
    mean_lr_share: float
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)


Check: TypeAlias = Callable[[TreatmentPlan, TrainingFacts], str | None]


def unmet_requirements(plan: TreatmentPlan, facts: TrainingFacts) -> list[str]:
    """What a treatment needs and this training does not offer; empty if it offers everything.

    Args:
        plan: All its stages are looked at, each with the share of the training that it has.
        facts: The training.

    Returns:
        One sentence per unmet requirement: what is needed, what was found, what to do.

    Example:
        >>> from torch.nn import BCEWithLogitsLoss
        >>> targets = np.array([[1.0], [0.0], [0.0], [0.0]])
        >>> counts = ClassCounts.from_targets(("mass",), targets)
        >>> facts = TrainingFacts(counts, targets, None, 2, "adam", 1e-3, 10, 1.0)
        >>> print(*unmet_requirements(TreatmentPlan(BCEWithLogitsLoss(), requirements=("positives_in_batch",)), facts))
        a batch needs a positive of any class; 43.8 % of the batches of 2 hold one, expected at least 50 %: raise
        `batch_size` to 3 or more, or draw rare positives more often by a `sampler`, e.g. class_aware_sampling
    """
    first: dict[str, float] = {}
    for start, stage, own in _stages(plan, facts):
        for problem in _problems(stage, own):
            first.setdefault(problem, start)
    return [
        f"from {_percent(start)} of the training on, {problem}" if start else problem
        for problem, start in first.items()
    ]


def _stages(plan: TreatmentPlan, facts: TrainingFacts) -> Iterator[tuple[float, TreatmentPlan, TrainingFacts]]:
    """Each stage with its start, and with the draw weights and the steps that are its own."""
    ends = [start for start, _ in plan.stages[1:]] + [1.0]
    for (start, stage), end in zip(plan.stages, ends, strict=True):
        own = replace(facts, steps=max(round((end - start) * facts.steps), 1))
        if start > 0:
            own = replace(own, draw_weights=stage.draw_weights(facts.targets, dict(facts.attributes)))
        yield start, stage, own


def _problems(plan: TreatmentPlan, facts: TrainingFacts) -> Iterator[str]:
    for name in plan.requirements:
        if name not in CHECKS:
            yield (
                f"training does not know the requirement {name!r}; it knows {', '.join(sorted(CHECKS))}: "
                "use another treatment, or correct its `requirements`"
            )
        elif problem := CHECKS[name](plan, facts):
            yield problem


def _always_met(plan: TreatmentPlan, facts: TrainingFacts) -> None:
    """The parameters of a loss are trained and saved in every training."""


def _both_sides(plan: TreatmentPlan, facts: TrainingFacts) -> str | None:  # noqa: ARG001 - the signature of a check
    positive, negative = _shares(facts.targets == 1, facts), _shares(facts.targets == 0, facts)
    chances = chance_of_both(positive, negative, facts.batch_size)
    poor = [int(c) for c in np.argsort(chances, kind="stable") if chances[c] < LEAST_CHANCE]
    if not poor:
        return None
    found = ", ".join(f"{facts.class_counts.names[c]!r} in {_percent(chances[c])}" for c in poor[:MOST_NAMED])
    found += f" and {len(poor) - MOST_NAMED} more" if len(poor) > MOST_NAMED else ""
    sizes = [_least_batch(partial(chance_of_both, positive[c], negative[c])) for c in poor]
    return (
        f"each class needs a positive and a negative in the batch; of the batches of {facts.batch_size}, these hold "
        f"both too seldom: {found}, expected at least {_percent(LEAST_CHANCE)}: {_larger_batch(max(sizes))}"
        f"{_or_sampler(facts)}"
    )


def _positives(plan: TreatmentPlan, facts: TrainingFacts) -> str | None:  # noqa: ARG001 - the signature of a check
    share = float(_shares((facts.targets == 1).any(axis=1), facts))
    chance = _chance_of_any(share, facts.batch_size)
    if chance >= LEAST_CHANCE:
        return None
    return (
        f"a batch needs a positive of any class; {_percent(chance)} of the batches of {facts.batch_size} hold one, "
        f"expected at least {_percent(LEAST_CHANCE)}: "
        f"{_larger_batch(_least_batch(partial(_chance_of_any, share)))}{_or_sampler(facts)}"
    )


def _single_label(plan: TreatmentPlan, facts: TrainingFacts) -> str | None:  # noqa: ARG001 - the signature of a check
    known = ~np.isnan(facts.targets).any(axis=1)
    wrong = np.flatnonzero(~known | (np.sum(facts.targets == 1, axis=1) != 1))
    if not wrong.size:
        return None
    return (
        "a soft-max needs all labels of every training image, exactly one of them positive; "
        f"{wrong.size} of {len(facts.targets)} images have not, the first is row {wrong[0]} of the training split: "
        "choose `form: sigmoid`, or `data.labels` and `data.classes` that give one label per image"
    )


def _dual_reach(plan: TreatmentPlan, facts: TrainingFacts) -> str | None:
    # A step of SGD is the rate times the gradient, which depends on the data: nothing is known beforehand.
    if facts.optimizer not in ("adam", "adamw"):
        return None
    margin = getattr(plan.loss, "margin", None)
    if not isinstance(margin, int | float):
        return "the dual variable must be able to reach the loss's `margin`; the loss has none: give it that attribute"
    rate = facts.lr if plan.parameter_lr is None else plan.parameter_lr
    reach = rate * facts.mean_lr_share * facts.steps  # a step of Adam is at most about its learning rate
    if reach >= margin:
        return None
    return (
        f"the dual variable must be able to reach the margin {margin:g}; in {facts.steps} steps of at most {rate:g}, "
        f"{facts.mean_lr_share:.2g} of it on average, it comes to {reach:.2g}: raise `parameter_lr` to "
        f"{_up(margin / (facts.mean_lr_share * facts.steps))} or more, or train more epochs"
    )


CHECKS: dict[str, Check] = {
    LEARNS: _always_met,
    BOTH_SIDES: _both_sides,
    POSITIVES: _positives,
    SINGLE_LABEL: _single_label,
    ASCENT: _dual_reach,
}


def chance_of_both(positive: Any, negative: Any, batch_size: int) -> NDArray[np.float64]:
    """The chance that a batch holds a positive and a negative, in [0, 1].

    Images are drawn independently, which for draws without replacement errs on the low side.

    Args:
        positive: Share of the draws that are positive, a number or an array; unknown labels are on neither side.
        negative: Share that is negative, alike.
        batch_size: Images drawn.

    Example:
        >>> float(chance_of_both(0.5, 0.5, 2))
        0.5
    """
    neither = np.maximum(1 - positive - negative, 0)
    return np.asarray(1 - (1 - positive) ** batch_size - (1 - negative) ** batch_size + neither**batch_size)


def _chance_of_any(share: float, batch_size: int) -> float:
    return float(1 - (1 - share) ** batch_size)


def _shares(chosen: NDArray[np.bool_], facts: TrainingFacts) -> NDArray[np.float64]:
    """Share of the draws on which something holds, from (N,) or (N, K)."""
    weights = np.ones(len(chosen)) if facts.draw_weights is None else facts.draw_weights
    return np.asarray(weights @ chosen / weights.sum())


def _least_batch(chance: Callable[[int], Any]) -> int:
    """The least batch size with a sufficient chance; ``LARGEST_BATCH`` where none suffices."""
    return bisect_left(range(LARGEST_BATCH), LEAST_CHANCE, key=chance)


def _larger_batch(size: int) -> str:
    if size >= LARGEST_BATCH:
        return "no batch is large enough, because an image of that kind is never drawn"
    return f"raise `batch_size` to {size} or more"


def _or_sampler(facts: TrainingFacts) -> str:
    if facts.draw_weights is None:
        return ", or draw rare positives more often by a `sampler`, e.g. class_aware_sampling"
    return ", or take a `sampler` that draws the classes more evenly"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _up(number: float) -> str:
    """Two digits, rounded up, so that the advice is enough."""
    digit = 10.0 ** (np.floor(np.log10(number)) - 1)
    return f"{np.ceil(number / digit - 1e-9) * digit:.2g}"
