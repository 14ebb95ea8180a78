from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import (
    AnnotatedImages,
    CrossFit,
    Dissection,
    DissectionSettings,
    activation_thresholds,
    dissect,
    iou_matched,
    matched_set,
)

SIZE, IMAGES, UNITS = 16, 60, 6
CLASSES = ("mass", "nodule", "hernia")
SETTINGS = DissectionSettings(
    top_fraction=0.02, splits=4, derangements=99, crossfit_derangements=5, fractions=(0.02, 0.1)
)


def world(planted: bool = True) -> tuple[NDArray[np.float32], AnnotatedImages]:
    """Unit 1 is the mask of `mass`, unit 2 that of `nodule`, unit 5 is dead; `hernia` is never annotated."""
    rng = np.random.default_rng(0)
    targets = np.zeros((IMAGES, 3))
    targets[:20, 0] = targets[10:34, 1] = targets[0:5, 2] = 1
    targets[40:44, 0] = np.nan
    targets[44:48, 1] = 1
    masks: dict[tuple[int, str], NDArray[np.bool_]] = {}
    for index, rows in ((0, range(20)), (1, range(10, 34))):
        for row in rows:
            y, x = rng.integers(0, SIZE - 5, 2)
            masks[row, CLASSES[index]] = np.zeros((SIZE, SIZE), dtype=bool)
            masks[row, CLASSES[index]][y : y + 4, x : x + 5] = True
    maps = rng.random((IMAGES, UNITS, SIZE, SIZE)).astype(np.float32)
    for (row, name), mask in masks.items():
        maps[row, 1 + CLASSES.index(name)] += 2 * planted * mask
    maps[:, 5] = 0.5
    annotated = np.array([(row, CLASSES.index(name)) for row, name in masks])
    patients = np.arange(IMAGES) // 2
    ids = np.array([f"i{n:03d}" for n in range(IMAGES)])
    return maps, AnnotatedImages(lambda row, name: masks.get((row, name)), targets, annotated, patients, CLASSES, ids)


def permuted(images: AnnotatedImages, order: NDArray[np.int64]) -> AnnotatedImages:
    where = np.argsort(order)
    return AnnotatedImages(
        lambda row, name: images.masks(int(order[row]), name),
        images.targets[order],
        np.stack([where[images.annotated[:, 0]], images.annotated[:, 1]], axis=1)[::-1],
        images.patients[order],
        images.classes,
        images.image_ids[order],
    )


def fit_of(found: Dissection, name: str) -> CrossFit:
    fit = found.crossfits[name]
    assert isinstance(fit, CrossFit)
    return fit


def test_planted_units_are_found_at_the_concepts_own_area_but_not_at_a_fixed_fraction() -> None:
    maps, images = world()
    units = dissect(maps, images, SETTINGS).units.set_index(["class", "unit"])
    for name, unit in (("mass", 1), ("nodule", 2)):
        row = units.loc[(name, unit)]
        assert row["iou_matched"] == 1.0
        assert row["value"] < 0.8
        assert units.loc[name]["iou_matched"].drop(unit).max() < 0.2


def test_cross_fitted_best_of_a_planted_unit_is_one_and_beats_its_null() -> None:
    maps, images = world()
    fit = fit_of(dissect(maps, images, SETTINGS), "mass")
    assert fit.chosen.tolist() == [1] * 8
    assert fit.best == 1.0
    assert fit.value == pytest.approx(1.0 - fit.null)
    assert fit.null < 0.3


def test_cross_fitted_best_of_random_units_is_near_its_null() -> None:
    maps, images = world(planted=False)
    assert abs(fit_of(dissect(maps, images, SETTINGS), "mass").value) < 0.03


def test_matched_columns_equal_iou_matched_on_the_matched_set() -> None:
    maps, images = world(planted=False)
    units = dissect(maps, images, SETTINGS).units
    matched = matched_set(images, 1, SETTINGS.seed)
    assert matched is not None
    masks = np.zeros((len(matched.rows), SIZE, SIZE), dtype=bool)
    masks[matched.annotated] = matched.bank
    expected = iou_matched(maps[matched.rows], masks)
    found = units[units["class"] == "nodule"]
    assert found["iou_matched"].tolist() == expected.value.tolist()
    assert found["matched_threshold"].tolist() == expected.threshold.tolist()


def test_fixed_fraction_pools_annotated_and_negative_images_only() -> None:
    maps, images = world()
    thresholds = activation_thresholds(maps, SETTINGS.top_fraction)
    active = resize_bilinear(maps, (SIZE, SIZE)) > thresholds[:, None, None]
    for index in (0, 1):
        drawn = {int(row) for row, column in images.annotated if column == index}
        pool = sorted(drawn | set(np.flatnonzero(images.targets[:, index] == 0)))
        masks = np.zeros((IMAGES, SIZE, SIZE), dtype=bool)
        for row in drawn:
            mask = images.masks(row, CLASSES[index])
            assert mask is not None
            masks[row] = mask
        both = (active & masks[:, None])[pool].sum(axis=(0, 2, 3))
        either = (active | masks[:, None])[pool].sum(axis=(0, 2, 3))
        units = dissect(maps, images, SETTINGS).units
        found = units[units["class"] == CLASSES[index]]
        np.testing.assert_allclose(found["value"], both / either, rtol=1e-12)
        share = masks[pool].mean()
        np.testing.assert_allclose(found["attainable"], min(share, 0.02) / max(share, 0.02), rtol=1e-12)


def test_a_concept_far_from_the_fraction_is_not_attainable_for_any_unit() -> None:
    maps, images = world()
    found = dissect(maps, images, dataclasses.replace(SETTINGS, top_fraction=0.001))
    assert set(found.units[found.units["class"] == "mass"]["reason"]) == {"not attainable"}
    assert found.layer["above_rule"] == {"mass": None, "nodule": None, "hernia": None}
    assert np.isnan(found.layer["above_rule_coverage"])


def test_a_class_without_annotation_keeps_its_rows_and_says_why() -> None:
    maps, images = world()
    found = dissect(maps, images, SETTINGS)
    hernia = found.units[found.units["class"] == "hernia"]
    assert len(hernia) == UNITS
    assert hernia[["value", "iou_matched", "attainable", "matched_threshold"]].isna().all(axis=None)
    assert hernia[["p", "p_adjusted"]].isna().all(axis=None)
    assert set(hernia["reason"]) == set(hernia["p_reason"]) == {"no annotated test image"}
    assert found.layer["detectors"]["hernia"] is None
    assert found.layer["reasons"] == {"mass": "", "nodule": "", "hernia": "no annotated test image"}
    assert found.crossfits["hernia"] == "no annotated test image"


def test_too_few_annotated_patients_are_a_reason_not_a_number() -> None:
    maps, images = world()
    fewer = dataclasses.replace(images, annotated=np.array([[row, 0] for row in range(12)]))
    found = dissect(maps, fewer, SETTINGS)
    assert found.crossfits["mass"] == "6 annotated patients; at least 7 are needed"
    assert found.layer["reasons"]["mass"] == found.crossfits["mass"]
    assert found.units["p"].isna().all()
    assert not found.units["detector"].any()
    assert np.isnan(found.layer["coverage"])


def test_one_annotated_image_gives_values_and_says_that_it_cannot_be_tested() -> None:
    maps, images = world()
    found = dissect(maps, dataclasses.replace(images, annotated=np.array([[3, 0]])), SETTINGS)
    mass = found.units[found.units["class"] == "mass"]
    assert mass["iou_matched"].max() == 1.0
    assert found.layer["reasons"]["mass"] == "1 annotated patients; at least 7 are needed"
    assert found.counts["reason"].tolist() == ["no annotated image of another patient"]


def test_derangements_too_few_for_the_level_are_a_reason_not_a_failure_of_the_units() -> None:
    maps, images = world()
    found = dissect(maps, images, dataclasses.replace(SETTINGS, derangements=38))
    assert found.layer["detectors"] == {"mass": None, "nodule": None, "hernia": None}
    assert found.layer["reasons"]["mass"] == (
        "38 derangements cannot reach 5 % among 2 classes; at least 39 are needed"
    )
    enough = dissect(maps, images, dataclasses.replace(SETTINGS, derangements=39))
    assert enough.layer["detectors"] == {"mass": 1, "nodule": 1, "hernia": None}


def test_the_cross_fit_keeps_its_derangements_whatever_the_detectors_need() -> None:
    maps, images = world()
    few, many = (dissect(maps, images, dataclasses.replace(SETTINGS, derangements=r)) for r in (2, 60))
    assert fit_of(few, "mass").null_union.tolist() == fit_of(many, "mass").null_union.tolist()
    assert len(fit_of(few, "mass").null_union) == 2 * 4 * 5


def test_cut_off_work_goes_on_class_by_class() -> None:
    maps, images = world()
    whole, kept = dissect(maps, images, SETTINGS), {}

    def broken(row: int, name: str) -> NDArray[np.bool_] | None:
        if name == "nodule":
            raise KeyboardInterrupt
        return images.masks(row, name)

    with pytest.raises(KeyboardInterrupt):
        dissect(maps, dataclasses.replace(images, masks=broken), SETTINGS, kept=kept)
    assert list(kept) == ["mass"]
    stored = pickle.loads(pickle.dumps(kept))
    only = dataclasses.replace(images, masks=lambda row, name: None if name == "mass" else images.masks(row, name))
    back = dissect(maps, only, SETTINGS, kept=stored)
    pd.testing.assert_frame_equal(whole.units, back.units)
    assert whole.layer == back.layer


def test_one_patient_with_most_images_cannot_be_deranged() -> None:
    maps, images = world()
    patients = np.where(np.arange(IMAGES) < 8, np.arange(IMAGES), 99)
    found = dissect(maps, dataclasses.replace(images, patients=patients), SETTINGS)
    assert "more than half" in str(found.crossfits["mass"])


def test_images_without_a_patient_are_their_own_patients() -> None:
    _, images = world()
    unknown = dataclasses.replace(images, patients=np.array([None, "a", "a", *[None] * 57], dtype=object))
    assert len(set(unknown.patient_codes)) == IMAGES - 1
    assert unknown.patient_codes[1] == unknown.patient_codes[2]


def test_concept_counts_are_per_image_and_class_and_minus_their_null() -> None:
    maps, images = world()
    counts = dissect(maps, images, SETTINGS).counts
    assert len(counts) == len(images.annotated)
    assert (counts["units_per_100"] == counts["units"] * 100 / UNITS).all()
    np.testing.assert_allclose(
        counts["components_excess_per_100_live"], (counts["components"] - counts["components_null"]) * 100 / (UNITS - 1)
    )
    assert set(counts["reason"]) == {""}


def test_dead_units_are_counted_and_never_activated() -> None:
    maps, images = world()
    found = dissect(maps, images, SETTINGS)
    assert (found.layer["dead"], found.layer["live"], found.layer["live_share"]) == (1, 5, 5 / 6)
    dead = found.units[(found.units["unit"] == 5) & (found.units["class"] != "hernia")]
    assert dead["value"].tolist() == dead["iou_matched"].tolist() == [0.0, 0.0]


def test_a_unit_active_on_less_than_the_fraction_is_sparse() -> None:
    maps, images = world()
    maps[:, 4] = 0
    maps[3, 4, 2, 2] = 1
    assert dissect(maps, images, SETTINGS).layer["sparse"] == 1


def test_a_dead_layer_scores_zero_and_names_the_reason() -> None:
    _, images = world()
    found = dissect(np.zeros((IMAGES, 3, 4, 4), dtype=np.float32), images, SETTINGS)
    assert fit_of(found, "mass").value == 0.0
    assert found.counts["units"].sum() == 0
    assert set(found.counts["reason"]) == {"no live unit"}
    assert found.counts["units_per_100_live"].isna().all()


def test_file_order_changes_no_number() -> None:
    maps, images = world(planted=False)
    order = np.random.default_rng(5).permutation(IMAGES)
    there, back = dissect(maps, images, SETTINGS), dissect(maps[order], permuted(images, order), SETTINGS)
    pd.testing.assert_frame_equal(there.units, back.units)
    pd.testing.assert_frame_equal(there.counts.drop(columns="row"), back.counts.drop(columns="row"))
    assert fit_of(there, "nodule").value == fit_of(back, "nodule").value
    assert there.layer == back.layer


def test_blocks_of_units_and_memory_maps_change_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    maps, images = world(planted=False)
    there = dissect(maps, images, SETTINGS)
    np.save(tmp_path / "maps.npy", maps)
    monkeypatch.setattr("tailscope.dissection.unit_facts._BLOCK_BYTES", 1)
    back = dissect(np.load(tmp_path / "maps.npy", mmap_mode="r"), images, SETTINGS)
    pd.testing.assert_frame_equal(there.units, back.units)
    pd.testing.assert_frame_equal(there.counts, back.counts)
    pd.testing.assert_frame_equal(there.curve, back.curve)
    assert fit_of(there, "mass").value == fit_of(back, "mass").value


def test_masks_taken_a_few_at_a_time_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, images = world(planted=False)
    there = dissect(maps, images, SETTINGS)
    monkeypatch.setattr("tailscope.dissection.evidence._MASKS_AT_A_TIME", 3)
    back = dissect(maps, images, SETTINGS)
    pd.testing.assert_frame_equal(there.units, back.units)
    assert fit_of(there, "mass").null_union.tolist() == fit_of(back, "mass").null_union.tolist()


def test_no_more_than_a_chunk_of_images_or_a_block_of_units_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, images = world()
    read: list[int] = []

    class Counting:
        shape = maps.shape

        def __getitem__(self, index: Any) -> NDArray[np.float32]:
            read.append(maps[index].nbytes)
            return maps[index]

    limit = 100_000
    monkeypatch.setattr("tailscope.dissection.unit_facts._BLOCK_BYTES", limit)
    monkeypatch.setattr("tailscope.dissection.thresholds._CHUNK_BYTES", limit)
    dissect(Counting(), images, SETTINGS)
    assert maps.nbytes > 3 * limit
    assert max(read) <= limit


def test_draws_do_not_depend_on_the_activations() -> None:
    maps, images = world()
    first, second = dissect(maps, images, SETTINGS), dissect(np.sqrt(maps[:, ::-1]), images, SETTINGS)
    assert fit_of(first, "mass").rows.tolist() == fit_of(second, "mass").rows.tolist()
    scored = [fit_of(found, "mass").union > 0 for found in (first, second)]
    masked = np.isin(fit_of(first, "mass").rows, np.arange(20))
    assert (scored[0][:, masked] == scored[1][:, masked]).all()


def test_nothing_annotated_gives_tables_of_reasons() -> None:
    maps, images = world()
    found = dissect(maps, dataclasses.replace(images, annotated=np.zeros((0, 2), dtype=int)), SETTINGS)
    assert len(found.counts) == 0
    assert "units_excess_per_100" in found.counts.columns
    assert set(found.crossfits.values()) == {"no annotated test image"}
    assert found.layer["mask_grid"] is None
    assert found.layer["detectors"] == {"mass": None, "nodule": None, "hernia": None}
    assert set(found.curve["reason"]) == {"no annotated test image"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_are_refused(value: float) -> None:
    maps, images = world()
    maps[50, 3, 2, 2] = value
    with pytest.raises(InputError, match="`activations` must be finite"):
        dissect(maps, images, SETTINGS)


def test_no_images_are_refused() -> None:
    nothing = AnnotatedImages(lambda row, name: None, np.zeros((0, 1)), np.zeros((0, 2), int), [], ("a",), [])
    with pytest.raises(InputError, match="none of them 0"):
        dissect(np.zeros((0, 2, 4, 4), dtype=np.float32), nothing, SETTINGS)


def test_activations_of_other_images_are_refused() -> None:
    maps, images = world()
    with pytest.raises(InputError, match="one row per image, 60; got 59"):
        dissect(maps[:59], images, SETTINGS)


def test_annotations_of_images_that_are_not_positive_are_refused() -> None:
    _, images = world()
    with pytest.raises(InputError, match="image 'i050' is not positive for 'mass'"):
        dataclasses.replace(images, annotated=np.array([[50, 0]]))


def test_an_id_that_stands_twice_is_refused() -> None:
    _, images = world()
    with pytest.raises(InputError, match="`image_ids` must be unique"):
        dataclasses.replace(images, image_ids=np.zeros(IMAGES, dtype=int))


def test_tables_of_different_length_are_refused() -> None:
    _, images = world()
    with pytest.raises(InputError, match=r"`targets` must be \(60, 3\)"):
        dataclasses.replace(images, targets=images.targets[:, :2])


def test_masks_of_different_size_are_refused() -> None:
    maps, images = world()
    odd = dataclasses.replace(images, masks=lambda row, name: np.ones((4 + row % 2, 4), dtype=bool))
    with pytest.raises(InputError, match="masks of class 'mass' must have one size"):
        dissect(maps, odd, SETTINGS)
    other = dataclasses.replace(images, masks=lambda row, name: np.ones((len(name), 4), dtype=bool))
    with pytest.raises(InputError, match="masks of all classes must have one size"):
        dissect(maps, other, SETTINGS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_fraction": 0.0}, "`top_fraction`"),
        ({"splits": 0}, "`splits`"),
        ({"derangements": 0}, "`derangements`"),
        ({"crossfit_derangements": 0}, "`crossfit_derangements`"),
        ({"fractions": (0.1, 1.0)}, "`fractions`"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DissectionSettings(**settings)
