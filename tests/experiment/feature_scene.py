"""A made experiment whose networks are known: features are the colours of the images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tailscope.core import ANNOTATION_COLUMNS, ExperimentData, SilentProgress
from tailscope.experiment.features import write_features
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run
from tailscope.models import Network, Preprocessing

CLASSES = ("mass", "hernia")
COUNTS = {"train": 60, "val": 41, "test": 53}


class Pooled(nn.Module):
    """Mean colours, times a matrix, then a head."""

    def __init__(self, head: nn.Module, mixing: Tensor | None = None) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.eye(3) if mixing is None else mixing)
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.mean(dim=(2, 3)) @ self.mixing)


def made_data() -> ExperimentData:
    """Class ``mass`` is seen in the first colour, ``hernia`` in the second, neither without noise; splits are mixed."""
    rng = np.random.default_rng(0)
    split = rng.permutation(np.repeat(list(COUNTS), list(COUNTS.values())))
    count = len(split)
    targets = (rng.random((count, 2)) < 0.4).astype(np.float32)
    targets[rng.random(targets.shape) < 0.05] = np.nan
    colours = rng.normal(120, 25, (count, 3))
    colours[:, :2] += 30 * np.nan_to_num(targets)
    pixels = np.clip(colours[:, None, None] + rng.normal(0, 5, (count, 4, 4, 3)), 0, 255).astype(np.uint8)
    ids = np.array([f"i{number:03d}" for number in rng.permutation(count)])
    return ExperimentData(
        name="made",
        classes=CLASSES,
        image_ids=ids,
        patient_ids=np.array([f"p{number // 2}" for number in range(count)]),
        split=split,
        targets=targets,
        pixels=pixels,
        annotations=pd.DataFrame(columns=list(ANNOTATION_COLUMNS)),
        masks=lambda row, name: None,
        annotated=np.zeros((0, 2), dtype=np.int64),
        fingerprint="made",
    )


def made_network(seed: int = 0, *, head: nn.Module | None = None, mixing: Tensor | None = None) -> Network:
    """A network with random weights in its head."""
    torch.manual_seed(seed)
    return Network(Pooled(head or nn.Linear(3, 2), mixing), Preprocessing((0.5,) * 3, (0.25,) * 3), {})


def write_run(folder: ExperimentFolder, name: str, network: Network, data: ExperimentData, batch_size: int = 16) -> Run:
    """The features of a run, as if it were finished."""
    run = Run(name.split("-")[0], 0, name)
    weights = folder.run(name) / "weights.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"weights of " + name.encode())
    write_features(folder, run, network, data, batch_size, SilentProgress())
    return run
