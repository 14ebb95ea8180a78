"""The chapter on label views."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from page_content import build

from tailscope.report.label_views import label_views
from tailscope.report.page import page_sections

VERDICTS = {"mass": "better", "hernia": "undecided", "effusion": "equivalent", "macro": ""}


def frame(classes=("macro", "effusion", "mass", "hernia"), metrics=("auroc", "mass_inside"), views=("ones",)):
    rows = []
    for view in views:
        pairs = [
            ("view", "focal", "focal"),
            ("view", "control", "control"),
            ("treatment", "focal", f"control [{view}]"),
        ]
        for kind, arm, control in pairs:
            for metric in metrics:
                for name in classes:
                    rows.append(
                        {
                            "comparison": kind, "view": view, "treatment": arm, "lens": "performance", "metric": metric,
                            "class": name, "group": name if name == "macro" else "head", "arm": f"{arm} [{view}]",
                            "control": control, "value": 0.85, "control_value": 0.8, "difference": 0.05, "lo": 0.01,
                            "hi": 0.09, "p": 0.01, "p_adjusted": 0.02, "margin": 0.02, "seeds": 3, "n": 100,
                            "verdict": VERDICTS.get(name, "undecided"), "reason": "", "primary": True,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def chapter(table, **changes):
    return label_views(replace(build(), label_views=table, **changes))[0]


def paragraphs(section):
    return [block.text for block in section.blocks if block.kind == "paragraph"]


def test_without_label_views_there_is_no_chapter():
    assert label_views(build()) == ()
    assert "label-views" not in [section.name for section in page_sections(build())]


def test_the_chapter_says_what_was_done_and_counts_verdicts_by_class():
    told = paragraphs(chapter(frame()))
    assert "1 further label view (ones)" in told[0]
    assert told[1].startswith(
        "Further views against the first: of 12 comparisons by class, 4 differ beyond noise (focal [ones] (mass, AUROC)"
    )
    assert "4 are equivalent and 4 undecided, which does not mean no difference" in told[1]
    assert told[2].startswith("Treatments within the further views: of 6 comparisons by class, 2 differ beyond noise")


def test_there_is_a_table_per_comparison_and_metric_with_both_values():
    tables = [block for block in chapter(frame()).blocks if block.kind == "table"]
    assert [table.title for table in tables] == [
        "Further views against the first: AUROC",
        "Further views against the first: mass inside",
        "Treatments within the further views: AUROC",
        "Treatments within the further views: mass inside",
    ]
    line = [cell.text for cell in tables[0].rows[-2]]
    assert line[1:5] == ["focal [ones]", "focal", "0.850", "0.800"]
    assert line[-1] == "undecided"


@pytest.mark.draws
def test_charts_show_classes_and_of_very_many_their_means_alone():
    figures = [block for block in chapter(frame()).blocks if block.kind == "figure"]
    assert len(figures) == 2
    assert "mass" in figures[0].picture
    assert "per class from frequent to rare" in figures[0].caption
    many = ("macro", *(f"class {number}" for number in range(40)))
    crowded = next(block for block in chapter(frame(many)).blocks if block.kind == "figure")
    assert "means over classes" in crowded.caption
    assert "class 7" not in crowded.picture


def test_without_verdicts_the_reason_is_told():
    table = frame().assign(verdict="", reason="one seed per arm: seed noise is unknown")
    assert "there is no verdict, because one seed per arm: seed noise is unknown." in paragraphs(chapter(table))[1]


def test_exploratory_metrics_are_left_to_the_table_on_disk():
    section = chapter(frame().assign(primary=False))
    assert paragraphs(section) == ["Not shown: no comparison of label views was handed over."]
