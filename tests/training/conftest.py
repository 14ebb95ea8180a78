from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves test folders off the path

from tailscope.core import ExperimentData


@pytest.fixture(scope="session")
def data() -> ExperimentData:
    """A bright square on noise: class `square`; its mirror has no label; class `bright` is the overall level."""
    rng = np.random.default_rng(0)
    count = 120
    targets = (rng.random((count, 2)) < [0.4, 0.3]).astype(np.float32)
    targets[5, 1] = np.nan
    pixels = rng.normal(90, 25, size=(count, 32, 32, 1))
    pixels[targets[:, 0] == 1, 4:12, 4:12] += 110
    pixels[targets[:, 1] == 1] += 40
    split = np.array(["train"] * 80 + ["val"] * 20 + ["test"] * 20)
    ids = np.array([f"i{number:03d}" for number in range(count)])
    return ExperimentData(
        name="squares",
        classes=("square", "bright"),
        image_ids=ids,
        patient_ids=ids,
        split=split,
        targets=targets,
        pixels=pixels.clip(0, 255).astype(np.uint8),
        annotations=pd.DataFrame(),
        masks=lambda row, name: None,
        annotated=np.zeros((0, 2), np.int64),
        fingerprint="0",
        attributes={"view": np.array(["PA", "AP"] * 60)},
    )
