import functools
import re

import numpy as np
import pandas as pd
from block_reading import is_static, lines, picture, texts

from tailscope.report.decision_curves import TITLE, above, decision_blocks
from tailscope.report.page_order import PageOrder

CLASSES = {"mass": 0.2, "edema": 0.1, "nodule": 0.05, "fracture": 0.02, "hernia": 0.01}
ORDER = PageOrder(tuple(CLASSES), ("control", "focal"))
THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.5)


def decision():
    rows = []
    for name, prevalence in {"macro": 0.08, **CLASSES}.items():
        for arm in ORDER.arms:
            for threshold in THRESHOLDS:
                value = prevalence * (0.5 if arm == "control" else 0.4)
                row = {"class": name, "group": "tail", "arm": arm, "threshold": threshold, "net_benefit": value}
                row |= {"lo": value - 0.004, "hi": value + 0.004}
                row["treat_all"] = prevalence - (1 - prevalence) * threshold / (1 - threshold)
                if arm == "focal":
                    row |= {"difference": -0.1 * prevalence, "difference_lo": -0.03, "difference_hi": 0.001}
                rows.append(row)
    return pd.DataFrame(rows)


@functools.cache
def blocks():
    return decision_blocks(decision(), ORDER)


def told(frame):
    (listing,) = [block for block in decision_blocks(frame, ORDER) if block.kind == "listing"]
    return listing


def test_a_class_counts_if_its_interval_lies_above_treating_all_and_none():
    listing = told(decision())
    # at 10 % treating all is worth 0.111 for mass, more than either arm; the others are worth more than it and 0
    assert listing.items[0].startswith("At a threshold of 10 %, acting on the probabilities is worth more than")
    assert listing.below == (
        ("control: in 4 of 5 classes (edema, nodule, fracture and hernia).",
         "focal: in 3 of 5 classes (edema, nodule and fracture)."),
    )  # fmt: skip


def test_an_interval_that_holds_zero_does_not_count():
    assert told(decision().assign(lo=-0.001)).below[0] == ("control: in 0 of 5 classes.", "focal: in 0 of 5 classes.")


def test_without_intervals_or_that_threshold_nothing_is_told():
    for frame in (decision().assign(lo=np.nan, hi=np.nan), decision().query("threshold != 0.1")):
        assert "listing" not in {block.kind for block in decision_blocks(frame, ORDER)}


def test_the_table_holds_the_numbers_of_the_frame_per_hundred_images():
    shown = [texts(row) for row in lines(blocks(), TITLE)]
    assert [row["class"] for row in shown[::2]] == ["macro (average)", *CLASSES]
    focal = next(row for row in shown if (row["class"], row["arm"]) == ("nodule", "focal"))
    assert focal["net benefit at 0.1"] == "2.000 [1.600, 2.400]"
    assert focal["treat all at 0.1"] == "−5.556"  # 0.05 − 0.95/9
    assert focal["Δ control at 0.1"] == "−0.500 [−3.000, +0.100]"
    assert {name for name in focal if name.startswith("net")} == {
        f"net benefit at {at}" for at in ("0.05", "0.1", "0.2")
    }
    assert shown[0]["Δ control at 0.1"] == "–"


def test_other_thresholds_are_tabled_if_there_are_no_usual_ones():
    frame = decision()
    shown = lines(decision_blocks(frame[frame["threshold"] == 0.5], ORDER), TITLE)
    assert "net benefit at 0.5" in shown[0]


def test_the_rarest_classes_stand_open_and_averages_have_no_panel():
    opened, folded = picture(blocks()).split("<details>", 1)
    assert all(f">{name}</text>" in opened for name in ("edema", "nodule", "fracture", "hernia"))
    assert ">mass</text>" in folded
    assert ">macro</text>" not in opened + folded


def test_the_top_of_a_panel_is_the_prevalence():
    # of 160 px, the share .35/1.35 lies below zero; control is worth half the prevalence at every threshold
    frame = decision()
    drawn = picture(decision_blocks(frame[frame["class"] == "hernia"], ORDER))
    zero = 160 / 1.35
    heights = {float(y) for path in re.findall(r'd="M([^"]*)"', drawn) for y in re.findall(r",(\d+\.?\d*)", path)}
    assert min(abs(height - zero / 2) for height in heights) < 0.1
    assert min(abs(height - zero * 0.6) for height in heights) < 0.1


def test_tens_on_the_axis_are_written_out():
    drawn = picture(blocks()).split("<details>", 1)[1]  # mass, of which 20 in 100 images have it
    assert ">10</text>" in drawn
    assert "e+" not in drawn


def test_a_line_is_cut_where_it_leaves_the_panel_and_begins_again_where_it_comes_back():
    line = [(0.1, 2.0), (0.2, -2.0), (0.3, -3.0), (0.4, 1.0)]
    parts = [(row["part"], round(row["threshold"], 3), row["y"]) for row in above(line, -1.0)]
    assert parts == [(0, 0.1, 2.0), (0, 0.175, -1.0), (1, 0.35, -1.0), (1, 0.4, 1.0)]
    assert [row["y"] for row in above([(0.2, 1.0), (0.1, -3.0)], -3.0)] == [-3.0, 1.0]
    assert above([(0.1, -2.0), (0.2, -3.0)], -1.0) == []


def test_the_curves_are_named_and_need_no_script():
    drawn = picture(blocks())
    assert 'aria-label="Net benefit against the threshold probability, per class and arm"' in drawn
    assert is_static(drawn)


def test_without_curves_the_page_says_so():
    for frame in (None, decision().assign(net_benefit=np.nan)):
        (block,) = decision_blocks(frame, ORDER)
        assert block.text == "Not shown: no decision curve was handed over."
