"""What every validation trains: one small network, always in the same way, told apart by data and seed alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tailscope.core import ExperimentData, child_seed
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.models import MODELS, Network
from tailscope.training import Job, TrainingSettings, fit
from tailscope.treatments import TREATMENTS

LAYER = "layer4"  # of the toy network, 8 × 8 at 64 px
TIED, TUBE = "pneumothorax", "chest_tube"


@dataclass(frozen=True)
class Trainer:
    """The toy network as a validation trains it.

    Args:
        folder: Where caches and states may lie.
        epochs: Passes over the training split.
        lr: Peak learning rate.
        size: Side of the input in pixels.
    """

    folder: Path
    epochs: int = 4
    lr: float = 3e-3
    size: int = 64

    def data(self, source: str, settings: Mapping[str, Any], root: Path | None = None) -> ExperimentData:
        """A data set, ready for an experiment."""
        frame = DataSettings(image_size=(self.size, self.size))
        return prepare(DATASETS.build(source, **settings)(root), frame, self.folder / "cache")

    def train(self, data: ExperimentData, seed: int) -> Network:
        """One network under the control treatment; data and seed decide everything."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(seed, "weights"))
            network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(len(data.classes), 1)
        settings = TrainingSettings(epochs=self.epochs, lr=self.lr)
        job = Job(network, TREATMENTS.build("control")(data.counts), data, settings, seed=seed, accelerator="cpu")
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self.folder) as state:
            fit(job, Path(state))
        print(f"<!-- trained seed {seed} in {time.perf_counter() - begin:.0f} s -->", flush=True)
        return network


def tie(strength: float) -> dict[str, Any]:
    """The setting ``shortcuts`` at a strength; at 0 the tube is free, not avoided."""
    return {TIED: {"artifact": TUBE, "strength": strength}} if strength > 0 else {}
