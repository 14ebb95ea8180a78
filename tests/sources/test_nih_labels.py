"""The long-tailed lists of NIH's images."""

from __future__ import annotations

import pytest

from tailscope.core import DataError
from tailscope.sources.nih_labels import long_tailed_labels
from tailscope.sources.nih_tables import Entry

ENTRIES = [
    Entry(f"{number:08}_000.png", frozenset(), str(number), 50.0, "M", "PA") for number in (3109, 3110, 3111, 3112)
]
LT = "nih-cxr-lt_single-label_{}.csv"
HEADER = "id,Mass,Tortuous Aorta,No Finding,subject_id"


def write_lists(root, **rows):
    folder = root / "LongTailCXR"
    folder.mkdir(exist_ok=True)
    for name, text in rows.items():
        (folder / LT.format(name.replace("_", "-"))).write_text(f"{HEADER}\n{text}\n")
    return root


def test_lists_give_labels_by_name_and_splits(tmp_path):
    write_lists(tmp_path, train="00003109_000.png,1,0,0,00003109", balanced_val="00003110_000.png,0,1,0,00003110")
    (tmp_path / "LongTailCXR" / LT.format("test")).write_text(
        "id,No Finding,Mass,Tortuous Aorta\n00003111_000.png,1.0,0.0,0.0\n"
    )
    labels = long_tailed_labels(tmp_path, "nih_cxr_lt", ENTRIES)
    assert labels.problems == ()
    assert labels.classes == ("Mass", "Tortuous Aorta", "No Finding")
    assert labels.states["00003111_000.png"] == ("negative", "negative", "positive")
    assert labels.split_of == {"00003109_000.png": "train", "00003110_000.png": "val", "00003111_000.png": "test"}


def test_the_balanced_test_list_is_a_choice_of_its_own(tmp_path):
    write_lists(tmp_path, test="00003109_000.png,1,0,0,00003109\n00003110_000.png,1,0,0,00003110")
    write_lists(tmp_path, balanced_test="00003110_000.png,1,0,0,00003110")
    assert len(long_tailed_labels(tmp_path, "nih_cxr_lt", ENTRIES).states) == 2
    assert len(long_tailed_labels(tmp_path, "nih_cxr_lt_balanced", ENTRIES).states) == 1


def test_lists_that_are_not_there_are_noted(tmp_path):
    write_lists(tmp_path, train="00003109_000.png,1,0,0,00003109")
    notes = long_tailed_labels(tmp_path, "nih_cxr_lt", ENTRIES).notes
    assert any("not there: nih-cxr-lt_single-label_balanced-val.csv" in note for note in notes)


def test_prunecxr_has_several_labels_and_its_own_name_for_the_patient(tmp_path):
    (tmp_path / "PruneCXR").mkdir()
    (tmp_path / "PruneCXR/miccai2023_nih-cxr-lt_labels_train.csv").write_text(
        "id,Mass,Tortuous Aorta,subj_id\n00003109_000.png,1,1,3109\n"
    )
    labels = long_tailed_labels(tmp_path, "prune_cxr", ENTRIES)
    assert labels.classes == ("Mass", "Tortuous Aorta")
    assert labels.states == {"00003109_000.png": ("positive", "positive")}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("00009999_000.png,1,0,0,9999", "does not stand in the label file"),
        ("00003109_000.png,1,0,0,00003110", "belongs to patient 3110; the label file says 3109"),
        ("00003109_000.png,1,-1,0,00003109", "label '-1' is unknown; expected 0 or 1"),
        ("00003109_000.png,1,,0,00003109", "label '' is unknown"),
        ("../00003109_000.png,1,0,0,00003109", "must be relative"),
        ("00003109_000.png,1,0,0,00003109\n00003109_000.png,1,0,0,00003109", "in the list of train already"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    [problem] = long_tailed_labels(write_lists(tmp_path, train=row), "nih_cxr_lt", ENTRIES).problems
    assert problem.startswith("nih-cxr-lt_single-label_train.csv, line ")
    assert message in problem


def test_lists_of_two_releases_are_refused(tmp_path):
    write_lists(tmp_path, train="00003109_000.png,1,0,0,00003109")
    (tmp_path / "LongTailCXR" / LT.format("test")).write_text("id,Mass\n00003111_000.png,1\n")
    with pytest.raises(DataError, match="has the classes No Finding, Tortuous Aorta more or less"):
        long_tailed_labels(tmp_path, "nih_cxr_lt", ENTRIES)


def test_no_list_at_all_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected the lists of 'prune_cxr'"):
        long_tailed_labels(tmp_path, "prune_cxr", ENTRIES)
