"""The activations of one run's test images and what was counted of them: scratch files, gone when all is looked at."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core import Progress, digest
from tailscope.experiment.activations import Pass
from tailscope.experiment.kept_evidence import KeptEvidence

_COUNTED = "counted.scratch"


@dataclass(frozen=True, eq=False)
class LayerStore:
    """One pass over the test images for all lenses; killed at any moment, it goes on where it was left.

    Args:
        folder: Of the run.
        seen: The pass.
        inputs: Digest of the weights and of the data.
        label: Of the run, for the progress.
        progress: Moves by images.
    """

    folder: Path
    seen: Pass
    inputs: str
    label: str
    progress: Progress

    @cached_property
    def activations(self) -> dict[str, NDArray[np.float32]]:
        """Layer to (N, U, h, w) of the images; read once."""
        with self.progress.task(f"{self.label}: activations", self.seen.rows.size) as advance:
            found = self.seen.write(self._places, self.inputs, advance)
        return {layer.name: values for layer, values in zip(self.seen.layers, found, strict=True)}

    def kept(self, layer: str, classes: Sequence[str], *settings: object) -> KeptEvidence:
        """What was counted of a layer with these settings; empty at first."""
        place = self.folder / _COUNTED / digest(self.inputs, layer, list(classes), *settings)[:16]
        return KeptEvidence(place, tuple(classes))

    @property
    def _places(self) -> list[Path]:
        return [self.folder / f"activations-{number}.scratch.npy" for number in range(len(self.seen.layers))]


def remove_scratch(folder: Path) -> None:
    """Delete the scratch files of a run, once all that is asked for is written."""
    for place in folder.glob("*.scratch.npy*"):
        place.unlink()
    shutil.rmtree(folder / _COUNTED, ignore_errors=True)
