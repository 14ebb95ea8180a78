import pytest
from page_content import build, hidden, soundness
from reading import section, table, words
from undrawn import undrawn

from tailscope.report.chapters import summary
from tailscope.report.hidden import hidden as hidden_chapter
from tailscope.report.soundness import soundness as chapter


@pytest.fixture(scope="module")
def page():
    return undrawn(build(gallery=()))


def test_a_method_that_fails_is_named_with_its_checks_in_both_chapters(page):
    sentence = "The attribution method eigencam fails a check of its soundness"
    assert sentence in words(section(page, "instrument"))
    assert sentence in words(section(page, "found"))


def test_a_sound_method_is_not_accused(page):
    assert "method gradcam fails" not in words(page)


def test_every_check_of_every_arm_has_a_row(page):
    rows = table(section(page, "instrument"), "check", "limit")
    assert len(rows) == len(soundness())
    assert {(row["method"], row["verdict"]) for row in rows} == {("gradcam", "sound"), ("eigencam", "fails")}


def test_unchecked_methods_are_said_to_be_unchecked():
    assert "were not checked" in words(undrawn(build(gallery=(), soundness=None), chapter))


def test_cells_of_an_unsound_method_stand_in_a_table_of_their_own():
    frame = hidden().assign(kind="not counted")
    content = build(gallery=(), hidden=frame)
    assert "failed a check of its soundness" in words(undrawn(content, hidden_chapter))
    told = words(undrawn(content, summary))
    assert "3 further differences are not counted, because the attribution method failed a check" in told


def test_the_stages_of_randomisation_stand_in_their_order_with_a_column_per_arm(page):
    rows = table(section(page, "instrument"), "stage", "control")
    assert [row["stage"] for row in rows] == ["cascading: fc", "all weights", "independent: layer1"]
    assert rows[0]["control"] == "0.60 [0.500, 0.700]"
