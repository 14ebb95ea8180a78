"""Squares on noise, and networks of which it is known whether they have seen them; for the trajectory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from tailscope.core import ExperimentData
from tailscope.models import Network, Preprocessing

SIDE, IMAGES, CELL = 48, 72, 8
CLASSES = ("square", "ghost")


def squares() -> ExperimentData:
    """Test images, one per patient: `square` is bright and annotated where it lies; `ghost` is a label alone."""
    rng = np.random.default_rng(3)
    targets = np.zeros((IMAGES, 2), dtype=np.float32)
    targets[::3, 0] = 1
    targets[:, 1] = rng.random(IMAGES) < 0.5
    corners = CELL * rng.integers(0, SIDE // CELL - 1, size=(IMAGES, 2))
    masks = np.zeros((IMAGES, SIDE, SIDE), dtype=bool)
    for mask, (top, left) in zip(masks[::3], corners[::3], strict=True):
        mask[top : top + 2 * CELL, left : left + 2 * CELL] = True
    pixels = rng.normal(90, 20, size=(IMAGES, SIDE, SIDE)) + 100 * masks
    ids = np.array([f"i{number:02d}" for number in range(IMAGES)])
    return ExperimentData(
        name="squares",
        classes=CLASSES,
        image_ids=ids,
        patient_ids=ids,
        split=np.full(IMAGES, "test"),
        targets=targets,
        pixels=pixels.clip(0, 255).astype(np.uint8)[..., None],
        annotations=pd.DataFrame(),
        masks=lambda row, name: masks[row] if name == "square" and targets[row, 0] == 1 else None,
        annotated=np.stack([np.arange(0, IMAGES, 3), np.zeros(IMAGES // 3, dtype=np.int64)], axis=1),
        fingerprint="squares",
    )


def network(*, sees: bool) -> Network:
    """Six units on a grid of cells, of noise; where the network ``sees``, the first answers to bright cells."""
    torch.manual_seed(0)  # by chance, one draw of filters in twenty holds a "detector"
    module = nn.Sequential()
    module.add_module("filters", nn.Conv2d(1, 6, CELL, stride=CELL))
    module.add_module("units", nn.ReLU())
    module.add_module("pool", nn.AdaptiveAvgPool2d(1))
    module.add_module("flat", nn.Flatten())
    module.add_module("head", nn.Linear(6, 2))
    with torch.no_grad():
        filters = module.get_submodule("filters")
        filters.weight -= filters.weight.mean(dim=(2, 3), keepdim=True)  # blind to brightness
        filters.bias.zero_()
        if sees:
            filters.weight[0] = 1 / CELL**2
            filters.bias[0] = -0.5
            head = module.get_submodule("head")
            head.weight.zero_()
            head.weight[0, 0] = 1
    return Network(module.eval(), Preprocessing((0.0,), (1.0,)), {"source": "planted"})
