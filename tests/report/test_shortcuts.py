import pytest
from page_content import ARMS, build, shortcuts
from reading import section, table, words
from undrawn import undrawn

from tailscope.report.chapters import summary
from tailscope.report.shortcuts import shortcuts as chapter


@pytest.fixture(scope="module")
def page():
    return undrawn(build(gallery=()), summary, chapter)


def test_a_shortcut_is_named_with_class_confounder_and_arm(page):
    told = words(section(page, "shortcuts"))
    assert f"1 shortcut found: mass looks at the chest tube, and its logit rests on it, under {ARMS[1]}." in told


def test_it_stands_in_the_first_chapter_as_well(page):
    assert "1 shortcut found: mass looks at the chest tube" in words(section(page, "found"))


def test_nothing_is_said_in_the_first_chapter_where_none_was_found():
    frame = shortcuts().assign(verdict="none found")
    assert "shortcut" not in words(undrawn(build(gallery=(), shortcuts=frame), summary))


def test_shortcuts_stand_first_in_the_table(page):
    rows = table(section(page, "shortcuts"), "confounder", "removal")
    assert (rows[0]["class"], rows[0]["verdict"]) == ("mass", "shortcut")
    assert (rows[0]["share"], rows[0]["chance"], rows[0]["excess"], rows[0]["removal"]) == (
        "0.400", "0.040", "+0.360", "+0.80",
    )  # fmt: skip


def test_each_confounder_has_a_chart_and_removal_only_where_it_was_measured(page):
    shown = section(page, "shortcuts")
    assert shown.count("<figure") == 2
    assert words(shown).count("right, how far the class's logit falls") == 1
    assert "Whether a class rests on it was not measured." in words(shown)


def test_without_confounders_the_chapter_says_why():
    told = words(undrawn(build(gallery=(), shortcuts=None), chapter))
    assert "Not shown: no confounder was looked at" in told
