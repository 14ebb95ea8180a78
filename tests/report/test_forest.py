import math
import re

import pytest
from page_content import CLASSES, build, findings

from tailscope.report.differences import difference_tables
from tailscope.report.forest import Scale, common_scale, interval_picture
from tailscope.report.forest_chart import forest_chart


def test_a_missing_value_has_no_picture():
    assert interval_picture(math.nan, 0.0, 1.0, Scale(0.0, 1.0)) == ""


def test_a_value_without_interval_is_a_dot_alone():
    picture = interval_picture(0.5, None, 1.0, Scale(0.0, 1.0))
    assert "dot" in picture
    assert "whisker" not in picture


@pytest.mark.parametrize("values", [[], [0.0], [math.nan, None]])
def test_a_scale_of_nothing_still_has_a_length(values):
    scale = common_scale(values)
    assert scale.high > scale.low


def test_the_scale_holds_zero_and_all_finite_values():
    assert common_scale([0.2, math.inf, -0.1]) == Scale(-0.1, 0.2)


def finding(name, arm, difference, verdict):
    lo, hi = difference - 0.01, difference + 0.01
    return {"class": name, "arm": arm, "difference": difference, "lo": lo, "hi": hi, "verdict": verdict}


def test_a_forest_plot_shows_names_facts_and_verdicts():
    few = "undecided (2 positive patients)"
    rows = [finding("mass", "focal", 0.05, "better"), finding("hernia", "focal", 0.0, few)]
    drawn = forest_chart("AUROC", rows, ("control", "focal"), 0.02, {"mass": "3.5 %, 70 positive"})
    for text in ("mass", "3.5 %, 70 positive", "better", few):
        assert f">{text}</text>" in drawn


def test_a_forest_plot_keeps_the_order_of_its_rows():
    rows = [finding(name, "focal", 0.0, "equivalent") for name in ("zeta", "alpha", "mid")]
    heights = {
        name: float(re.search(rf'translate\([^,]*,([\d.]+)\)"[^>]*>{name}</text>', drawn).group(1))
        for drawn in [forest_chart("AUROC", rows, ("control", "focal"), 0.02)]
        for name in ("zeta", "alpha", "mid")
    }
    assert heights["zeta"] < heights["alpha"] < heights["mid"]


def test_a_finding_without_interval_or_verdict_is_drawn_as_such():
    drawn = forest_chart(
        "AUROC", [{**finding("mass", "focal", 0.05, ""), "lo": None, "hi": None}], ("c", "focal"), 0.02
    )
    assert ">no verdict</text>" in drawn
    assert "NaN" not in drawn


def differences(content):
    return difference_tables(content, {"performance"}, ("auroc",))


def test_differences_run_by_prevalence_with_prevalence_and_positives_beside_the_class():
    frame = findings().assign(positives=41)
    (table, *_) = [block for block in differences(build(findings=frame)) if block.kind == "table"]
    named = list(dict.fromkeys(row[0].text for row in table.rows))
    assert named == [name for name, _, _ in CLASSES]
    assert table.rows[0][0].detail == "15 %, 41 positive"
    assert len(set(table.anchors)) == len(table.rows)


def test_only_metrics_with_verdicts_have_a_forest_plot():
    blocks = differences(build())
    assert [block.kind for block in blocks] == ["figure", "table", "table"]
    assert "the grey band is the margin of ±0.02" in blocks[0].caption


def test_arms_identical_by_construction_are_in_the_table_and_not_in_the_plot():
    frame = findings().assign(verdict="identical by construction")
    assert [block.kind for block in differences(build(findings=frame))] == ["table", "table"]
