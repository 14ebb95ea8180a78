"""What the tests of extremal perturbation share: the published outputs, and networks whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")


def golden_cases(start: str) -> list[Any]:
    """The cases of the group ``extremal`` whose name starts so; none where ../shared is absent."""
    if not GOLDEN.exists():
        return []
    listed = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))["cases"]
    mine = [case for case in listed if case["group"] == "extremal" and case["name"].startswith(start)]
    return [pytest.param(case, id=case["name"]) for case in mine]


def golden_arrays(file: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / file) as stored:
        return {name: torch.from_numpy(values) for name, values in stored.items()}


class ReadsOnePatch(nn.Module):
    """Logit k is the mean of the image over patch k, and nothing else."""

    def __init__(self, *patches: tuple[slice, slice], gain: float = 10.0) -> None:
        super().__init__()
        self.patches = patches
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * torch.stack(
            [x[:, :, rows, columns].mean(dim=(1, 2, 3)) for rows, columns in self.patches], 1
        )
