"""One trial of a search: trained on the training split, scored on validation, recorded so that it is done once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tailscope.core import ExperimentData, TrainingError, read_json, write_json
from tailscope.experiment.config import ExperimentConfig, slug
from tailscope.experiment.fitting import fresh_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import run_hash
from tailscope.experiment.preconditions import treatment_problems
from tailscope.experiment.trials import Trial
from tailscope.models import Network
from tailscope.training import Job, fit, remove_state


def trial_config(config: ExperimentConfig, arm: str, trial: Trial) -> ExperimentConfig:
    """The experiment that one trial is: one arm with the trial's values, the search's seed and its budget."""
    tune, section = config.require_tune(), config.treatment(arm)
    return config.model_copy(
        update={
            "treatments": (section.model_copy(update={"label": arm, "lr": trial.lr, **trial.settings}),),
            "seeds": (tune.seed,),
            "training": replace(config.training, epochs=tune.epochs or config.training.epochs, keep_checkpoints=()),
        }
    )


def trial_problems(
    config: ExperimentConfig, data: ExperimentData, arm: str, trial: Trial, network: Network
) -> list[str]:
    """What stands against a trial, or against the runs that would follow from it; empty if it can be trained."""
    trying = trial_config(config, arm, trial)
    problems = treatment_problems(trying, data, arm, network)
    if not problems and trying.training != config.training:
        problems = treatment_problems(trying.model_copy(update={"training": config.training}), data, arm, network)
    return problems


def without_test(data: ExperimentData) -> ExperimentData:
    """The data with a test split that holds no image and no target, so that a search cannot read any.

    Rows keep their numbers, so augmentations are those of a run.
    """
    is_test = data.split == "test"
    targets = np.where(is_test[:, None], np.float32(np.nan), data.targets)
    return replace(data, split=np.where(is_test, "", data.split), targets=targets)


@dataclass(frozen=True)
class TrialRun:
    """One trial of one arm.

    Args:
        config: The experiment's, as asked.
        data: Its data.
        folder: Its folder.
        arm: The arm's label.
        trial: The trial.
    """

    config: ExperimentConfig
    data: ExperimentData
    folder: ExperimentFolder
    arm: str
    trial: Trial

    def recorded(self) -> dict[str, Any] | None:
        """The record of this very trial; None where it is not finished, or another one stands in its place."""
        if not self._record.exists():
            return None
        record: dict[str, Any] = read_json(self._record)
        return record if record["inputs"] == self._inputs() else None

    def make(self) -> dict[str, Any]:
        """Train, score and record, or take up what was left.

        Returns:
            arm, trial, lr, parameter, value, score (None where there is none), epoch, reason, inputs.
        """
        trial = self.trial
        facts = {"arm": self.arm, "trial": trial.number, "lr": trial.lr, "parameter": trial.parameter}
        inputs = self._inputs()
        state = self._record.with_name(f"{trial.number}-{inputs[:8]}")
        record = {**facts, "value": trial.value, **self._outcome(state), "inputs": inputs}
        write_json(self._record, record)
        for left in self._record.parent.glob(f"{trial.number}-*"):  # of a trial that was replaced as well
            remove_state(left)
        return record

    def _outcome(self, state: Path) -> dict[str, Any]:
        none: dict[str, Any] = {"score": None, "epoch": None}
        config = trial_config(self.config, self.arm, self.trial)
        seed = config.seeds[0]
        network = fresh_network(config, self.data, seed)
        if problems := trial_problems(self.config, self.data, self.arm, self.trial, network):
            return {**none, "reason": problems[0]}
        plan = config.treatment(self.arm).build()(self.data.counts)
        try:
            job = Job(network, plan, without_test(self.data), config.training_of(self.arm), seed)
            best = fit(job, state).best
        except TrainingError as error:
            return {**none, "reason": str(error).split(";")[0]}  # what follows is advice for a run
        return {"score": best.score, "epoch": best.epoch, "reason": ""}

    @property
    def _record(self) -> Path:
        return self.folder.path / "tuning" / slug(self.arm) / f"{self.trial.number}.json"

    def _inputs(self) -> str:
        config = trial_config(self.config, self.arm, self.trial)
        return run_hash(config, self.data, self.arm, config.seeds[0])
