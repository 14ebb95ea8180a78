import pytest
from page_content import build, localization
from reading import table, words
from undrawn import undrawn

from tailscope.report.chapters import alignment


@pytest.fixture(scope="module")
def shown():
    return undrawn(build(gallery=()), alignment)


def test_references_have_a_column_each_in_plain_words(shown):
    rows = table(shown, "the network before training", "the image's edges")
    assert rows[0]["class"] == "macro (average)"
    assert rows[0]["the network before training"] == "+0.050"


def test_views_stand_beside_each_other_and_are_not_tested(shown):
    rows = table(shown, "all pairs", "true positives")
    assert rows[0]["true positives"] == "+0.200"
    assert "nothing is tested on them" in words(shown)


def test_sizes_run_from_small_to_large(shown):
    rows = table(shown, "size", "mean area")
    assert [row["size"] for row in rows[::3]] == ["small", "medium", "large"]
    assert rows[0]["mean area"] == "1.0 %"


def test_localisation_has_a_chart_and_a_column_per_limit(shown):
    rows = table(shown, "IoU 0.10", "IoBB 0.90")
    assert rows[0]["IoU 0.10"] == "0.80"
    assert "Localisation by boxes (gradcam)" in words(shown)


def test_what_was_not_measured_is_left_out():
    content = build(gallery=(), references=None, views=None, sizes=None, localization=localization().iloc[:0])
    told = words(undrawn(content, alignment))
    assert "other references" not in told
    assert "Localisation by boxes" not in told
