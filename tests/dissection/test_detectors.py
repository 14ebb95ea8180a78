from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import generator, resize_bilinear
from tailscope.dissection import AnnotatedImages, DissectionSettings, derangements, dissect, matched_set
from tailscope.dissection.detectors import adjusted_over_classes, deranged_best, detector_p, too_few

SIZE = 16


def small_world(seed: int = 0, images: int = 36) -> tuple[NDArray[np.float32], AnnotatedImages]:
    rng = np.random.default_rng(seed)
    drawn = images // 2 - 2
    masks = np.zeros((drawn, SIZE, SIZE), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, SIZE - 6, 2)
        mask[y : y + 5, x : x + 4] = True
    maps = rng.random((images, 3, 4, 4)).astype(np.float32)
    maps[:drawn, 1] += resize_bilinear(masks[:, None].astype(np.float32), (4, 4))[:, 0] * 0.5
    targets = np.zeros((images, 1))
    targets[:drawn] = 1
    annotated = np.stack([np.arange(drawn), np.zeros(drawn, dtype=int)], axis=1)
    ids = np.array([f"i{n:02d}" for n in range(images)])
    return maps, AnnotatedImages(
        lambda row, name: masks[row], targets, annotated, np.arange(images) // 2, ("mass",), ids
    )


def test_p_is_that_of_drawing_the_same_derangements_and_counting_every_pixel() -> None:
    maps, images = small_world()
    settings = DissectionSettings(derangements=60, splits=2, crossfit_derangements=3)
    units = dissect(maps, images, settings).units
    matched = matched_set(images, 0, settings.seed)
    assert matched is not None
    masks = np.zeros((len(matched.rows), SIZE, SIZE), dtype=bool)
    masks[matched.annotated] = matched.bank
    values = resize_bilinear(maps[matched.rows].astype(np.float64), (SIZE, SIZE))
    level = np.sort(values.transpose(1, 0, 2, 3).reshape(3, -1), axis=1)[:, -1 - masks.sum()]
    active = values > level[:, None, None] + 1e-7  # the threshold itself was rounded to float32
    orders = derangements(matched.patients, 60, generator(settings.seed, "dissection", "derangements", "mass"))
    assert orders is not None

    def iou(given: NDArray[np.bool_]) -> NDArray[np.float64]:
        both, either = active & given[:, None], active | given[:, None]
        return np.asarray(both.sum(axis=(0, 2, 3)) / either.sum(axis=(0, 2, 3)))

    best = np.array([iou(masks[order]).max() for order in orders])
    expected = [(1 + (best >= value).sum()) / 61 for value in iou(masks)]
    assert units["iou_matched"].tolist() == pytest.approx(iou(masks).tolist(), abs=1e-12)
    assert units["p"].tolist() == expected
    assert len(set(expected)) > 1


def test_the_null_is_the_best_of_all_units_so_a_unit_pays_for_its_neighbours() -> None:
    pooled, activated = np.array([[2, 0], [0, 4]]), np.array([4, 4])
    assert deranged_best(pooled, activated, 4).tolist() == [2 / 6, 1.0]
    assert deranged_best(pooled[:1], activated[:1], 4).tolist() == [2 / 6, 0.0]


def test_an_equally_good_derangement_counts_against_the_unit() -> None:
    null = np.array([0.1, 0.2, 0.2, 0.4])
    assert detector_p(np.array([0.5, 0.2, 0.0]), null).tolist() == [1 / 5, 4 / 5, 1.0]


def test_classes_are_adjusted_unit_by_unit_and_missing_ones_are_no_members() -> None:
    p = np.array([[0.01, np.nan], [0.02, np.nan], [np.nan, np.nan]])
    adjusted = adjusted_over_classes(p)
    np.testing.assert_array_equal(adjusted, [[0.02, np.nan], [0.02, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize(("classes", "needed"), [(1, 19), (2, 39), (14, 279)])
def test_the_level_can_just_be_reached_with_the_derangements_that_are_asked_for(classes: int, needed: int) -> None:
    assert too_few(needed, classes) == ""
    assert f"at least {needed} are needed" in too_few(needed - 1, classes)
    assert classes / (1 + needed) <= 0.05 < classes / needed


def null_p(worlds: int, units: int = 8, images: int = 12) -> NDArray[np.float64]:
    """(worlds, U) p values of units that answer to fixed places and random ones, while masks are dealt at random."""
    settings = DissectionSettings(derangements=99, splits=1, crossfit_derangements=1, fractions=(0.05,))
    found = []
    for seed in range(worlds):
        rng = np.random.default_rng(1000 + seed)
        maps = rng.random((images, units, 4, 4)).astype(np.float32)
        maps[:, : units // 2, 1, 2] += 1  # position alone
        y, x = rng.integers(0, 10, (2, images))
        rows, columns = np.mgrid[:SIZE, :SIZE]
        masks = [(abs(rows - a - 3) < 3) & (abs(columns - b - 3) < 3) for a, b in zip(y, x, strict=True)]
        annotated = np.stack([np.arange(images), np.zeros(images, dtype=int)], axis=1)
        ids = np.array([f"i{n:02d}" for n in range(images)])
        world = AnnotatedImages(
            lambda row, name, masks=masks: masks[row], np.ones((images, 1)), annotated, np.arange(images), ("a",), ids
        )
        found.append(dissect(maps, world, settings).units["p"].to_numpy())
    return np.array(found)


def test_on_reassigned_masks_any_detector_is_as_rare_as_promised_and_p_is_uniform() -> None:
    smallest = null_p(240).min(axis=1)
    # Binomial(240, 0.05): mean 12, standard deviation 3.4; more than 21 has a probability of 0.5 %.
    assert (smallest <= 0.05).sum() <= 21
    # Uniform up to the steps of 1/100: the largest gap of 240 draws exceeds 1.63 / sqrt(240) in 1 % of the cases.
    ordered, n = np.sort(smallest), len(smallest)
    gap = np.max(np.abs(ordered - (np.arange(n) + 0.5) / n))
    assert gap < 1.63 / np.sqrt(n) + 0.01
