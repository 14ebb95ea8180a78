"""Recognising the source of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailscope.core import DataError
from tailscope.data import DATASETS
from tailscope.data.registry import Recognising
from tailscope.sources import recognise

SHARED = Path(__file__).resolve().parents[3] / "shared"
CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding\n"


@pytest.mark.parametrize("place", ["train.csv", "CheXpert-v1.0-small/valid.csv", "CheXpert/test_labels.csv"])
def test_chexpert_is_known_by_its_header(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(CHEXPERT)
    assert recognise(tmp_path).source == "chexpert"


def test_a_table_of_image_names_is_csv(csv_folder):
    assert recognise(csv_folder()).source == "csv"


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
    assert recognise(SHARED / "data" / folder).source == name
    assert name in DATASETS.names()


def test_a_folder_with_two_published_sets_is_refused_and_both_are_named(tmp_path):
    (tmp_path / "train.csv").write_text(CHEXPERT)
    (tmp_path / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient Gender\n")
    with pytest.raises(DataError, match=r"chexpert \(train.csv\); nih_chestxray14 \(.*Patient Gender\)"):
        recognise(tmp_path)


def test_every_adapter_is_an_entry_point_knows_its_files_and_a_published_one_states_its_terms():
    for name in set(DATASETS.names()) - {"phantom", "pasted"}:
        source = DATASETS.find(name)
        assert isinstance(source, Recognising)
        assert source.is_format or (source.terms.licence and source.terms.access)
        assert source.__module__.startswith("tailscope.sources.")
