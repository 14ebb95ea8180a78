from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from shortcut_scene import RUN, finished_run
from torch import nn

from tailscope.core import ExperimentData, InputError, SilentProgress
from tailscope.dissection import AnnotatedImages, iou_matched, matched_set
from tailscope.dissection.causes import CAUSE_METRICS, Causes, CauseSettings
from tailscope.experiment.cause_samples import cause_samples
from tailscope.experiment.causes import CAUSES, SeenLayer, causes_path, measure_causes, read_causes
from tailscope.experiment.class_records import write_class_records
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.models import Network, Preprocessing
from tailscope.training import image_batches

SIDE, IMAGES, OTHERS = 16, 48, 6
CLASSES = ("mass", "nodule", "hernia")
SETTINGS = CauseSettings(detectors=1, splits=4)
DRAWN = {"mass": range(0, 40, 2), "nodule": range(1, 33, 2), "hernia": range(44, 48)}


def patch(row: int, name: str) -> NDArray[np.bool_]:
    y, x = np.random.default_rng([row, CLASSES.index(name)]).integers(0, SIDE - 6, 2)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[y : y + 5, x : x + 6] = True
    return mask


def scene() -> ExperimentData:
    """Masses in the red channel, nodules in the green, noise in the blue; the first rows are of another split."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (OTHERS + IMAGES, SIDE, SIDE, 3))
    targets = np.zeros((OTHERS + IMAGES, 3), dtype=np.float32)
    annotated = []
    for number, (name, rows) in enumerate(DRAWN.items()):
        for row in rows:
            pixels[OTHERS + row, patch(row, name), number] += 150
            targets[OTHERS + row, number] = 1
            annotated.append((OTHERS + row, number))

    def masks(row: int, name: str) -> NDArray[np.bool_] | None:
        return patch(row - OTHERS, name) if name in DRAWN and row - OTHERS in DRAWN[name] else None

    ids = np.array([f"i{number:02d}" for number in range(OTHERS + IMAGES)])
    return ExperimentData(
        "scene", CLASSES, ids, ids, np.array(["train"] * OTHERS + ["test"] * IMAGES), targets, pixels.astype(np.uint8),
        pd.DataFrame(), masks, np.array(annotated), "",
    )  # fmt: skip


class Sum(nn.Module):
    """The head of a network, hidden from who looks for one."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = head.weight, head.bias

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.weight.T + self.bias


def network(*, hidden: bool = False) -> Network:
    """Units of mass and nodule, and six of noise; the head uses the unit of the mass, and not that of the nodule."""
    see, head = torch.zeros(8, 3), torch.zeros(3, 8)
    see[0, 0], see[1, 1], see[2:, 2] = 1, 1, torch.linspace(0.5, 1.5, 6)
    head[0, 0], head[1, 2:5], head[2, 5:] = 5.0, 1.0, -1.0
    bias = torch.tensor([0.0, 0.0, *torch.linspace(0, -0.2, 6).tolist()])
    conv, linear = nn.Conv2d(3, 8, 1), nn.Linear(8, 3)
    for tensor, values in ((conv.weight, see[:, :, None, None]), (conv.bias, bias), (linear.weight, head)):
        tensor.data = values.clone()
    last = Sum(linear) if hidden else linear
    module = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    return Network(module.eval(), Preprocessing((0.0,) * 3, (1.0,) * 3), {})


def seen(asked: Network, data: ExperimentData, **changes: Any) -> SeenLayer:
    rows = data.rows("test")
    with torch.no_grad():
        maps = asked.module[:2](next(image_batches(asked, data.pixels, rows, IMAGES))[1]).numpy()
    annotated = data.annotated - [OTHERS, 0]
    images = AnnotatedImages(
        lambda row, name: data.masks(int(rows[row]), name), data.targets[rows], annotated, data.patient_ids[rows],
        data.classes, data.image_ids[rows],
    )  # fmt: skip
    return replace(SeenLayer("0", maps, images, batch_size=8, settings=SETTINGS), **changes)


def measured(path: Any, asked: Network, *, record: dict[str, Any] | None = None, **changes: Any) -> ExperimentFolder:
    data = scene()
    folder = finished_run(path, asked, data, **(record or {}))
    measure_causes(folder, RUN, asked, data, seen(asked, data, **changes), SilentProgress())
    return folder


def values(folder: ExperimentFolder) -> pd.Series:
    return folder.table(CAUSES, (RUN.name,)).set_index(["class", "metric"])["value"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return measured(tmp_path_factory.mktemp("causes"), network())


def test_the_unit_that_the_head_uses_is_a_cause_and_the_one_it_ignores_is_none(folder: ExperimentFolder) -> None:
    found = read_causes(folder, RUN.name, CLASSES)
    assert (found["mass"].detectors == 0).all()
    assert (found["nodule"].detectors == 1).all()
    assert values(folder)["mass", "specificity_over_random"] > 0.5
    assert values(folder)["mass", "other_drop"] == pytest.approx(0, abs=1e-5)
    assert values(folder)["nodule", "own_drop"] == pytest.approx(0, abs=1e-5)


def test_the_table_says_what_the_records_say_and_why_a_class_has_none(folder: ExperimentFolder) -> None:
    table = folder.table(CAUSES, (RUN.name,))
    assert set(table["run"]) == {RUN.name}
    assert set(table["layer"]) == {"0"}
    assert set(table["m"]) == {1}
    assert set(table["method"]) == {"weight × activation"}
    assert set(table["metric"]) == {*CAUSE_METRICS, "importance", "random_importance"}
    for name, found in read_causes(folder, RUN.name, CLASSES).items():
        for metric in CAUSE_METRICS:
            assert values(folder)[name, metric] == pytest.approx(found.value(metric), rel=1e-12)
    hernia = table[table["class"] == "hernia"]
    assert hernia["value"].isna().all()
    assert set(hernia["reason"]) == {"4 annotated patients; at least 7 are needed"}
    assert set(table.loc[table["class"] != "hernia", "reason"]) == {""}


def test_rows_are_rows_of_the_test_split(folder: ExperimentFolder) -> None:
    found = read_causes(folder, RUN.name, CLASSES)
    assert {name: sorted(record.rows.tolist()) for name, record in found.items()} == {
        name: list(DRAWN[name]) for name in ("mass", "nodule")
    }


def test_importance_is_weight_times_mean_absolute_activation(folder: ExperimentFolder) -> None:
    maps = seen(network(), scene()).activations
    assert values(folder)["mass", "importance"] == pytest.approx(5 * np.abs(maps[:, 0]).mean(), rel=1e-5)
    assert values(folder)["mass", "random_importance"] == 0  # no other unit has a weight for it


def test_the_drop_of_one_unit_is_its_weighted_excess_over_the_mean(folder: ExperimentFolder) -> None:
    maps, found = (
        seen(network(), scene()).activations[:, 0].astype(float),
        read_causes(folder, RUN.name, CLASSES)["mass"],
    )
    logit = 5 * maps.mean(axis=(1, 2))
    for half in range(8):
        there = np.isin(np.arange(IMAGES), found.rows[found.scored[half]])
        assert there.sum() == found.scored[half].sum()
        # the half's standard deviation is over all its test images, so it is read back from one image
        falls = found.falls[0, half, found.scored[half]]
        excess = logit[found.rows[found.scored[half]]] - logit.mean()
        np.testing.assert_allclose(falls / falls[0], excess / excess[0], rtol=1e-4)


def test_running_the_rest_gives_what_the_closed_form_gives(folder: ExperimentFolder, tmp_path: Any) -> None:
    other = measured(tmp_path, network(hidden=True))
    assert set(other.table(CAUSES, (RUN.name,))["method"]) == {"gradient × activation"}
    for name in ("mass", "nodule"):
        one, two = (read_causes(where, RUN.name, CLASSES)[name] for where in (folder, other))
        assert one.detectors.tolist() == two.detectors.tolist()
        np.testing.assert_allclose(two.falls[:2], one.falls[:2], rtol=1e-4, atol=1e-5)


def test_the_batch_size_changes_nothing(tmp_path: Any) -> None:
    asked = network(hidden=True)
    one, two = (measured(tmp_path / str(size), asked, batch_size=size) for size in (1, 64))
    np.testing.assert_allclose(values(one), values(two), rtol=1e-4, atol=1e-5)


def test_what_dissection_counted_is_taken_over(folder: ExperimentFolder, tmp_path: Any) -> None:
    given = seen(network(), scene())
    known: dict[str, Any] = {}
    for number, name in enumerate(CLASSES[:2]):
        matched = matched_set(given.images, number, 0)
        assert matched is not None
        masks = np.zeros((len(matched.rows), SIDE, SIDE), dtype=bool)
        masks[matched.annotated] = matched.bank
        level = iou_matched(given.activations[matched.rows], masks).threshold
        known[name] = SimpleNamespace(matched=matched, matched_threshold=level)

    def refuse(row: int, name: str) -> None:
        assert name == "hernia"

    other = measured(tmp_path, network(), known=known, images=replace(given.images, masks=refuse))
    both = ["mass", "nodule"]
    pd.testing.assert_series_equal(values(other)[both], values(folder)[both])


def test_logits_are_those_of_the_predictions(folder: ExperimentFolder, tmp_path: Any) -> None:
    """Scale and shift of a fitted adjustment are in both the drop and the standard deviation."""
    record = {"adjustment": {"scale": [2.0, 0.5, 3.0], "shift": [1.0, 0.0, -4.0]}}
    other = measured(tmp_path, network(), record=record)
    np.testing.assert_allclose(values(other), values(folder), rtol=1e-4, atol=1e-5)


def test_classes_that_are_not_the_networks_are_refused(tmp_path: Any) -> None:
    given = seen(network(), scene())
    images = replace(given.images, classes=("nodule", "mass", "hernia"), annotated=np.zeros((0, 2), dtype=int))
    with pytest.raises(InputError, match="must have the network's classes first, mass, nodule, hernia; got nodule"):
        measured(tmp_path, network(), images=images)


def test_a_class_without_annotation_is_named(tmp_path: Any) -> None:
    given = seen(network(), scene())
    other = measured(tmp_path, network(), images=replace(given.images, annotated=np.zeros((0, 2), dtype=int)))
    assert set(other.table(CAUSES, (RUN.name,))["reason"]) == {"no annotated test image"}
    assert read_causes(other, RUN.name, CLASSES) == {}
    assert causes_path(other, RUN.name).exists()


GRID = RunGrid(("control", "focal"), (0, 1), ("c0", "c1", "f0", "f1"))


def split() -> TestSet:
    data = scene()
    rows = data.rows("test")
    groups = ("head", "medium", "tail")
    return TestSet(CLASSES, groups, data.image_ids[rows], data.patient_ids[rows], data.targets[rows], 30, 0)


def drawn(seed: int) -> Causes:
    rng = np.random.default_rng(seed)
    rows = np.array(DRAWN["mass"])
    scored = rng.random((4, len(rows))) < 0.5
    units = np.zeros((4, 1), dtype=np.int64)
    return Causes(rows, scored, units, units, rng.normal(size=(4, *scored.shape)) * scored)


def test_samples_are_the_scores_of_every_run_and_resample(tmp_path: Any) -> None:
    folder, test = ExperimentFolder(tmp_path), split()
    records = {run: {"mass": drawn(number), "nodule": "no live unit"} for number, run in enumerate(GRID.names)}
    for number, (run, found) in enumerate(records.items()):
        table = [
            {"run": run, "class": "mass", "metric": "specificity", "value": 1.0, "reason": ""},
            {"run": run, "class": "nodule", "metric": "specificity", "value": np.nan, "reason": "no live unit"},
            {"run": run, "class": "hernia", "metric": "specificity", "value": np.nan, "reason": "none drawn"},
        ]
        kept = {**found, "nodule": drawn(9)} if number else found  # one run without is enough
        write_class_records(causes_path(folder, run), CLASSES, kept)
        write_evidence(folder.evidence(CAUSES, run), pd.DataFrame(table))
    samples = {(cell.metric, cell.class_name): cell for cell in cause_samples(test, GRID, folder)}
    assert {metric for metric, _ in samples} == {"ablation_specificity", "ablation_specificity_over_random"}
    weights = test.draw(np.isin(np.arange(IMAGES), DRAWN["mass"])[:, None]).multiplicity[:, DRAWN["mass"]]
    for name, metric in (("ablation_specificity", "specificity"), ("ablation_specificity_over_random",) * 2):
        cell = samples[name, "mass"]
        kind: Any = metric.replace("ablation_", "")
        assert (cell.lens, cell.direction, cell.n, cell.patients, cell.reason) == ("dissection", None, 20, 20, "")
        one = [records[run]["mass"].value(kind) for run in GRID.names]
        np.testing.assert_allclose(cell.values, np.reshape(one, (2, 2)), rtol=1e-12)
        resampled = np.stack([records[run]["mass"].score(weights, kind) for run in GRID.names])
        np.testing.assert_allclose(cell.resampled, resampled.reshape(2, 2, -1).mean(axis=1), rtol=1e-12)
        assert samples[name, "nodule"].reason == "no live unit"
        assert samples[name, "hernia"].reason == "none drawn"
        np.testing.assert_array_equal(samples[name, "macro"].values, cell.values)


def test_records_come_back_as_they_were_written(tmp_path: Any) -> None:
    folder, record = ExperimentFolder(tmp_path), drawn(3)
    write_class_records(causes_path(folder, "c0"), CLASSES, {"hernia": record, "mass": "why not"})
    found = read_causes(folder, "c0", CLASSES)
    assert list(found) == ["hernia"]
    for field in fields(Causes):
        np.testing.assert_array_equal(getattr(found["hernia"], field.name), getattr(record, field.name))
