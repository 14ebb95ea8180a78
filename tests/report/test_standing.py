import numpy as np
import pandas as pd
import pytest
from block_reading import is_static, lines, notes, picture, texts, told

from tailscope.report.page_order import PageOrder
from tailscope.report.standing import COULD_HAVE_FOUND, standing_blocks

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))


def ranks(**more):
    rows = [
        {"metric": metric, "arm": arm, "mean_rank": value, "lo": 1.2, "hi": 1.8, "first": value - 1, "classes": 2,
         "reason": ""}
        for arm, value in (("focal", 1.25), ("control", 1.75))
        for metric in ("auroc", "mass_inside")
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**more)


def trends(lo=0.003, **more):
    row = {"arm": "focal", "slope": 0.012, "lo": lo, "hi": 0.027, "p": 0.02, "classes": 8, "left_out": "", "reason": ""}
    return pd.DataFrame([{**row, "metric": metric} for metric in ("auroc", "mass_inside")]).assign(**more)


def precision(**more):
    row = {
        "metric": "auroc", "arm": "focal", "n": 4000, "patients": 120, "se": 0.01, "margin": 0.02, "seed_share": 0.25,
        "patient_share": 0.75, "seeds_needed": 5.0, "positives_needed": np.nan, "verdict": "undecided", "reason": "",
    }  # fmt: skip
    return pd.DataFrame(
        [{**row, "class": name, "mde": mde} for name, mde in (("hernia", 0.06), ("mass", 0.03))]
    ).assign(**more)


def blocks(ranked=None, trended=None, precise=None):
    return standing_blocks(
        ranks() if ranked is None else ranked,
        trends() if trended is None else trended,
        precision() if precise is None else precise,
        ORDER,
    )


def test_mean_ranks_stand_by_metric_then_arm_control_first():
    shown = [texts(row) for row in lines(blocks(), "Mean ranks")]
    assert [(row["metric"], row["arm"]) for row in shown] == [
        ("AUROC", "control"), ("AUROC", "focal"), ("mass inside", "control"), ("mass inside", "focal"),
    ]  # fmt: skip
    assert shown[1]["mean rank"] == "1.25 [1.20, 1.80]"
    assert shown[1]["first"] == "25 %"


def test_the_figure_draws_every_metric_and_needs_nothing_from_outside():
    drawn = picture(blocks())
    assert ">AUROC<" in drawn
    assert ">mass inside<" in drawn
    assert 'aria-label="mean rank over classes, 1 is best"' in drawn
    assert is_static(drawn)


def test_one_seed_gives_marks_without_lines_and_says_so():
    found = blocks(ranks(lo=np.nan, hi=np.nan, first=np.nan, reason="one seed per arm"))
    assert "With one seed there are no intervals" in told(found)
    assert texts(lines(found, "Mean ranks")[0])["mean rank"] == "1.75"
    assert notes(found, "Mean ranks") == ["one seed per arm"]


def test_ranks_that_are_all_missing_give_a_table_and_no_figure():
    found = blocks(ranks(mean_rank=np.nan, lo=np.nan, hi=np.nan, reason="no estimable class"))
    assert "figure" not in {block.kind for block in found}
    assert notes(found, "Mean ranks") == ["no estimable class"]


def test_a_trend_whose_interval_leaves_out_zero_is_told_with_how_many_were_looked_at():
    shown = told(blocks())
    assert (
        "Per tenfold rarer class, the difference of focal from control in AUROC changes by +0.012 [+0.003, +0.027]: "
        "it rises toward the tail."
    ) in shown
    assert "These are 2 of 2 trends looked at, each by itself and without adjustment" in shown


def test_a_falling_trend_is_told_as_falling():
    assert "it falls toward the tail" in told(blocks(trended=trends(-0.03, slope=-0.02, hi=-0.01)))


def test_a_trend_whose_interval_holds_zero_is_told_as_none():
    shown = told(blocks(trended=trends(-0.003)))
    assert "No trend toward the tail is shown: every 95 % interval holds 0 (2 trends looked at" in shown
    assert "Per tenfold rarer class, the difference" not in shown


def test_the_table_of_trends_has_the_interval_as_text_and_picture():
    row = lines(blocks(), "Trend toward the tail")[0]
    assert texts(row)["per tenfold rarer class"] == "+0.012 [+0.003, +0.027]"
    assert 'class="whisker"' in row[""].picture


def test_classes_that_are_left_out_of_the_trend_are_named():
    assert "Left out for too few patients: hernia." in told(blocks(trended=trends(left_out="hernia")))
    assert "Left out" not in told(blocks())


def test_without_a_trend_the_reason_is_told_once():
    none = trends(slope=np.nan, lo=np.nan, hi=np.nan, p=np.nan, reason="2 classes, expected 3 or more")
    found = blocks(trended=none)
    assert "No trend toward the tail can be estimated: 2 classes, expected 3 or more." in told(found)
    assert notes(found, "Trend toward the tail") == ["2 classes, expected 3 or more"]


def test_the_detectable_differences_are_told_from_the_smallest_to_the_largest():
    shown = told(blocks())
    assert "AUROC: the detectable difference is between 0.030 (mass, focal) and 0.060 (hernia, focal)." in shown
    assert "Seeds make 25 % of the variance (median), patients the rest." in shown
    assert "Undecided is not “no difference”" in shown


def test_the_table_of_precision_starts_folded_and_dashes_what_cannot_decide():
    found = blocks()
    (table,) = [block for block in found if block.kind == "table" and block.title == COULD_HAVE_FOUND]
    assert not table.is_open
    shown = texts(lines(found, COULD_HAVE_FOUND)[0])
    assert (shown["class"], shown["detectable"], shown["seeds' share"]) == ("mass", "0.030", "25 %")
    assert (shown["seeds needed"], shown["positives needed"]) == ("5", "–")


def test_a_row_without_a_standard_error_says_why_and_no_sentence_rests_on_it():
    found = blocks(precise=precision(se=np.nan, mde=np.nan, reason="one seed per arm"))
    assert notes(found, COULD_HAVE_FOUND) == ["one seed per arm"]
    assert "the detectable difference is" not in told(found)


@pytest.mark.parametrize("missing", [None, pd.DataFrame()])
def test_what_was_not_handed_over_is_said_to_be_missing(missing):
    found = standing_blocks(missing, missing, missing, ORDER)
    assert [block.is_empty_notice for block in found] == [True] * 3
