"""The audit of every arm without training: one epoch of draws, and the loss on a fresh network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailscope.core import ExperimentData, Progress, TrainingError
from tailscope.experiment.auditing import REMEDY, Initial, failure, initial_logits, is_allowed, planned_audit
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import fresh_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.preparing import prepare_experiment
from tailscope.training import Job, chosen_accelerator
from tailscope.treatments import judge


@dataclass(frozen=True, eq=False)
class ArmAudit:
    """What one arm would do.

    Args:
        arm: Its label.
        audit: As in ``audit.json`` before training: ``verdict``, ``sentence``, ``checks``, and what they rest on.
        is_allowed: Whether its runs go on although the audit fails, because that was asked for by name.
    """

    arm: str
    audit: dict[str, Any]
    is_allowed: bool


def preview_audits(config: ExperimentConfig, out: Path, progress: Progress) -> tuple[ArmAudit, ...]:
    """Audit every arm with the first seed; nothing is trained, and nothing but the pixel cache is written.

    Args:
        config: The experiment.
        out: Its folder, for the cache of decoded pixels.
        progress: Moves by arms.

    Raises:
        InputError: What ``run`` would refuse before training.
    """
    prepared = prepare_experiment(config, ExperimentFolder(out), progress)
    return tuple(_audits(prepared.config, prepared.data, config.arms, progress))


def require_sound(config: ExperimentConfig, data: ExperimentData, arms: Sequence[str], progress: Progress) -> None:
    """Audit some arms before the first of them is trained, so that no arm waits for its turn to be refused.

    Raises:
        TrainingError: Arms do not do what they say, and nobody asked for that by name; lists all of them.
    """
    failed = [
        failure(one.arm, one.audit)
        for one in _audits(config, data, arms, progress)
        if one.audit["verdict"] == "failed" and not one.is_allowed
    ]
    if failed:
        raise TrainingError("\n".join([*failed, REMEDY]))


def _audits(
    config: ExperimentConfig, data: ExperimentData, arms: Sequence[str], progress: Progress
) -> Iterator[ArmAudit]:
    """Audit arm by arm; all begin from the same network, so it looks at the images once."""
    seed = config.seeds[0]
    network = fresh_network(config, data, seed)
    network.module.to(chosen_accelerator("auto"))
    initial: Initial | None = None
    with progress.task("auditing what the arms plan", len(arms), "arms") as advance:
        for arm in arms:
            treatment = config.treatment(arm).build()
            job = Job(network, treatment(data.counts), data, config.training_of(arm), seed)
            initial = initial or initial_logits(job)
            planned = planned_audit(job, treatment, initial)
            audit = {**judge(planned), **planned}
            yield ArmAudit(arm, audit, is_allowed(config, arm, audit))
            advance(1)
