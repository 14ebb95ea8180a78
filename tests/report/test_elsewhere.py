"""Which findings hold on another data set is said by both verdicts and both signs, and never by one."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from tailscope.report import ReportContent
from tailscope.report.checklist_answers import answers
from tailscope.report.elsewhere import elsewhere, reading, told_elsewhere, transfer
from tailscope.report.frames import FINDING_COLUMNS

HERE = [("mass", "auroc", 0.05, "better"), ("mass", "average_precision", 0.0, "equivalent"),
        ("hernia", "auroc", 0.04, "better"), ("hernia", "average_precision", 0.02, "undecided")]  # fmt: skip
THERE = [("mass", "auroc", -0.03, "worse"), ("mass", "average_precision", 0.0, "equivalent"),
         ("hernia", "auroc", 0.06, "better"), ("hernia", "average_precision", 0.05, "better")]  # fmt: skip


def findings(rows):
    table = pd.DataFrame(rows, columns=["class", "metric", "difference", "verdict"])
    table = table.assign(lens="performance", arm="focal", group="head", lo=table["difference"] - 0.01, reason="")
    table = table.assign(hi=table["difference"] + 0.01, primary=True, p=0.001, p_adjusted=0.002)
    return table.reindex(columns=list(FINDING_COLUMNS))


def page(rows, **changes):
    classes = pd.DataFrame(
        {"class": ["mass", "hernia"], "group": "head", "prevalence": [0.2, 0.1],
         "test_positives": [30, 20], "test_negatives": [70, 80]}
    )  # fmt: skip
    content = ReportContent("one", "", "", ("control", "focal"), (0, 1, 2), findings=findings(rows))
    return replace(content, class_table=classes, test_images=100, **changes)


@pytest.fixture
def content():
    return page(HERE, elsewhere=(page(THERE, tested_on="clinic"),))


def verdict(name, difference=0.1):
    return {"verdict": name, "difference": difference}


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (verdict("better"), verdict("better", 0.01), "holds there"),
        (verdict("worse", -0.1), verdict("worse", -0.2), "holds there"),
        (verdict("better"), verdict("worse", -0.1), "reversed there"),
        (verdict("better"), verdict("equivalent", 0.0), "gone there"),
        (verdict("better"), verdict("undecided (9 positive patients)"), "undecided there"),
        (verdict("better"), verdict("candidate: better"), "undecided there"),
        (verdict("better"), None, "not estimable there"),
        (verdict("undecided"), verdict("higher"), "only there"),
        (verdict("equivalent", 0.0), verdict("equivalent", 0.0), "equivalent in both"),
        (verdict("equivalent", 0.0), verdict("undecided", 0.0), "undecided"),
        (verdict("undecided"), None, "undecided"),
    ],
)
def test_a_reading_needs_both_verdicts(here, there, expected):
    assert reading(here, there) == expected


def test_findings_are_paired_by_metric_class_and_arm(content):
    rows = transfer(content, content.elsewhere[0])
    found = {(row["class"], row["metric"]): row["reading"] for row in rows}
    assert found == {
        ("mass", "auroc"): "reversed there",
        ("mass", "average_precision"): "equivalent in both",
        ("hernia", "auroc"): "holds there",
        ("hernia", "average_precision"): "only there",
    }


def test_the_first_chapter_counts_what_holds(content):
    (paragraph,) = told_elsewhere(content)
    assert paragraph.text == (
        "On clinic, 100 images (see On other data): of 2 differences from control established here, 1 holds there and "
        "1 reversed there; 1 difference is established only there."
    )


def test_the_table_leads_with_what_holds_and_shows_both_sides(content):
    (chapter,) = elsewhere(content)
    (table,) = (block for block in chapter.blocks if block.kind == "table")
    first = [cell.text for cell in table.rows[0]]
    assert first == ["AUROC", "hernia", "focal", "+0.040", "better", "+0.060", "better", "holds there"]
    assert [row[-1].text for row in table.rows] == [
        "holds there", "reversed there", "only there", "equivalent in both"
    ]  # fmt: skip


def test_a_class_that_is_not_compared_there_says_so():
    content = page(HERE, elsewhere=(page(THERE[:2], tested_on="clinic"),))
    (chapter,) = elsewhere(content)
    (table,) = (block for block in chapter.blocks if block.kind == "table")
    assert ("a", "not compared on clinic") in table.notes


def test_a_page_without_further_sets_has_no_such_chapter():
    assert elsewhere(page(HERE)) == ()
    assert told_elsewhere(page(HERE)) == ()


def test_the_checklists_are_answered_by_the_set_that_was_tested(content):
    there = content.elsewhere[0]
    assert answers(content)["external"] == "clinic, 100 images (On other data)"
    assert answers(content)["internal"] == "100 test images of the same source (Performance)"
    assert answers(there)["external"] == "100 test images of clinic, another source (Performance)"
    assert not {"internal"} & set(answers(there))
    assert "external" not in answers(page(HERE))
