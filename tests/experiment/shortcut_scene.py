"""Pictures with a bright wire, and a network of which it is known what it reads; for the shortcut audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tailscope.core import ExperimentData, write_json, write_table
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.plan import Run
from tailscope.models import Network, Preprocessing
from tailscope.training import predict

SIDE, IMAGES = 32, 24
GREY, WIRE = 100, 200
CLASSES = ("reader", "dreamer")
RUN = Run("control", 0, "control-s0")


def wire(side: str = "left") -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[6:26, 5:7] = True
    return mask if side == "left" else mask[:, ::-1]


def scene(order: np.ndarray | None = None, **changes: Any) -> ExperimentData:
    """Even test pictures, grey but for the wire on each second; ``order`` shuffles the rows."""
    order = np.arange(IMAGES) if order is None else order
    has_wire = order % 2 == 0
    pixels = np.full((IMAGES, SIDE, SIDE, 1), GREY, dtype=np.uint8)
    pixels[np.ix_(has_wire)] = np.where(wire()[..., None], WIRE, GREY)
    targets = np.stack([order % 3 == 0, order % 4 == 0], axis=1).astype(np.float32)
    targets[order == 2, 0] = np.nan

    def masks(row: int, name: str) -> np.ndarray | None:
        return wire() if name == "wire" and has_wire[row] else None

    content = {
        "name": "scene",
        "classes": CLASSES,
        "image_ids": np.array([f"i{number:02d}" for number in order]),
        "patient_ids": np.array([f"p{number // 2:02d}" for number in order]),
        "split": np.full(IMAGES, "test"),
        "targets": targets,
        "pixels": pixels,
        "annotations": pd.DataFrame(),
        "masks": masks,
        "annotated": np.array([[4, 1]]),
        "fingerprint": "",
        "attributes": {"wire": has_wire, "portable": order % 3 == 0},
    }
    return ExperimentData(**{**content, **changes})


class Reader(nn.Module):
    """``reader`` sums what is brighter than 150, ``dreamer`` the picture with a negative sign where it is darker."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(1, 2, 1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.see.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.see.bias.copy_(torch.tensor([-150 / 255, 150 / 255]))
            self.head.weight.copy_(torch.tensor([[100.0, 0.0], [0.0, 1.0]]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.see(images)).mean(dim=(2, 3)))


def reader() -> Network:
    return Network(Reader().eval(), Preprocessing((0.0,), (1.0,)), {})


def lens(**shortcuts: Any) -> AlignmentLens:
    return AlignmentLens(layer="relu", batch_size=8, shortcuts={"confounders": ("wire",), **shortcuts})


def finished_run(path: Path, network: Network, data: ExperimentData, **record: Any) -> ExperimentFolder:
    """A folder with what the audit reads of a run; ``scale`` in the record's adjustment scales its predictions."""
    folder = ExperimentFolder(path)
    rows = data.rows("test")
    logits = predict(network, data.pixels, rows).astype(np.float64)
    fitted = record.get("adjustment")
    logits = logits if fitted is None else logits * fitted["scale"] + fitted["shift"]
    columns = {"split": "test", "logit": logits.ravel().astype(np.float32)}
    write_table(folder.run(RUN.name) / "predictions.parquet", pd.DataFrame(columns))
    treatment = {"name": "control", "settings": {}}
    write_json(folder.run(RUN.name) / "run.json", {"treatment": treatment, "adjustment": None, **record})
    return folder
