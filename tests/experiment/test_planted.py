"""A network whose unit k fires exactly on concept k: the unit lens must say so, through the whole stage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tailscope.core import ANNOTATION_COLUMNS, ExperimentData, SilentProgress
from tailscope.experiment.activations import Pass
from tailscope.experiment.concept_images import concept_images
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.layer_store import LayerStore
from tailscope.experiment.lens_config import DissectionLens
from tailscope.experiment.plan import Run
from tailscope.experiment.units import SeenUnits, look_at_units, read_crossfits
from tailscope.models import Network, Preprocessing, find_layer

SIDE, COUNT = 48, 160
CLASSES = ("disc", "bar")
RANDOM_UNIT = 2


class Planted(nn.Module):
    """Units 0 and 1 are the masks of the two concepts, unit 2 is noise; all at mask resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Conv2d(3, 3, 1, bias=False)
        self.head = nn.Linear(3, 2)
        with torch.no_grad():
            self.units.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.units(images).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def data() -> ExperimentData:
    """Channel k of an image is the mask of concept k; the third is noise. Each image is a patient."""
    rng = np.random.default_rng(0)
    targets = (rng.random((COUNT, 2)) < 0.4).astype(np.float32)
    pixels = rng.integers(0, 256, size=(COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    pixels[..., :2] = 0
    y, x = np.mgrid[:SIDE, :SIDE]
    masks: dict[tuple[int, str], np.ndarray] = {}
    for row in range(COUNT):
        centre = rng.integers(12, SIDE - 12, size=2)
        shapes = (
            (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= 49,
            (abs(x - centre[1]) <= 3) & (abs(y - centre[0]) <= 11),
        )
        for number, mask in enumerate(shapes):
            if targets[row, number] == 1:
                masks[row, CLASSES[number]] = mask
                # Graded, as activations are: a unit of one value has no top fraction.
                pixels[row, mask, number] = rng.integers(128, 256, size=int(mask.sum()))
    ids = np.array([f"i{row:03d}" for row in range(COUNT)])
    return ExperimentData(
        name="planted",
        classes=CLASSES,
        image_ids=ids,
        patient_ids=ids,
        split=np.full(COUNT, "test"),
        targets=targets,
        pixels=pixels,
        annotations=pd.DataFrame(columns=list(ANNOTATION_COLUMNS)),
        masks=lambda row, name: masks.get((row, name)),
        annotated=np.argwhere(targets == 1),
        fingerprint="planted",
    )


@pytest.fixture(scope="module")
def units(data, tmp_path_factory) -> tuple[pd.DataFrame, ExperimentFolder]:
    folder = ExperimentFolder(tmp_path_factory.mktemp("planted"))
    run = Run("control", 0, "planted")
    folder.run(run.name).mkdir(parents=True)
    network = Network(Planted(), Preprocessing((0.0,) * 3, (1.0,) * 3), {})
    lens, layers = DissectionLens(layer="units"), (find_layer(network.module, (3, SIDE, SIDE), "units"),)
    seen = Pass(network, layers, data.pixels, data.rows("test"), lens.batch_size)
    store = LayerStore(folder.run(run.name), seen, "planted", run.name, SilentProgress())
    images = concept_images(data, confounders=lens.confounders)
    kept = {"units": store.kept("units", images.classes)}
    look_at_units(folder, run, data, lens, SeenUnits(images, store.activations, kept), SilentProgress())
    return pd.read_parquet(folder.evidence("dissection", run.name)), folder


def value(table: pd.DataFrame, metric: str, name: str, unit: int) -> float:
    chosen = table[(table["metric"] == metric) & (table["class"] == name) & (table["unit"] == unit)]
    return float(chosen["value"].iloc[0])


@pytest.mark.parametrize("number", [0, 1])
def test_the_planted_unit_matches_its_concept(units, number):
    assert value(units[0], "iou_matched", CLASSES[number], number) >= 0.95


@pytest.mark.parametrize("number", [0, 1])
def test_its_fixed_fraction_iou_stands_at_the_attainable_cap(units, number):
    table = units[0]
    cap = table.loc[(table["metric"] == "iou") & (table["class"] == CLASSES[number]), "attainable"].iloc[0]
    assert 0.02 < cap < 0.5
    assert value(table, "iou", CLASSES[number], number) == pytest.approx(cap, rel=0.1)


@pytest.mark.parametrize("number", [0, 1])
def test_a_random_unit_stays_near_chance(data, units, number):
    rows = np.flatnonzero(data.targets[:, number] == 1)
    share = sum(data.mask(row, CLASSES[number]).sum() for row in rows) / (2 * rows.size * SIDE * SIDE)
    assert value(units[0], "iou_matched", CLASSES[number], RANDOM_UNIT) == pytest.approx(share / (2 - share), rel=0.15)


@pytest.mark.parametrize("number", [0, 1])
def test_the_other_concepts_unit_does_not_match(units, number):
    assert value(units[0], "iou_matched", CLASSES[number], 1 - number) < 0.3


@pytest.mark.parametrize("number", [0, 1])
def test_the_cross_fit_finds_the_planted_unit(units, number):
    fit = read_crossfits(units[1], "planted", CLASSES)[CLASSES[number]]
    assert set(fit.chosen.tolist()) == {number}
    assert fit.best >= 0.95
    assert fit.value > 0.7
