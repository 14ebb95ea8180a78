"""The audit of every arm without training: one epoch of draws, and the loss on a fresh network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailscope.core import ExperimentData, Progress
from tailscope.experiment.auditing import planned_audit
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import fresh_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.preparing import prepare_experiment
from tailscope.training import Job
from tailscope.treatments import judge


@dataclass(frozen=True, eq=False)
class ArmAudit:
    """What one arm would do.

    Args:
        arm: Its label.
        audit: As in ``audit.json`` before training: ``verdict``, ``sentence``, ``checks``, and what they rest on.
    """

    arm: str
    audit: dict[str, Any]


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
    found = []
    with progress.task("auditing", len(config.arms), "arms") as advance:
        for arm in config.arms:
            found.append(ArmAudit(arm, _audit(prepared.config, prepared.data, arm)))
            advance(1)
    return tuple(found)


def _audit(config: ExperimentConfig, data: ExperimentData, arm: str) -> dict[str, Any]:
    seed = config.seeds[0]
    treatment = config.treatment(arm).build()
    job = Job(fresh_network(config, data, seed), treatment(data.counts), data, config.training_of(arm), seed)
    planned = planned_audit(job, treatment)
    return {**judge(planned), **planned}
