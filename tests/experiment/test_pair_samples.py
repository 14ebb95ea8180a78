from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.experiment.pair_samples import LensMetric, class_samples
from tailscope.experiment.shortcut_samples import shortcut_samples
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.stats import resampled_mean

RNG = np.random.default_rng(4)
IMAGES = 40
GRID = RunGrid(("control", "focal"), (0, 1), ("c0", "c1", "f0", "f1"))
METRIC = LensMetric("alignment", "on_tube", "lower", nothing="nothing")


@pytest.fixture
def test_set():
    ids = np.array([f"i{number:02d}" for number in range(IMAGES)])
    patients = np.array([f"p{number // 2}" for number in range(IMAGES)])
    targets = (RNG.random((IMAGES, 2)) < 0.4).astype(np.float32)
    return TestSet(("mass", "hernia"), ("head", "tail"), ids, patients, targets, resamples=50, seed=0)


def evidence(images, name="mass", metric="on_tube"):
    records = [
        {"run": run, "image_id": f"i{image:02d}", "class": name, "metric": metric, "excess": RNG.normal()}
        for run in GRID.names
        for image in images
    ]
    return pd.DataFrame(records)


def test_values_and_resamples_are_means_over_the_pairs(test_set):
    table = evidence(range(0, IMAGES, 2))
    found = class_samples(test_set, GRID, METRIC, table, absent="absent")[0]
    draws = test_set.draw(np.isin(test_set.image_ids, table["image_id"])[:, None])
    by_run = {run: part.set_index("image_id")["excess"].sort_index() for run, part in table.groupby("run")}
    rows = np.searchsorted(test_set.image_ids, by_run["f1"].index)
    np.testing.assert_allclose(found.values[1, 1], by_run["f1"].mean())
    expected = [resampled_mean(by_run[run].to_numpy(), rows, draws.multiplicity) for run in ("f0", "f1")]
    np.testing.assert_allclose(found.resampled[1], np.mean(expected, axis=0), rtol=1e-12)
    assert (found.n, found.patients) == (20, 20)


def test_a_pair_without_a_value_in_one_run_is_left_out_of_all(test_set):
    table = evidence(range(10))
    table.loc[(table["run"] == "c1") & (table["image_id"] == "i03"), "excess"] = np.nan
    found = class_samples(test_set, GRID, METRIC, table, absent="absent")[0]
    assert found.n == 9
    rest = table[table["image_id"] != "i03"]
    np.testing.assert_allclose(found.values[1, 0], rest.loc[rest["run"] == "f0", "excess"].mean())


def test_a_class_without_rows_or_values_says_why(test_set):
    table = evidence(range(10)).assign(excess=np.nan)
    reasons = [cell.reason for cell in class_samples(test_set, GRID, METRIC, table, absent="absent")]
    assert reasons == ["nothing", "absent"]


def test_the_order_of_the_rows_changes_nothing(test_set):
    table = evidence(range(0, IMAGES, 3))
    first = class_samples(test_set, GRID, METRIC, table, absent="absent")[0]
    second = class_samples(test_set, GRID, METRIC, table.sample(frac=1, random_state=0), absent="absent")[0]
    np.testing.assert_array_equal(first.resampled, second.resampled)


def test_the_shortcut_audit_is_exploratory_lower_is_better_and_has_no_means_over_classes(test_set):
    metrics, names = ("on_tube", "removal_of_tube"), ("mass", "hernia")
    table = pd.concat([evidence(range(30), name, metric) for metric in metrics for name in names])
    cells = list(shortcut_samples(test_set, GRID, table))
    assert [(cell.metric, cell.class_name) for cell in cells] == [
        ("on_tube", "mass"), ("on_tube", "hernia"), ("removal_of_tube", "mass"), ("removal_of_tube", "hernia"),
    ]  # fmt: skip
    assert {(cell.lens, cell.direction) for cell in cells} == {("alignment", "lower")}


def test_an_empty_audit_gives_no_samples(test_set):
    assert list(shortcut_samples(test_set, GRID, evidence([]).reindex(columns=["run", "metric", "class"]))) == []
