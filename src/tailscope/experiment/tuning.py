"""The same small search for every arm, on validation data only: its trials, its table, and the arms that follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from tailscope.core import ExperimentData, InputError, Progress, TrainingError, write_table
from tailscope.experiment.bases import bases_of, follow_bases
from tailscope.experiment.config import ExperimentConfig, TreatmentSection
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.trial_runs import TrialRun, trial_problems
from tailscope.experiment.trials import TRIALS, Trial, best_trial, edge_of, trials_of
from tailscope.models import Network

COLUMNS = ("arm", "trial", "lr", "parameter", "value", "score", "epoch", "selected", "at_edge", "reason")

Records = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Search:
    """The search of one experiment.

    Args:
        config: As asked; its ``tune`` is not None.
        data: The experiment's data; a trial is handed them without the test split.
        folder: Where trials are recorded.
    """

    config: ExperimentConfig
    data: ExperimentData
    folder: ExperimentFolder

    @cached_property
    def bases(self) -> dict[str, str]:
        """Arms that are not searched, because they rest on another arm and take what it got."""
        return bases_of(self.config, self.data.counts)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that are searched."""
        return tuple(arm for arm in self.config.arms if arm not in self.bases)

    def trials(self, arm: str) -> tuple[Trial, ...]:
        """The trials of one arm, around its own learning rate where it states one."""
        lr = self.config.training_of(arm).lr
        return trials_of(self.config.treatment(arm), lr, self.config.require_tune().lr_range)

    def problems(self, network: Network) -> list[str]:
        """Arms of which no trial can be trained, one sentence each."""
        first = {arm: self._problem(arm, network) for arm in self.arms}
        return [
            f"arm {arm!r}: none of its {TRIALS} trials can be trained: {problem}"
            for arm, problem in first.items()
            if problem
        ]

    def missing(self) -> int:
        """How many trials are not recorded."""
        return sum(run.recorded() is None for arm in self.arms for run in self._runs(arm))

    def conduct(self, progress: Progress) -> Records:
        """Make every trial that is not recorded.

        Returns:
            Arm to the records of its trials.

        Raises:
            TrainingError: No trial of an arm gave a score.
        """
        records: Records = {}
        with progress.task("search", TRIALS * len(self.arms), "trials") as advance:
            for arm in self.arms:
                records[arm] = []
                for run in self._runs(arm):
                    records[arm].append(run.recorded() or run.make())
                    advance(1)
                progress.say(f"search: {arm}: {self._line(arm, records[arm])}")
        return records

    def recorded(self) -> Records | None:
        """The records of all trials; None where one is missing."""
        found = {arm: [run.recorded() for run in self._runs(arm)] for arm in self.arms}
        if any(record is None for records in found.values() for record in records):
            return None
        return {arm: [record for record in records if record is not None] for arm, records in found.items()}

    def treatments(self, records: Records) -> tuple[TreatmentSection, ...]:
        """The arms with what was chosen for them; they keep their names."""
        chosen = {arm: self._section(arm, self._chosen(arm, records[arm])) for arm in self.arms}
        return follow_bases(self.config, self.bases, chosen)

    def table(self, records: Records) -> pd.DataFrame:
        """One row per trial, with columns :data:`COLUMNS`; ``at_edge`` is text, empty but for chosen trials."""
        rows = []
        for arm in self.arms:
            chosen, trials = self._chosen(arm, records[arm]), self.trials(arm)
            for record in records[arm]:
                is_chosen = record["trial"] == chosen.number
                rows.append({**record, "selected": is_chosen, "at_edge": edge_of(chosen, trials) if is_chosen else ""})
        table = pd.DataFrame(rows)[list(COLUMNS)]
        return table.astype({"value": "float64", "score": "float64", "epoch": "Int64"})

    def _problem(self, arm: str, network: Network) -> str:
        """What stands against the first trial; empty where any can be trained."""
        first = ""
        for trial in self.trials(arm):
            problems = trial_problems(self.config, self.data, arm, trial, network)
            if not problems:
                return ""
            first = first or problems[0]
        return first

    def _runs(self, arm: str) -> list[TrialRun]:
        return [TrialRun(self.config, self.data, self.folder, arm, trial) for trial in self.trials(arm)]

    def _chosen(self, arm: str, records: list[dict[str, Any]]) -> Trial:
        scores = {record["trial"]: record["score"] for record in records if record["score"] is not None}
        chosen = best_trial(self.trials(arm), scores)
        if chosen is None:
            raise TrainingError(
                f"arm {arm!r}: none of the {TRIALS} trials of the search gave a score, the first because "
                f"{records[0]['reason']}; lower `training.lr` or the arm's own `lr`, or leave the arm out"
            )
        return chosen

    def _section(self, arm: str, chosen: Trial) -> TreatmentSection:
        return self.config.treatment(arm).model_copy(update={"label": arm, "lr": chosen.lr, **chosen.settings})

    def _line(self, arm: str, records: list[dict[str, Any]]) -> str:
        chosen = self._chosen(arm, records)
        score = next(record["score"] for record in records if record["trial"] == chosen.number)
        failed = sum(record["score"] is None for record in records)
        lost = f"; {failed} of {TRIALS} trials gave no score" if failed else ""
        return f"{chosen} (validation AUROC {score:.3f}){lost}"


def search_problems(
    config: ExperimentConfig, data: ExperimentData, folder: ExperimentFolder, network: Network
) -> list[str]:
    """What stands against the search that was asked for, one sentence each; empty without one."""
    return [] if config.tune is None else Search(config, data, folder).problems(network)


def tuned_treatments(
    config: ExperimentConfig, data: ExperimentData, folder: ExperimentFolder, progress: Progress, *, may_train: bool
) -> tuple[TreatmentSection, ...]:
    """The arms as the search leaves them; its table goes to ``tuning.parquet``.

    Raises:
        InputError: No search was asked for, or trials are missing and none may be trained.
        TrainingError: No trial of an arm gave a score.
    """
    search = Search(config, data, folder)
    if not may_train and (missing := search.missing()):
        raise InputError(
            f"{missing} of {TRIALS * len(search.arms)} trials of the search are not finished; "
            f"finish them: tailscope run {folder.config} --out {folder.path}"
        )
    records = search.conduct(progress)
    table = search.table(records)
    write_table(folder.path / "tuning.parquet", table)
    _say_edges(table, progress)
    return search.treatments(records)


def _say_edges(table: pd.DataFrame, progress: Progress) -> None:
    at_edge = table[table["at_edge"] != ""]
    if len(at_edge):
        told = "; ".join(f"{arm} ({text})" for arm, text in zip(at_edge["arm"], at_edge["at_edge"], strict=True))
        progress.say(f"search: at the edge of its range, so something beyond may be better: {told}")
