"""Recognising the source of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailscope.data import DATASETS, recognise

SHARED = Path(__file__).resolve().parents[3] / "shared"
CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding\n"


@pytest.mark.parametrize("place", ["train.csv", "CheXpert-v1.0-small/valid.csv", "CheXpert/test_labels.csv"])
def test_chexpert_is_known_by_its_header(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(CHEXPERT)
    assert recognise(tmp_path) == "chexpert"


def test_a_table_of_image_names_is_csv(csv_folder):
    assert recognise(csv_folder()) == "csv"


def test_an_unknown_folder_is_none(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00")
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "nowhere") is None


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.needs_data
@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("chula_rbc12", "chula_rbc12"),
        ("nih1000_64px", "nih_chestxray14"),
        ("nih_full_metadata", "nih_chestxray14"),
    ],
)
def test_real_folders_are_recognised(folder, name):
    assert recognise(SHARED / "data" / folder) == name
    assert name in DATASETS.names()
