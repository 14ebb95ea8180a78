"""How well readers agree, by the metrics of the saliency maps."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment import METRICS
from tailscope.alignment.readers import human_agreement, others_drew
from tailscope.core import InputError


def masks(*rows):
    """Readers a, b, … with masks of one row of pixels each."""
    return {name: np.array([row], dtype=bool) for name, row in zip("abcd", rows, strict=False)}


MASS = {"mass": METRICS.build("mass_inside")}
THREE = masks([1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0])


def test_the_union_of_the_others_is_scored_by_hand():
    # Of a's mass 1 of 2 lies in b ∪ c, of b's all, of c's 2 of 3 in a ∪ b; areas of the others: 3/5, 4/5, 3/5.
    row = human_agreement([THREE], MASS).iloc[0]
    assert row["value"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert row["reference"] == pytest.approx((3 / 5 + 4 / 5 + 3 / 5) / 3)
    assert row["excess"] == pytest.approx(row["value"] - row["reference"])
    assert (row["pair"], row["metric"], row["readers"], row["reason"]) == (0, "mass", 3, "")


def test_the_majority_of_the_others_is_scored_by_hand():
    # More than half of two readers is both: b ∩ c = {1, 2}, a ∩ c = {1}, a ∩ b = {1}.
    row = human_agreement([THREE], MASS, "majority").iloc[0]
    assert row["value"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)


def test_overlap_of_two_readers_is_their_iou_whichever_comes_first():
    drawn = masks([1, 1, 0, 0], [0, 1, 1, 1])
    table = human_agreement([drawn], {"iou": METRICS.build("iou")})
    assert table["value"].tolist() == pytest.approx([1 / 4])


def test_readers_who_drew_the_same_reach_the_top():
    drawn = masks([0, 1, 1, 0], [0, 1, 1, 0])
    table = human_agreement(
        [drawn], {name: METRICS.build(name) for name in ("mass_inside", "pointing_game", "pixel_ap")}
    )
    assert table["value"].tolist() == pytest.approx([1, 1, 1])


def test_two_readers_have_no_majority_but_the_other_one():
    assert np.array_equal(
        others_drew(np.stack(list(masks([1, 0], [0, 1]).values())), "majority")[:, 0], [[0, 1], [1, 0]]
    )


def test_a_slow_loop_over_readers_gives_the_same():
    draw = np.random.default_rng(0)
    pairs = [{name: draw.random((6, 7)) < 0.4 for name in "abcd"[:count]} for count in (2, 3, 4)]
    metrics = {name: METRICS.build(name) for name in ("mass_inside", "pixel_ap", "iou_at_area")}
    table = human_agreement(pairs, metrics)
    for row in table.itertuples():
        values = []
        for name, mask in pairs[row.pair].items():
            others = np.zeros((6, 7), dtype=bool)
            for other, drawn in pairs[row.pair].items():
                if other != name:
                    others |= drawn
            values.append(float(metrics[row.metric](mask.astype(float), others)))
        assert row.value == pytest.approx(np.mean(values))


def test_a_pair_of_one_reader_has_no_value_and_a_reason():
    table = human_agreement([masks([1, 0]), {}, masks([1, 0], [0, 0])], MASS)
    assert table["value"].isna().all()
    assert table["reason"].tolist() == ["fewer than two readers"] * 3
    assert table["readers"].tolist() == [1, 0, 1]


def test_readers_without_a_majority_against_them_are_left_out_of_the_mean():
    # Of the others of c alone, a and b, both drew pixel 0.
    drawn = masks([1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1])
    assert human_agreement([drawn], MASS, "majority")["value"].tolist() == [0]
    table = human_agreement([masks([1, 0, 0], [0, 1, 0], [0, 0, 1])], MASS, "majority")
    assert table["value"].isna().all()
    assert table["reason"].tolist() == ["undefined"]


def test_an_empirical_reference_is_left_to_other_patients():
    table = human_agreement([THREE], {"iou": METRICS.build("iou")})
    assert table["value"].notna().all()
    assert table["reference"].isna().all()
    assert table["excess"].isna().all()


def test_rows_stand_by_metric_in_the_given_order_and_then_by_pair():
    metrics = {name: METRICS.build(name) for name in ("pointing_game", "mass_inside")}
    table = human_agreement((pair for pair in [THREE, THREE]), metrics)
    assert table["metric"].tolist() == ["pointing_game"] * 2 + ["mass_inside"] * 2
    assert table["pair"].tolist() == [0, 1, 0, 1]
    assert human_agreement([], metrics).columns.tolist() == table.columns.tolist()


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="`against` must be union or majority; got 'all'"):
        human_agreement([THREE], MASS, "all")
    with pytest.raises(
        InputError, match=r"the masks of pair 1 must be bool of one shape.*\(1, 2\) bool, \(1, 3\) bool"
    ):
        human_agreement([THREE, masks([1, 0], [1, 0, 0])], MASS)
