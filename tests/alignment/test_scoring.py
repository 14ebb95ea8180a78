from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from tailscope.alignment import METRICS, cross_scores, degenerate_maps, score_pairs, scoring
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.scoring import pair_values
from tailscope.core import InputError, resize_bilinear

PATIENTS = np.array(["a", "a", "b", "c", "b"])
ALL = {name: METRICS.build(name) for name in METRICS.names()} | {"iobb@0.5": METRICS.build("iobb", threshold=0.5)}


@dataclass(frozen=True)
class Plain:
    """A metric of another package, without a fast crossing."""

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    reference_kind: ClassVar[str] = "empirical"

    def __call__(self, saliency, mask):
        return METRICS.build("pixel_ap")(saliency, mask)

    def reference(self, saliency, mask):
        return METRICS.build("pixel_ap").reference(saliency, mask)

    def attainable(self, mask, grid):
        return 1.0


@pytest.fixture
def coarse(rng) -> np.ndarray:
    return rng.random((5, 3, 3)).astype(np.float32)


def column(table: pd.DataFrame, metric: str, name: str) -> list:
    return table.loc[table["metric"] == metric, name].tolist()


def test_maps_are_resized_to_the_frame_and_scored_pair_by_pair(coarse, masks):
    table = score_pairs(coarse, masks, PATIENTS, ALL)
    for name, metric in ALL.items():
        expected = [float(metric(resize_bilinear(a, (6, 7)), b)) for a, b in zip(coarse, masks, strict=True)]
        assert column(table, name, "value") == expected
        assert column(table, name, "pair") == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table["excess"], table["value"] - table["reference"])
    np.testing.assert_allclose(column(table, "iou", "area"), masks.mean(axis=(1, 2)))
    assert set(table["reason"]) == {""}
    assert not table["degenerate"].any()


@pytest.mark.parametrize("name", ["iou", "iou_at_area", "pixel_ap", "iobb@0.5"])
def test_the_empirical_reference_averages_over_the_masks_of_other_patients(coarse, masks, name):
    table = score_pairs(coarse, masks, PATIENTS, {name: ALL[name]})
    for pair, saliency in enumerate(resize_bilinear(coarse, (6, 7))):
        others = [mask for mask, owner in zip(masks, PATIENTS, strict=True) if owner != PATIENTS[pair]]
        expected = np.mean([float(ALL[name](saliency, mask)) for mask in others])
        assert table["reference"][pair] == pytest.approx(expected, rel=1e-12)


def test_the_analytic_reference_is_the_metrics_own(coarse, masks):
    table = score_pairs(coarse, masks, PATIENTS, {"mass": ALL["mass_inside"]})
    np.testing.assert_allclose(table["reference"], masks.mean(axis=(1, 2)))


def test_a_class_with_one_patient_has_no_empirical_reference(coarse, masks):
    table = score_pairs(coarse, masks, np.array(["a"] * 5), {"iou": ALL["iou"], "mass": ALL["mass_inside"]})
    assert column(table, "iou", "reason") == ["no other patient"] * 5
    assert np.isnan(column(table, "iou", "excess")).all()
    assert not np.isnan(column(table, "iou", "value")).any()
    assert column(table, "mass", "reason") == [""] * 5


def test_an_empty_annotation_is_nan_with_its_reason_and_no_reference_for_others(coarse, masks):
    masks[3] = False
    table = score_pairs(coarse, masks, PATIENTS, {"iou": ALL["iou"]})
    assert table["reason"].tolist() == ["", "", "", "empty annotation", ""]
    assert table.loc[3, ["value", "reference", "excess"]].isna().all()
    without = np.delete(np.arange(5), 3)
    expected = score_pairs(coarse[without], masks[without], PATIENTS[without], {"iou": ALL["iou"]})
    np.testing.assert_allclose(table["reference"].dropna(), expected["reference"])


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0, np.nan, np.inf])
def test_a_degenerate_map_keeps_its_pair_with_excess_zero(coarse, masks, value):
    coarse[1] = value
    coarse[2, 0, 0] = value
    table = score_pairs(coarse, masks, PATIENTS, ALL)
    rows = table[table["pair"] == 1]
    assert rows["degenerate"].all()
    assert set(rows["reason"]) == {"degenerate map"}
    np.testing.assert_allclose(rows["excess"], 0, atol=1e-15)
    assert table[table["pair"] == 2]["degenerate"].all() == (not np.isfinite(value))
    assert not table[table["pair"].isin([0, 3, 4])]["degenerate"].any()


def test_a_constant_but_for_rounding_stays_degenerate_after_resizing(coarse, masks):
    coarse[1] = 0.3 + 2e-7 * coarse[1]
    table = score_pairs(coarse, masks, PATIENTS, ALL)
    assert table[table["pair"] == 1]["degenerate"].all()
    np.testing.assert_allclose(table.loc[table["pair"] == 1, "excess"], 0, atol=1e-15)


def test_a_map_that_becomes_constant_on_a_coarser_frame_is_degenerate(masks):
    checker = np.indices((2, 2)).sum(axis=0) % 2
    table = score_pairs(checker[None].astype(np.float32), np.ones((1, 1, 1), dtype=bool), np.array(["a"]), ALL)
    assert table["degenerate"].all()


def test_chunks_do_not_change_the_numbers(coarse, masks, monkeypatch):
    whole = score_pairs(coarse, masks, PATIENTS, ALL)
    monkeypatch.setattr(scoring, "_CHUNK_VALUES", 2 * 42)
    pd.testing.assert_frame_equal(score_pairs(coarse, masks, PATIENTS, ALL), whole, check_exact=True)


def test_the_order_of_the_pairs_does_not_change_their_numbers(coarse, masks):
    turn = np.array([3, 0, 4, 1, 2])
    straight = score_pairs(coarse, masks, PATIENTS, {"iou": ALL["iou"]})
    turned = score_pairs(coarse[turn], masks[turn], PATIENTS[turn], {"iou": ALL["iou"]})
    np.testing.assert_allclose(turned["excess"], straight["excess"].to_numpy()[turn], rtol=1e-6)


def test_a_metric_without_a_fast_crossing_gets_the_same_reference(coarse, masks):
    table = score_pairs(coarse, masks, PATIENTS, {"plain": Plain(), "ap": ALL["pixel_ap"]})
    np.testing.assert_allclose(column(table, "plain", "excess"), column(table, "ap", "excess"), rtol=1e-12)
    assert cross_scores(Plain(), coarse, masks[:, :3, :3]).shape == (5, 5)


def test_a_pair_that_the_metric_leaves_undefined_says_so_and_is_left_out_of_references(coarse, masks):
    @dataclass(frozen=True)
    class Picky(Plain):
        def __call__(self, saliency, mask):
            return np.where(mask[..., 0, 1], np.nan, super().__call__(saliency, mask))

    masks[:, 0, 1] = [True, False, False, False, False]
    table = score_pairs(coarse, masks, PATIENTS, {"picky": Picky(), "ap": ALL["pixel_ap"]})
    assert column(table, "picky", "reason") == ["undefined", "", "", "", ""]
    kept = score_pairs(coarse[1:], masks[1:], PATIENTS[1:], {"ap": ALL["pixel_ap"]})
    np.testing.assert_allclose(column(table, "picky", "reference")[1:], kept["reference"], rtol=1e-12)


def test_published_variants_see_constant_maps_as_they_are(masks):
    published = {"iou": METRICS.build("iou", variant="as_published")}
    table = score_pairs(np.ones((5, 3, 3), dtype=np.float32), masks, PATIENTS, published)
    np.testing.assert_allclose(table["value"], masks.mean(axis=(1, 2)), rtol=1e-6)


def test_no_metric_gives_an_empty_table_with_its_columns(coarse, masks):
    table = score_pairs(coarse, masks, PATIENTS, {})
    assert len(table) == 0
    assert list(table.columns) == list(score_pairs(coarse, masks, PATIENTS, ALL).columns)


def test_inputs_are_not_changed(coarse, masks):
    coarse[1] = np.nan
    before = coarse.copy()
    score_pairs(coarse, masks, PATIENTS, ALL)
    np.testing.assert_array_equal(coarse, before)


@pytest.mark.parametrize("form", ["source", "packed"])
def test_masks_one_at_a_time_or_packed_give_the_same_table(coarse, masks, form):
    given = (lambda index: masks[index]) if form == "source" else PackedMasks.of(masks)
    whole = score_pairs(coarse, masks, PATIENTS, ALL)
    pd.testing.assert_frame_equal(score_pairs(coarse, given, PATIENTS, ALL), whole, check_exact=True)


def test_maps_are_read_from_a_file_a_chunk_at_a_time(coarse, masks, monkeypatch, tmp_path):
    np.save(tmp_path / "maps.npy", coarse)
    stored = np.load(tmp_path / "maps.npy", mmap_mode="r")
    sizes = []
    monkeypatch.setattr(scoring, "_CHUNK_VALUES", 2 * 42)
    monkeypatch.setattr(scoring, "degenerate_maps", lambda maps: sizes.append(len(maps)) or degenerate_maps(maps))
    table = score_pairs(stored, masks, PATIENTS, ALL)
    pd.testing.assert_frame_equal(table, score_pairs(coarse, masks, PATIENTS, ALL), check_exact=True)
    assert max(sizes) == 2


def test_threads_do_not_change_the_numbers(rng, monkeypatch):
    maps, masks = rng.random((40, 3, 4)).astype(np.float32), rng.random((40, 10, 9)) < 0.3
    patients = np.arange(40).astype(str)
    monkeypatch.setattr(scoring, "_CHUNK_VALUES", 3 * 90)
    tables = []
    for threads in (1, 4):
        monkeypatch.setattr(scoring.config, "NUMBA_NUM_THREADS", threads)
        tables.append(score_pairs(maps, masks, patients, ALL))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_an_error_in_a_chunk_reaches_the_caller(coarse, masks, monkeypatch):
    monkeypatch.setattr(scoring.config, "NUMBA_NUM_THREADS", 2)
    monkeypatch.setattr(scoring, "_CHUNK_VALUES", 42)
    with pytest.raises(InputError, match="as published"):
        score_pairs(coarse * 5, masks, PATIENTS, {"iou": METRICS.build("iou", variant="as_published")})


def test_values_alone_are_those_of_the_whole_table(coarse, masks):
    coarse[1], masks[3] = 0.0, False
    metrics = ALL | {"plain": Plain()}
    whole, alone = score_pairs(coarse, masks, PATIENTS, metrics), pair_values(coarse, masks, metrics)
    columns = ["pair", "metric", "value", "degenerate", "reason"]
    pd.testing.assert_frame_equal(alone, whole[columns], check_exact=True)


def test_a_crossing_of_many_masks_goes_block_by_block(coarse, masks, monkeypatch):
    maps = resize_bilinear(coarse, (6, 7))
    whole = cross_scores(Plain(), maps, masks)
    monkeypatch.setattr(scoring, "_CHUNK_VALUES", 2 * 42)
    np.testing.assert_array_equal(cross_scores(Plain(), maps, masks), whole)
    np.testing.assert_allclose(cross_scores(ALL["pixel_ap"], maps, PackedMasks.of(masks)), whole, rtol=1e-12)


def test_no_pair_gives_no_row(coarse, masks):
    for given in (masks[:0], lambda index: masks[index]):
        assert len(score_pairs(coarse[:0], given, PATIENTS[:0], ALL)) == 0


def test_arrays_that_do_not_fit_are_refused(coarse, masks):
    with pytest.raises(InputError, match="expected one mask for each map; got 4 masks and 5 maps"):
        score_pairs(coarse, masks[:4], PATIENTS, ALL)
    with pytest.raises(InputError, match=r"expected `patients` \(M,\), one for each map; got \(4,\) and 5 maps"):
        score_pairs(coarse, masks, PATIENTS[:4], ALL)
    with pytest.raises(InputError, match=r"expected `maps` \(M, h, w\) floating; got \(5, 3, 3\) int64"):
        score_pairs(coarse.astype(np.int64), masks, PATIENTS, ALL)
    with pytest.raises(InputError, match=r"expected `masks` \(M, H, W\) bool; got \(5, 6, 7\) float64"):
        score_pairs(coarse, masks.astype(float), PATIENTS, ALL)
    with pytest.raises(InputError, match=r"`patients` is missing at \[2\]"):
        score_pairs(coarse, masks, np.array(["a", "b", None, "c", "d"], dtype=object), ALL)
