import functools
import math

import numpy as np
import pandas as pd
from block_reading import is_static, lines, notes, picture, texts

from tailscope.report.page_order import PageOrder
from tailscope.report.subgroups import subgroup_blocks

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))
TITLE = "Subgroups by sex"
METRICS = ("auroc", "average_precision", "sensitivity", "specificity")
VALUES = {("F", "control"): 0.71, ("F", "focal"): 0.78, ("M", "control"): 0.83, ("M", "focal"): 0.82}


def subgroups():
    rows = []
    for (subgroup, arm), value in VALUES.items():
        for name, group in (("macro", "macro"), ("mass", "head"), ("hernia", "tail")):
            for place, metric in enumerate(METRICS):
                row = {"column": "sex", "subgroup": subgroup, "class": name, "group": group, "arm": arm}
                row |= {"metric": metric, "value": value - 0.1 * place, "n": 1200, "patients": 640, "positives": 55}
                row |= {"lo": value - 0.1 * place - 0.02, "hi": value - 0.1 * place + 0.02, "reason": ""}
                if arm == "focal":
                    row |= {"difference": 0.07, "difference_lo": 0.01, "difference_hi": 0.13}
                if name == "hernia":
                    few = {"lo": np.nan, "hi": np.nan, "positives": 4}
                    row |= {**few, "reason": "4 positive patients, expected 20 or more"}
                rows.append(row)
    return pd.DataFrame(rows)


def gaps(hi=-0.05):
    rows = []
    for (subgroup, arm), value in VALUES.items():
        for name in ("macro", "mass", "hernia"):
            gap = value - VALUES["M" if subgroup == "F" else "F", arm]
            row = {"column": "sex", "subgroup": subgroup, "class": name, "group": "head", "arm": arm, "metric": "auroc"}
            row |= {"gap": gap, "lo": gap - 0.07, "hi": hi if gap < 0 else gap + 0.07, "reason": ""}
            if arm == "focal":
                row |= {"difference": 0.08, "difference_lo": 0.02, "difference_hi": 0.14}
            if name == "hernia":
                row |= {"gap": np.nan, "reason": "4 positive patients, expected 20 or more"}
            rows.append(row)
    return pd.DataFrame(rows)


@functools.cache
def plain():
    return subgroup_blocks(subgroups(), gaps(), ORDER)


def told(blocks):
    """The items of the only list, each with the lines below it."""
    (listing,) = [block for block in blocks if block.kind == "listing"]
    return dict(zip(listing.items, listing.below, strict=True))


def test_the_worst_subgroup_of_each_arm_stands_with_its_gap_its_value_and_its_size():
    average = told(plain())["By sex, average over classes; the worst is named after looking:"]
    assert average == (
        "control: the worst of 2 is F, −0.120 [−0.190, −0.050] against all others (worse); AUROC 0.710 [0.690, 0.730] "
        "in 1,200 images of 640 patients.",
        "focal: the worst of 2 is F, −0.040 [−0.110, −0.050] against all others (worse); AUROC 0.780 [0.760, 0.800] "
        "in 1,200 images of 640 patients; gap minus control's +0.080 [+0.020, +0.140].",
    )


def test_an_interval_that_holds_zero_shows_no_worse_subgroup():
    (first, _), _ = told(subgroup_blocks(subgroups(), gaps(hi=0.01), ORDER)).values()
    assert "[−0.190, +0.010] against all others (not shown to be worse)" in first


def test_the_class_with_controls_widest_gap_is_named_as_picked_and_told_for_control_alone():
    apart = gaps()
    widest = (apart["class"] == "mass") & (apart["subgroup"] == "M") & (apart["arm"] == "control")
    apart.loc[widest, "gap"] = -0.3
    apart.loc[(apart["class"] == "mass") & (apart["arm"] == "focal"), "gap"] = -0.9
    only = told(subgroup_blocks(subgroups(), apart, ORDER))[
        "By sex, mass, the class with the widest gap in control; the worst is named after looking:"
    ]
    assert len(only) == 1
    assert only[0].startswith("control: the worst of 2 is M, −0.300")


def test_one_ranked_subgroup_is_not_called_the_worst():
    apart = gaps()
    apart.loc[apart["subgroup"] == "M", "gap"] = np.nan
    (first, _), _ = told(subgroup_blocks(subgroups(), apart, ORDER)).values()
    assert first.startswith("control: the only one that can be ranked is F, −0.120")


def test_without_intervals_nothing_is_shown_and_the_caption_says_why():
    bare = gaps().assign(lo=np.nan, hi=np.nan, difference_lo=np.nan, difference_hi=np.nan)
    blocks = subgroup_blocks(subgroups(), bare, ORDER)
    (first, second), _ = told(blocks).values()
    assert "−0.120 against all others (no interval, so nothing is shown)" in first
    assert "gap minus" not in second
    (figure,) = [block for block in blocks if block.kind == "figure"]
    assert "lines missing: intervals need two seeds" in figure.caption


def test_every_number_of_the_table_is_that_of_the_frames():
    shown = lines(plain(), TITLE)
    assert [(texts(row)["class"], texts(row)["sex"], texts(row)["arm"]) for row in shown[:3]] == [
        ("macro (average)", "F", "control"), ("macro (average)", "M", "control"), ("macro (average)", "F", "focal"),
    ]  # fmt: skip
    focal = texts(shown[2])
    assert (focal["AUROC"], focal["AP"]) == ("0.780 [0.760, 0.800]", "0.680 [0.660, 0.700]")
    assert (focal["sensitivity"], focal["specificity"]) == ("0.580 [0.560, 0.600]", "0.480 [0.460, 0.500]")
    assert focal["Δ AUROC"] == "+0.070 [+0.010, +0.130]"
    assert focal["gap AUROC"] == "−0.040 [−0.110, −0.050]"
    assert focal["Δ gap"] == "+0.080 [+0.020, +0.140]"
    assert (focal["images"], focal["patients"], focal["positives"]) == ("1,200", "640", "55")
    assert texts(shown[0])["Δ AUROC"] == "–"


def test_a_subgroup_that_is_not_ranked_keeps_its_value_with_the_reason():
    blocks = plain()
    hernia = next(row for row in lines(blocks, TITLE) if row["class"].text == "hernia")
    assert texts(hernia)["AUROC"] == "0.710"
    assert hernia["AUROC"].note == "a"
    assert texts(hernia)["gap AUROC"] == "–"
    assert notes(blocks, TITLE) == ["4 positive patients, expected 20 or more"]


def test_the_chart_is_named_shows_both_sides_and_needs_no_script():
    drawn = picture(plain())
    assert 'aria-label="AUROC, average per subgroup and arm, and its gap to all others; AUROC, mass per' in drawn
    assert drawn.count("gap to all others</text>") == 2
    assert is_static(drawn)


def test_a_subgroup_without_any_number_says_so_in_the_chart():
    frame = subgroups()
    frame.loc[(frame["subgroup"] == "M"), "value"] = np.nan
    assert picture(subgroup_blocks(frame, gaps(), ORDER)).count(">no number<") == 2


def test_every_column_has_its_figure_and_its_table():
    both = [pd.concat([frame, frame.assign(column="view")]) for frame in (subgroups(), gaps())]
    blocks = subgroup_blocks(*both, ORDER)
    assert [block.title for block in blocks if block.kind == "table"] == [TITLE, "Subgroups by view"]
    assert [block.kind for block in blocks].count("figure") == 2


def test_where_nothing_can_be_ranked_the_table_remains():
    blocks = subgroup_blocks(subgroups(), gaps().assign(gap=math.nan), ORDER)
    assert blocks[0].text == "Not shown: no two subgroups by sex have enough patients to be compared."
    assert [block.kind for block in blocks] == ["paragraph", "table"]


def test_without_subgroups_the_page_says_so():
    for frame in (None, subgroups().iloc[:0]):
        (block,) = subgroup_blocks(frame, None, ORDER)
        assert block.text.startswith("Not shown: no column of the images splits the test images into subgroups")
