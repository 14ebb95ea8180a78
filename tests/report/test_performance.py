import numpy as np
import pandas as pd
import pytest
from page_content import ARMS, TWELVE, build, ensembles, estimates, twelve_arms
from reading import table, tables, words
from undrawn import undrawn

from tailscope.report.performance import performance as chapter


def performance(content=None, **changes):
    """The chapter as HTML; charts are drawn for the one test that looks at them."""
    return undrawn(content or build(gallery=(), **changes), chapter)


def with_adjusted(metric="specificity_at_half"):
    """Estimates in which prior_shift has values at its own threshold, as the experiment hands them over."""
    frame = estimates().replace({"metric": {"expected_calibration_error": metric}})
    mine = frame[(frame["arm"] == "control") & (frame["metric"] == metric)].assign(arm="prior_shift", value=0.0123)
    gain = mine.assign(metric="ap_gain", value=0.777)
    return pd.concat([frame, mine, gain, gain.assign(arm="control", value=0.666)])


@pytest.fixture(scope="module")
def shown():
    return performance(estimates=with_adjusted())


def test_arms_that_only_adjust_logits_stand_in_the_tables_at_their_own_threshold(shown):
    with_it = [rows for rows in tables(shown) if "prior_shift" in rows[0]]
    assert len(with_it) == 1
    column = with_it[0][0].index("prior_shift")
    assert all(row[column].startswith("0.012") for row in with_it[0][1:])
    assert "prior_shift: judged by such tables only" in words(shown)


def test_arms_that_only_adjust_logits_are_not_in_the_tables_of_ranking(shown):
    assert "0.666" in shown
    assert "0.777" not in shown


def test_calibration_stands_in_its_own_chapter_alone():
    assert "calibration error" not in performance(estimates=estimates())


@pytest.mark.parametrize("metric", ["sensitivity_at_half", "specificity_at_half"])
def test_the_tables_at_one_half_are_open_where_an_arm_moves_thresholds(metric):
    frame = with_adjusted(metric)
    title = f"{metric.split('_')[0].capitalize()} at one half"
    assert f"<details open><summary>{title}</summary>" in performance(estimates=frame)
    assert f"<details><summary>{title}</summary>" in performance(estimates=frame, calibrated_only=())


@pytest.mark.parametrize(
    ("metric", "said"),
    [("sensitivity", "operating point"), ("specificity", "operating point"), ("sensitivity_at_half", "own threshold"),
     ("specificity_at_half", "own threshold")],
)  # fmt: skip
def test_every_threshold_is_said(metric, said):
    assert said in words(performance(estimates=with_adjusted(metric)))


def test_an_average_over_classes_has_no_number_of_images(shown):
    (rows,) = [rows for rows in tables(shown) if "prior_shift" in rows[0]]
    by_name = {row[0]: row for row in rows}
    column = by_name["class"].index("test images")
    assert by_name["mass"][column] == "2,000"
    assert by_name["macro (average)"][column] == ""


def test_the_averages_stand_beside_the_verdict_of_the_audit(shown):
    rows = {row["arm"]: row for row in table(shown, "AUROC, macro", "AP, tail", "audit")}
    assert list(rows) == list(ARMS)
    assert rows[ARMS[1]]["audit"] == "failed"
    assert "[" in rows["control"]["AUROC, macro"]


def test_without_an_audit_the_averages_have_no_column_for_it():
    assert "audit" not in {name for rows in tables(performance(audit=None)) for name in rows[0]}


def test_with_many_arms_the_averages_lead_and_the_classes_are_folded():
    page = performance(twelve_arms())
    assert "<details><summary>AUROC</summary>" in page
    assert len(table(page, "AUROC, macro")) == len(TWELVE)
    assert "narrow" in page


def test_with_few_arms_the_classes_are_open(shown):
    assert "<details open><summary>AUROC</summary>" in shown


def test_an_ensemble_stands_with_its_difference_from_the_ensemble_of_control(shown):
    rows = table(shown, "ensemble", "AUROC", "difference")
    assert rows[0] == {
        "class": "macro (average)", "ensemble": "ensemble of control", "AUROC": "0.800", "difference": "–", "": "",
    }  # fmt: skip
    assert rows[1]["difference"] == "+0.042 [+0.032, +0.052]"
    assert [row["class"] for row in rows[::2]] == ["macro (average)", "head (average)", "tail (average)", "mass"]
    assert len(table(shown, "ensemble", "AP")) == 8


def test_ensembles_are_said_to_have_no_verdict(shown):
    assert "nothing is known of its seed noise and there is no verdict" in words(shown)


def test_an_ensemble_without_interval_is_not_said_to_have_one():
    assert "95 % interval over patients" in performance()
    bare = performance(ensembles=ensembles().assign(difference_lo=np.nan, difference_hi=np.nan))
    assert "95 % interval over patients" not in bare


def test_without_ensembles_a_sentence_says_so():
    assert "Not shown: no ensemble of seeds was asked for." in performance(ensembles=None)


def test_an_arm_that_the_content_does_not_list_is_not_drawn():
    frame = pd.concat([estimates(), estimates(("stranger",))])
    drawn, *_ = chapter(build(gallery=(), estimates=frame)).blocks
    assert "control" in str(drawn.picture)
    assert "stranger" not in str(drawn.picture)
