import pandas as pd
from block_reading import is_static, picture, told
from page_content import build, findings, hidden
from undrawn import without_charts

from tailscope.report.hidden import hidden as drawn_chapter


def chapter(*given):
    """The chapter without its chart."""
    with without_charts():
        return drawn_chapter(*given)


def titles(section):
    return [block.title for block in section.blocks if block.kind == "table"]


def test_the_kinds_stand_apart_hidden_differences_first():
    assert titles(chapter(build())) == ["Hidden difference", "Candidate", "Not visible"]


def test_the_figure_names_the_listed_classes_and_its_caption_counts_them():
    section = drawn_chapter(build())
    assert is_static(picture(section.blocks))
    assert "Shown: 1 hidden difference, 1 candidate, 1 not visible." in told(section.blocks)
    for name in hidden()["class"]:
        assert f">{name}</text>" in picture(section.blocks)


def test_a_reason_is_printed_where_there_is_one():
    (table, *_) = [block for block in chapter(build()).blocks if block.kind == "table"]
    assert "why not more" not in table.columns
    listed = hidden().assign(reason="2 seeds, expected 3 or more")
    (table, *_) = [block for block in chapter(build(hidden=listed)).blocks if block.kind == "table"]
    assert table.columns[-1] == "why not more"
    assert table.rows[0][-1].text == "2 seeds, expected 3 or more"


def test_a_reason_calls_metrics_by_their_names():
    listed = hidden().assign(reason="auroc and average_precision undecided")
    (table, *_) = [block for block in chapter(build(hidden=listed)).blocks if block.kind == "table"]
    assert table.rows[0][-1].text == "AUROC and AP undecided"


def test_without_a_cell_it_says_that_none_is_shown_not_that_none_exists():
    text = told(chapter(build(hidden=None)).blocks)
    assert "this does not show that there is none: 13 comparisons of 32 are undecided" in text
    assert "because there is only one arm" in told(chapter(build(hidden=None, arms=("control",))).blocks)


def test_a_second_control_is_judged_at_the_end():
    again = findings(("control", "control again")).assign(kind="", seeds=3)
    section = chapter(build(), again)
    assert "The second control, trained on other seeds, differs from control in" in told(section.blocks)
    assert titles(section)[-1] == "Second control"
    assert titles(chapter(build(), pd.DataFrame())) == titles(chapter(build()))
