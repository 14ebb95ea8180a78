"""Images that look alike never stand in two splits unnoticed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tailscope.core import LeakageError
from tailscope.data import DataSettings, SplitSettings, lookalikes, prepare
from tailscope.data.lookalikes import joined
from tailscope.data.near_duplicates import NearPair
from tailscope.sources import CsvTables

FRAME = (48, 48)


@pytest.fixture
def folder(csv_folder):
    """60 pictures of 30 patients; 10 of p5 and 30 of p15 are one picture, saved twice."""
    root = csv_folder()
    random = np.random.default_rng(0)
    for number in range(60):
        save(random.integers(0, 256, (48, 48), dtype=np.uint8), root, number)
    picture = random.integers(0, 256, (48, 48), dtype=np.uint8)
    save(picture, root, 10)
    save((255 * (picture / 255) ** 0.8).astype(np.uint8), root, 30)
    return root


def save(pixels, root, number):
    Image.fromarray(pixels).save(root / f"images/{number:02}.png")


def published(root):
    """A split in which only the pair stands apart: every third patient tests, every third validates."""
    header, *rows = (root / "labels.csv").read_text().splitlines()
    names = ("train", "val", "test")
    split = [names[(number // 2 + (number // 2 >= 12)) % 3] for number in range(60)]
    lines = [f"{header},split", *(f"{row},{name}" for row, name in zip(rows, split, strict=True))]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return CsvTables(patient_column="patient", split_column="split")(root)


def settings(**changes):
    return DataSettings(image_size=FRAME, **{"split": SplitSettings(test=0.3, val=0.2), **changes})


def where(data, *names):
    return [str(data.split[data.image_ids.tolist().index(name)]) for name in names]


@pytest.mark.parametrize("seed", range(6))
def test_a_split_that_is_cut_keeps_them_together(folder, tmp_path, seed):
    source = CsvTables(patient_column="patient")(folder)
    data = prepare(source, settings(split=SplitSettings(test=0.3, val=0.2, seed=seed)), tmp_path / "cache")
    assert len(set(where(data, "10.png", "11.png", "30.png", "31.png"))) == 1
    assert any(
        "1 pairs of images of different groups look alike (most: 10.png and 30.png" in note for note in data.notes
    )


def test_a_published_split_that_separates_them_is_refused_with_both_named(folder, tmp_path):
    with pytest.raises(LeakageError, match=r"10.png in test and 30.png in val .*near_duplicates: report"):
        prepare(published(folder), settings(), tmp_path / "cache")


def test_it_may_be_kept_and_is_then_in_the_notes(folder, tmp_path):
    data = prepare(published(folder), settings(near_duplicates="report"), tmp_path / "cache")
    assert where(data, "10.png", "30.png") == ["test", "val"]
    assert any("1 of them in two splits" in note for note in data.notes)


def test_they_are_looked_for_once(folder, tmp_path, monkeypatch):
    source = CsvTables(patient_column="patient")(folder)
    first = prepare(source, settings(), tmp_path / "cache")
    monkeypatch.setattr(lookalikes, "near_duplicates", None)
    assert prepare(source, settings(), tmp_path / "cache").fingerprint == first.fingerprint


def test_groups_of_a_chain_of_pairs_become_one():
    pairs = (NearPair(0, 1, 1.0), NearPair(1, 2, 1.0))
    assert joined(np.array(["c", "b", "a", "d"]), pairs).tolist() == ["a", "a", "a", "d"]
