"""Where everything of one experiment lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tailscope.core import digest, read_json, write_json, write_table


@dataclass(frozen=True)
class ExperimentFolder:
    """Paths inside an experiment folder; the layout is the one of the documentation.

    Args:
        path: The folder.
        trained: The folder whose runs are looked at, where it is another: networks are tested on further data sets in
            folders of their own.
    """

    path: Path
    trained: Path | None = None

    @property
    def config(self) -> Path:
        """The configuration as resolved."""
        return self.path / "experiment.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, hardware, seeds, fingerprints, the analysis plan."""
        return self.path / "provenance.json"

    @property
    def timings(self) -> Path:
        """Seconds per stage, apart from the provenance, because they differ each time."""
        return self.path / "timings.json"

    @property
    def findings(self) -> Path:
        """Every finding with its statistics."""
        return self.path / "findings.parquet"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def cache(self) -> Path:
        """Decoded pixels, unless the configuration names another place."""
        return self.path / "cache"

    def data(self, table: str) -> Path:
        """One of the data tables."""
        return self.path / "data" / f"{table}.parquet"

    def run(self, run: str) -> Path:
        """What the training of one run left."""
        return (self.trained or self.path) / "runs" / run

    def predictions(self, run: str) -> Path:
        """What one run predicts for the validation and the test images."""
        return self.scratch(run) / "predictions.parquet"

    def scratch(self, run: str) -> Path:
        """Where files lie while one run is looked at."""
        return self.path / "runs" / run

    def other_test(self, name: str) -> ExperimentFolder:
        """Where the same runs are tested on another data set."""
        return ExperimentFolder(self.path / "test_on" / name, trained=self.path)

    def evidence(self, lens: str, run: str) -> Path:
        """The table of one lens for one run."""
        return self.path / "evidence" / lens / f"part-{run}.parquet"

    def evidence_file(self, lens: str, name: str) -> Path:
        """A further file of one lens: maps, counts per image."""
        return self.path / "evidence" / lens / name

    def table(self, lens: str, runs: tuple[str, ...]) -> pd.DataFrame:
        """The evidence of some runs, one below the other."""
        return pd.concat([pd.read_parquet(self.evidence(lens, run)) for run in runs], ignore_index=True)


@dataclass(frozen=True)
class Stage:
    """One piece of work that is skipped when its inputs are unchanged and its outputs are there.

    Args:
        marker: Where the hash of the inputs is kept.
        outputs: What the work leaves behind.
        inputs: Hash of all that the result depends on.
    """

    marker: Path
    outputs: tuple[Path, ...]
    inputs: str

    @classmethod
    def of(cls, marker: Path, outputs: tuple[Path, ...], *inputs: object) -> Stage:
        """A stage whose inputs are hashed by content."""
        return cls(marker, outputs, digest(*inputs))

    @property
    def is_done(self) -> bool:
        """Whether the outputs are there and were made from these inputs."""
        if not self.marker.exists() or not all(path.exists() for path in self.outputs):
            return False
        return bool(read_json(self.marker)["inputs"] == self.inputs)

    def finish(self) -> None:
        """Note that the outputs are whole; called after the last one was written."""
        write_json(self.marker, {"inputs": self.inputs})


def write_evidence(path: Path, table: pd.DataFrame) -> None:
    """Write a lens's table with the columns that all lenses share first, unused ones null."""
    shared = ("run", "image_id", "class", "method", "metric", "layer", "unit", "value", "reference", "reason")
    whole = table.copy()
    for name in shared:
        if name not in whole:
            whole[name] = None
    write_table(path, whole[[*shared, *(name for name in table.columns if name not in shared)]])
