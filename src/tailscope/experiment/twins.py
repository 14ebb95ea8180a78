"""A finished run that has the weights which another treatment would train, bit for bit."""

from __future__ import annotations

from tailscope.core import ExperimentData
from tailscope.experiment.bases import repeated_arm
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run, is_fitted, planned_runs
from tailscope.treatments import TreatmentPlan


def finished_twin(
    folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run, plan: TreatmentPlan
) -> Run | None:
    """The finished run of the same seed and training with the treatment that ``plan`` adjusts after it, if any."""
    if plan.after_training is None:
        return None
    base = repeated_arm(config, run.arm, plan.after_training)
    runs = (other for other in planned_runs(config, data) if (other.arm, other.seed) == (base, run.seed))
    return next((other for other in runs if is_fitted(folder, other)), None)
