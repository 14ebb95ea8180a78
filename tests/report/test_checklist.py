import pytest
from methods_content import content
from page_content import EMPTY

from tailscope.report import PerformanceTables
from tailscope.report.checklist import checklist, checklist_tables


def found(guideline, number, **changes):
    (item,) = [each for each in checklist(content(**changes)) if (each.guideline, each.number) == (guideline, number)]
    return item


def test_the_items_are_those_of_the_guidelines_each_once():
    items = checklist(content())
    claim = [item.number for item in items if item.guideline == "CLAIM"]
    tripod = [item.number for item in items if item.guideline == "TRIPOD+AI"]
    assert claim == [str(number) for number in range(1, 45)]
    assert len(set(tripod)) == len(tripod) == 52
    assert list(dict.fromkeys(int(number.rstrip("abcdefg")) for number in tripod)) == list(range(1, 28))


@pytest.mark.parametrize(
    ("guideline", "number"), [("CLAIM", "44"), ("TRIPOD+AI", "17"), ("TRIPOD+AI", "18a"), ("CLAIM", "33")]
)
def test_what_no_artifact_knows_is_left_to_the_authors(guideline, number):
    item = found(guideline, number)
    assert item.status == "authors"
    assert item.answer == ""


@pytest.mark.parametrize(
    ("guideline", "number", "words"),
    [
        ("CLAIM", "9", "96 × 128 pixels"),
        ("CLAIM", "19", "split as published"),
        ("CLAIM", "23", "torch 2.14.1"),
        ("CLAIM", "25", "11 epochs, adam, batches of 48, 9 networks"),
        ("CLAIM", "29", "1,900 resamples of patients; Holm-adjusted tests at 5 %"),
        ("TRIPOD+AI", "13", "prevalence 0.20 % to 15 %; arms control"),
        ("TRIPOD+AI", "15", "a probability for 4 classes"),
    ],
)
def test_what_the_artifacts_know_is_answered_with_its_chapter(guideline, number, words):
    item = found(guideline, number)
    assert words in item.answer
    assert item.status == "answered"


def test_the_level_of_the_split_follows_the_data():
    dealt = ["patients dealt to train 0.7, val 0.1, test 0.2, stratified by class, seed 0"]
    assert found("CLAIM", "20").answer == "as in the published split"
    assert found("CLAIM", "20", provenance={"data__notes": dealt}).answer == "patient"
    unknown = {"data__notes": dealt, "data__patients_known": False}
    assert found("CLAIM", "20", provenance=unknown).answer == "image; patients are not known"


def test_explanations_are_left_to_the_authors_where_no_lens_looked():
    off = {"alignment": None, "units": None, "representation": EMPTY.representation}
    assert "saliency by gradcam" in found("CLAIM", "31").answer
    assert found("CLAIM", "31", **off).status == "authors"


def test_fairness_is_answered_in_part_where_subgroups_were_compared():
    item = found("TRIPOD+AI", "14")
    assert item.answer == "every arm by sex, with gaps (Subgroups of patients)"
    assert item.status == "in part"
    assert found("TRIPOD+AI", "14", performance=PerformanceTables()).status == "authors"


def test_an_item_that_lacks_one_of_its_parts_is_answered_in_part():
    assert found("TRIPOD+AI", "12a").status == "answered"
    assert found("TRIPOD+AI", "12a", provenance={"data__notes": []}).status == "in part"


def test_the_caption_counts_what_the_rows_say():
    for table in checklist_tables(content()):
        who = [row[3].text for row in table.rows]
        assert f"answer {who.count('answered')} and {who.count('in part: authors complete it')} more" in table.caption
        assert f"{who.count('authors answer it')} only the authors" in table.caption
        assert not table.is_open


def test_empty_content_answers_hardly_anything():
    answered = [item.topic for item in checklist(EMPTY) if item.status == "answered"]
    assert answered == ["Software", "Ensembles", "Class imbalance"]
