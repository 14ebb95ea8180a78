"""What every map is measured against, in a finished experiment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.alignment import METRICS, REFERENCE_MAPS, ReferenceScene
from tailscope.core import SilentProgress, resize_bilinear
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.preparing import prepare_experiment
from tailscope.experiment.reading import load_config
from tailscope.experiment.saliency import maps_path


@pytest.fixture(scope="module")
def pairs(finished) -> AnnotatedPairs:
    folder = ExperimentFolder(finished.path)
    return AnnotatedPairs.of(prepare_experiment(load_config(folder.config), folder, SilentProgress()).data)


@pytest.fixture(scope="module")
def rows(finished) -> pd.DataFrame:
    table = finished.table("alignment")
    return table[table["metric"] == "mass_inside"].reset_index(drop=True)


def mass(saliency: np.ndarray, pairs: AnnotatedPairs) -> dict[tuple[str, str], float]:
    """Value of one map on every pair's annotation."""
    metric, found = METRICS.build("mass_inside"), {}
    for row, number in pairs.table.tolist():
        name = pairs.data.classes[number]
        found[str(pairs.data.image_ids[row]), name] = float(metric(saliency, pairs.data.mask(row, name)))
    return found


def test_excess_over_the_centre_is_the_value_less_that_of_the_hill(rows, pairs) -> None:
    expected = mass(REFERENCE_MAPS.build("centre_gaussian")(ReferenceScene((64, 64))), pairs)
    for _, row in rows.iterrows():
        known = row["value"] - expected[row["image_id"], row["class"]]
        assert row["excess_centre_gaussian"] == pytest.approx(known, abs=1e-6)


def test_the_mean_annotation_is_that_of_the_training_images(rows, pairs) -> None:
    data, name = pairs.data, "effusion"
    every = data.annotated.reshape(-1, 2)
    train = [row for row, number in every.tolist() if data.classes[number] == name and data.split[row] == "train"]
    mean = np.mean([data.mask(row, name) for row in train], axis=0)
    expected = mass(mean, pairs)
    of_class = rows[rows["class"] == name]
    for _, row in of_class.iterrows():
        known = row["value"] - expected[row["image_id"], name]
        assert row["excess_class_mean_annotation"] == pytest.approx(known, abs=1e-6)


def test_every_pair_has_every_reference(rows) -> None:
    names = ("centre_gaussian", "class_mean_annotation", "edge", "random", "untrained", "other_map")
    assert rows[[f"excess_{name}" for name in names]].notna().all().all()


def test_arms_of_one_seed_are_measured_against_one_untrained_network(rows) -> None:
    known = rows.assign(untrained=rows["value"] - rows["excess_untrained"])
    spread = known.groupby(["image_id", "class"])["untrained"].agg(lambda values: values.max() - values.min())
    assert spread.max() < 1e-12


def test_the_map_of_another_class_lies_below_the_pairs_own(finished, rows, pairs) -> None:
    metric = METRICS.build("mass_inside")
    run = rows["run"].iloc[0]
    maps = np.load(maps_path(ExperimentFolder(finished.path), run, "gradcam"))
    assert len(maps) == 2 * len(pairs)
    row, number = pairs.table[3].tolist()
    name = pairs.data.classes[number]
    value = float(metric(resize_bilinear(maps[len(pairs) + 3], (64, 64)), pairs.data.mask(row, name)))
    mine = rows[(rows["run"] == run) & (rows["image_id"] == pairs.data.image_ids[row]) & (rows["class"] == name)].iloc[
        0
    ]
    assert mine["excess_other_map"] == pytest.approx(mine["value"] - value, abs=1e-6)


def test_sizes_are_thirds_of_all_pairs(rows) -> None:
    one = rows[rows["run"] == rows["run"].iloc[0]]
    smallest, largest = (one.loc[one["size"] == size, "area"] for size in ("small", "large"))
    assert smallest.max() < largest.min()
    assert set(one["size"]) == {"small", "medium", "large"}


def test_saliency_on_other_classes_is_on_what_was_drawn_of_them_alone(finished, pairs) -> None:
    table = finished.table("alignment")
    others = table[table["metric"] == "on_other_classes"]
    images = pd.Series(pairs.image_ids).value_counts()
    assert set(others["image_id"]) == set(images[images > 1].index)
    group = pairs.on_other_classes
    for place, (row, number) in enumerate(group.pairs.tolist()):
        assert not (group.masks.dense([place])[0] & pairs.data.mask(row, pairs.data.classes[number])).any()


def test_localization_has_every_limit_for_every_pair(finished, pairs) -> None:
    table = finished.table("localization")
    one = table[table["run"] == table["run"].iloc[0]]
    counts = one.groupby(["overlap", "at"]).size()
    assert counts.tolist() == [len(pairs)] * 12
    assert one.groupby("overlap")["at"].nunique().to_dict() == {"iou": 7, "iobb": 5}
    wide = one.pivot_table(index=["image_id", "class", "overlap"], columns="at", values="value")
    assert (wide.diff(axis=1).fillna(0) <= 0).all().all()  # asking for more overlap localises no more
