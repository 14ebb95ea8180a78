"""A finished run that has the weights which another treatment would train, bit for bit."""

from __future__ import annotations

from tailscope.core import ExperimentData
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run, planned_runs
from tailscope.treatments import TreatmentPlan


def finished_twin(
    folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run, plan: TreatmentPlan
) -> Run | None:
    """The finished run of the same seed and training with the treatment that ``plan`` adjusts after it, if any."""
    if plan.after_training is None:
        return None
    name, settings = plan.after_training.base
    for other in planned_runs(config, data):
        same = other.seed == run.seed and config.treatment(other.arm).is_stated_as({"name": name, **settings})
        alike = config.training_of(other.arm) == config.training_of(run.arm)
        if same and alike and (folder.run(other.name) / "run.json").exists():
            return other
    return None
