from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from tailscope.alignment import METRICS, cross_scores, score_pairs, scoring
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


def test_arrays_that_do_not_fit_are_refused(coarse, masks):
    with pytest.raises(InputError, match=r"got \(5, 3, 3\), \(4, 6, 7\) and \(5,\)"):
        score_pairs(coarse, masks[:4], PATIENTS, ALL)
    with pytest.raises(InputError, match="got int64 and bool"):
        score_pairs(coarse.astype(np.int64), masks, PATIENTS, ALL)
    with pytest.raises(InputError, match=r"`patients` is missing at \[2\]"):
        score_pairs(coarse, masks, np.array(["a", "b", None, "c", "d"], dtype=object), ALL)
