import functools

import numpy as np
import pandas as pd
from block_reading import is_static, lines, notes, picture, texts, told

from tailscope.report.calibration import TITLE, calibration_blocks
from tailscope.report.page_order import PageOrder

CLASSES = {"mass": "head", "edema": "head", "nodule": "medium", "fracture": "tail", "hernia": "tail"}
ORDER = PageOrder(tuple(CLASSES), ("control", "focal"))
METRICS = ("brier", "expected_calibration_error", "calibration_slope", "ece_prior_corrected")


def curves(versions=("raw", "prior corrected")):
    rows = [
        {"class": name, "group": group, "arm": arm, "version": version, "bin": number + 1,
         "predicted": 0.1 + 0.2 * number, "observed": 0.05 + 0.2 * number, "n": 40 + number}
        for name, group in CLASSES.items()
        for arm in ORDER.arms
        for version in versions
        for number in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def estimates():
    rows = [
        {"lens": "performance", "metric": metric, "class": name, "arm": arm, "value": 0.1 * (place + 1) + 0.01 * number,
         "lo": 0.05, "hi": 0.9, "n": 90, "reason": ""}
        for name in ("macro", *CLASSES)
        for number, arm in enumerate(ORDER.arms)
        for place, metric in enumerate(METRICS)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    unknown = (frame["class"] == "hernia") & (frame["metric"] == "calibration_slope")
    frame.loc[unknown, ["value", "lo", "hi", "reason"]] = [np.nan, np.nan, np.nan, "classes are separated"]
    return frame


def findings():
    frame = estimates().rename(columns={"value": "difference"})
    return frame[frame["arm"] == "focal"].assign(difference=-0.012, lo=-0.02, hi=-0.004)


@functools.cache
def blocks():
    return calibration_blocks(curves(), estimates(), findings(), ORDER)


def test_each_arm_has_its_average_error_before_and_after_correction():
    (listing,) = [block for block in blocks() if block.kind == "listing"]
    assert listing.items == (
        "control: expected calibration error 0.200 [0.050, 0.900], average over classes; after prior correction "
        "0.400 [0.050, 0.900].",
        "focal: expected calibration error 0.210 [0.050, 0.900], average over classes; after prior correction "
        "0.410 [0.050, 0.900].",
    )


def test_without_a_corrected_error_none_is_told():
    frame = estimates()
    shown = told(calibration_blocks(curves(), frame[frame["metric"] != "ece_prior_corrected"], None, ORDER))
    assert "0.200 [0.050, 0.900], average over classes." in shown


def test_the_table_holds_the_values_of_the_estimates_with_their_intervals():
    shown = [texts(row) for row in lines(blocks(), TITLE)]
    assert [row["class"] for row in shown[::2]] == ["macro (average)", *CLASSES]
    focal = next(row for row in shown if (row["class"], row["arm"]) == ("nodule", "focal"))
    assert focal["Brier"] == "0.110 [0.050, 0.900]"
    assert focal["slope"] == "0.310 [0.050, 0.900]"
    assert focal["ECE, corrected"] == "0.410 [0.050, 0.900]"
    assert "log loss" not in focal


def test_a_missing_slope_is_a_dash_with_its_reason():
    hernia = next(row for row in lines(blocks(), TITLE) if row["class"].text == "hernia")
    assert texts(hernia)["slope"] == "–"
    assert notes(blocks(), TITLE) == ["classes are separated"]


def test_the_differences_are_those_of_the_findings_for_every_arm_but_control():
    shown = [texts(row) for row in lines(blocks(), f"{TITLE}: difference from control")]
    assert {row["arm"] for row in shown} == {"focal"}
    assert {row["Brier"] for row in shown} == {"−0.012 [−0.020, −0.004]"}


def test_metrics_of_other_lenses_and_arms_outside_the_order_stay_out():
    other = pd.concat([estimates(), estimates().assign(lens="alignment", value=9.0), estimates().assign(arm="other")])
    shown = lines(calibration_blocks(curves(), other, findings(), ORDER), TITLE)
    assert [[cell.text for cell in row.values()] for row in shown] == [
        [cell.text for cell in row.values()] for row in lines(blocks(), TITLE)
    ]


def test_the_leaders_of_the_groups_and_the_rarest_class_stand_open_and_the_others_fold():
    drawn = picture(blocks())
    opened, folded = drawn.split("<details>", 1)
    assert all(f">{name}</text>" in opened for name in ("mass", "nodule", "fracture", "hernia"))
    assert ">edema</text>" not in opened
    assert folded.startswith("<summary>The same for edema</summary>")
    assert ">edema</text>" in folded


def test_both_versions_have_a_row_of_panels_and_one_version_has_one():
    drawn = picture(blocks())
    assert ">as predicted</text>" in drawn
    assert ">prior corrected</text>" in drawn
    single = calibration_blocks(curves(("raw",)), None, None, ORDER)
    assert "prior corrected" not in picture(single)
    assert "after prior correction" not in told(single)


def test_the_marks_stand_at_predicted_and_observed():
    # both axes are square roots over 160 px: 0.25 and 0.36 lie at half and at six tenths
    one = curves().iloc[:1].assign(predicted=0.25, observed=0.36, n=40)
    drawn = picture(calibration_blocks(one, None, None, ORDER))
    assert "translate(80,64)" in drawn


def test_the_diagrams_are_named_state_the_size_of_a_bin_and_need_no_script():
    (figure,) = [block for block in blocks() if block.kind == "figure"]
    assert "a bin of 40 to 43 images" in figure.caption
    assert 'aria-label="Observed share against predicted probability, per class and arm"' in figure.picture
    assert is_static(figure.picture)


def test_without_curves_the_tables_remain_and_without_anything_the_page_says_so():
    kinds = [block.kind for block in calibration_blocks(None, estimates(), findings(), ORDER)]
    assert kinds == ["listing", "paragraph", "table", "table"]
    (block,) = calibration_blocks(None, None, None, ORDER)
    assert block.text == "Not shown: no calibration was handed over."
