"""Two classifiers with one AUROC; alignment names the one that looks at the chest tube."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from tailscope.alignment import METRICS, score_pairs
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import ExperimentData
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.experiment.annotated import annotated_test_pairs
from tailscope.experiment.map_making import Question, maps_of
from tailscope.models import MODELS, Network
from tailscope.performance import auroc
from tailscope.training import Job, TrainingSettings, fit, predict
from tailscope.treatments import TREATMENTS

PHANTOM = {
    "train": 1200,
    "val": 200,
    "test": 400,
    "subtlety": 0.5,
    "prevalence": {"pneumothorax": 0.35, "effusion": 0.2},
    "minimum_positives": 20,
}
TIE = {"pneumothorax": {"artifact": "chest_tube", "strength": 1.0}}


@dataclass(frozen=True)
class Look:
    """AUROC for pneumothorax on the tied test set, and excess of the map inside the lesion and inside the tube."""

    auroc: float
    lesion: NDArray[np.float64]
    tube: NDArray[np.float64]


def phantom(cache: Path, **settings) -> ExperimentData:
    return prepare(DATASETS.build("phantom", **PHANTOM, **settings)(None), DataSettings(image_size=(64, 64)), cache)


def trained(data: ExperimentData, folder: Path) -> Network:
    torch.manual_seed(0)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(len(data.classes), 1)
    plan = TREATMENTS.build("control")(data.counts)
    fit(Job(network, plan, data, TrainingSettings(epochs=6, lr=3e-3), seed=0, accelerator="cpu"), folder)
    return network


def look(network: Network, data: ExperimentData) -> Look:
    number = data.classes.index("pneumothorax")
    rows = data.rows("test")
    score = auroc(predict(network, data.pixels, rows), data.targets[rows])[number]
    pairs = annotated_test_pairs(data)
    pairs = np.array([pair for pair in pairs if pair[1] == number and data.mask(pair[0], "chest_tube").any()])
    maps = maps_of(Question(ATTRIBUTIONS.build("gradcam", layer="layer4"), network, data, pairs, 64))
    excess = {}
    for name in ("pneumothorax", "chest_tube"):
        masks = np.stack([data.mask(row, name) for row in pairs[:, 0]])
        table = score_pairs(maps, masks, data.patient_ids[pairs[:, 0]], {"inside": METRICS.build("mass_inside")})
        excess[name] = table["excess"].to_numpy()
    return Look(float(score), excess["pneumothorax"], excess["chest_tube"])


@pytest.fixture(scope="module")
def looks(tmp_path_factory) -> tuple[Look, Look]:
    """The classifier trained with the tie, and the one without, both on the tied test set."""
    folder = tmp_path_factory.mktemp("shortcut")
    tied = phantom(folder / "cache", shortcuts=TIE, test_shortcuts="tied")
    free = phantom(folder / "cache", shortcuts={})
    return look(trained(tied, folder / "tied"), tied), look(trained(free, folder / "free"), tied)


@pytest.mark.slow
def test_at_equal_auroc_alignment_names_the_classifier_that_looks_at_the_tube(looks):
    tied, free = looks
    assert min(tied.auroc, free.auroc) > 0.97
    assert abs(tied.auroc - free.auroc) < 0.02  # the margin of equivalence
    assert tied.tube.mean() > free.tube.mean()
    assert wilcoxon(tied.tube, free.tube, alternative="greater").pvalue < 0.01
    assert wilcoxon(tied.lesion, free.lesion, alternative="less").pvalue < 0.01
