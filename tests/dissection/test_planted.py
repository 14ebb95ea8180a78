"""Units planted with a known meaning, each recognised as what it is."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tailscope.dissection import AnnotatedImages, Dissection, DissectionSettings, dissect

SIZE, IMAGES = 32, 80
CLASSES = ("mass", "cardiomegaly", "hernia", "tube")
MASS, TWIN, HEART, PLACE, TUBE, LEFT, RIGHT, DEAD, RARE, *NOISE = range(16)
# At a fraction of 5 % the 0.04 rule can be met by every class, so that position-only units can show.
SETTINGS = DissectionSettings(top_fraction=0.05, splits=4, derangements=199, crossfit_derangements=5, fractions=(0.05,))


def box(y: int, x: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


@lru_cache(maxsize=1)
def planted() -> tuple[NDArray[np.float32], AnnotatedImages]:
    """A mass anywhere, a large heart at its usual place give or take, a hernia left or right, a tube in some images."""
    rng = np.random.default_rng(3)
    masks: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for row in range(30):
        masks[row, 0] = box(*rng.integers(0, SIZE - 8, 2), 7, 8)
    for row in range(20, 50):
        masks[row, 1] = box(16 + rng.integers(-2, 3), 10 + rng.integers(-2, 3), 9, 12)
    for row in range(0, 80, 3):
        masks[row, 2] = box(rng.integers(20, 25), 2 + 18 * (row % 2) + rng.integers(0, 4), 6, 7)
    for row in range(1, 80, 4):
        masks[row, 3] = box(0, rng.integers(0, SIZE - 3), 24, 3)  # its target is nothing but its mask
    targets = np.zeros((IMAGES, len(CLASSES)))
    maps = rng.random((IMAGES, 16, SIZE, SIZE)).astype(np.float32)
    for (row, column), mask in masks.items():
        targets[row, column] = 1
        for unit in ((MASS, TWIN), (HEART,), (LEFT if row % 2 == 0 else RIGHT,), (TUBE,))[column]:
            maps[row, unit] += 2 * mask
    maps[:, PLACE] += 2 * box(16, 10, 9, 12)  # where hearts lie, in every image, large or not
    maps[:, DEAD] = 0.25
    maps[:, RARE] = 0
    maps[7, RARE, 3, 3] = 1
    annotated = np.array(list(masks))
    ids = np.array([f"i{n:02d}" for n in range(IMAGES)])
    images = AnnotatedImages(
        lambda row, name: masks.get((row, CLASSES.index(name))), targets, annotated, np.arange(IMAGES), CLASSES, ids
    )
    return maps, images


@lru_cache(maxsize=1)
def found() -> Dissection:
    return dissect(*planted(), SETTINGS)


def units_with(column: str, name: str) -> list[int]:
    units = found().units
    chosen = units[(units["class"] == name) & units[column]]
    return sorted(chosen["unit"])


@pytest.mark.parametrize(
    ("name", "units"),
    [("mass", [MASS, TWIN]), ("cardiomegaly", [HEART]), ("hernia", [LEFT, RIGHT]), ("tube", [TUBE])],
)
def test_the_detectors_of_a_class_are_the_units_planted_for_it(name: str, units: list[int]) -> None:
    assert units_with("detector", name) == units


def test_a_duplicated_unit_is_as_good_as_its_original() -> None:
    mass = found().units.set_index(["class", "unit"]).loc["mass"]
    assert mass.loc[MASS, "iou_matched"] == mass.loc[TWIN, "iou_matched"] == 1.0
    assert mass.loc[MASS, "p"] == mass.loc[TWIN, "p"] == 1 / 200


def test_each_half_of_a_split_concept_detects_it_with_about_half_of_its_pixels() -> None:
    hernia = found().units.set_index(["class", "unit"]).loc["hernia"]
    assert hernia.loc[[LEFT, RIGHT], "iou_matched"].between(0.3, 0.7).all()


def test_a_unit_at_the_usual_place_whatever_the_image_is_position_only() -> None:
    assert PLACE in units_with("position_only", "cardiomegaly")
    assert not set(units_with("position_only", "cardiomegaly")) & {HEART, DEAD, RARE, *NOISE}
    heart = found().units.set_index(["class", "unit"]).loc["cardiomegaly"]
    assert heart.loc[PLACE, "value"] > 0.04
    assert heart.loc[PLACE, "p"] > 0.05


def test_a_dead_unit_and_a_sparse_one_are_counted_as_such_and_detect_nothing() -> None:
    layer, units = found().layer, found().units
    assert (layer["dead"], layer["sparse"], layer["live"]) == (1, 1, 15)
    assert not units[units["unit"].isin([DEAD, RARE])]["detector"].any()


def test_units_of_noise_detect_nothing() -> None:
    assert not found().units[found().units["unit"].isin(NOISE)]["detector"].any()


def test_the_summary_counts_detectors_coverage_and_redundancy() -> None:
    layer = found().layer
    assert layer["detectors"] == {"mass": 2, "cardiomegaly": 1, "hernia": 2, "tube": 1}
    assert (layer["detectors_total"], layer["coverage"], layer["redundancy"]) == (6, 1.0, 1.5)
    assert layer["position_only"]["cardiomegaly"] >= 1


def test_the_best_unit_of_a_confounder_is_cross_fitted_like_that_of_any_class() -> None:
    fit = found().crossfits["tube"]
    assert not isinstance(fit, str)
    assert set(fit.chosen) == {TUBE}


def test_a_class_that_no_unit_encodes_is_not_covered() -> None:
    maps, images = planted()
    blind = maps.copy()
    blind[:, TUBE] = np.random.default_rng(9).random((IMAGES, SIZE, SIZE))
    layer = dissect(blind, images, SETTINGS).layer
    assert layer["detectors"] == {"mass": 2, "cardiomegaly": 1, "hernia": 2, "tube": 0}
    assert (layer["coverage"], layer["redundancy"]) == (0.75, 5 / 3)


def test_one_more_class_changes_the_adjustment_of_the_others_and_nothing_else() -> None:
    maps, images = planted()
    without = dataclasses.replace(
        images,
        targets=images.targets[:, :3],
        annotated=images.annotated[images.annotated[:, 1] < 3],
        classes=CLASSES[:3],
    )
    fewer, all_four = dissect(maps, without, SETTINGS).units, found().units
    rest = all_four[all_four["class"] != "tube"]
    pd.testing.assert_frame_equal(
        fewer.drop(columns=["p_adjusted", "position_only"]), rest.drop(columns=["p_adjusted", "position_only"])
    )
    assert (fewer["p_adjusted"] <= rest["p_adjusted"]).all()
