"""The source `medmnist`, against files with the published keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tailscope.core import DataError, InputError
from tailscope.sources import MedMnist


def write_npz(path: Path, labels: dict[str, list[list[int]]], side: int = 28, channels: int | None = None) -> Path:
    arrays = {}
    for split, rows in labels.items():
        shape = (len(rows), side, side) if channels is None else (len(rows), side, side, channels)
        numbers = np.arange(len(rows), dtype=np.uint8).reshape(-1, *[1] * (len(shape) - 1))
        arrays[f"{split}_images"] = np.broadcast_to(numbers, shape)
        arrays[f"{split}_labels"] = np.array(rows, dtype=np.uint8).reshape(len(rows), -1)
    np.savez_compressed(path, **arrays)
    return path.parent


def positives(dataset) -> list[tuple[str, str]]:
    labels = dataset.labels[dataset.labels["state"] == "positive"]
    return list(zip(labels["image_id"], labels["class"], strict=True))


def test_chest_labels_are_fourteen_columns_and_a_row_of_zeros_is_no_finding(tmp_path):
    none, two = [0] * 14, [1, *[0] * 12, 1]
    root = write_npz(tmp_path / "chestmnist.npz", {"train": [none, two], "val": [none], "test": [two]})
    dataset = MedMnist()(root)
    assert positives(dataset) == [
        ("test_000000", "atelectasis"),
        ("test_000000", "hernia"),
        ("train_000001", "atelectasis"),
        ("train_000001", "hernia"),
    ]
    assert len(dataset.labels) == 4 * 14
    assert not dataset.flips_allowed


def test_breastmnist_0_is_malignant(tmp_path):
    root = write_npz(tmp_path / "breastmnist.npz", {"train": [[0]], "val": [[1]], "test": [[0]]})
    assert positives(MedMnist()(root)) == [
        ("test_000000", "malignant"),
        ("train_000000", "malignant"),
        ("val_000000", "normal, benign"),
    ]


def test_grades_are_classes_in_their_order(tmp_path):
    root = write_npz(tmp_path / "retinamnist.npz", {"train": [[4]], "val": [[0]], "test": [[2]]}, channels=3)
    dataset = MedMnist()(root)
    assert dataset.classes == ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4")
    assert [name for _, name in positives(dataset)] == ["grade 2", "grade 4", "grade 0"]
    assert dataset.read_pixels(0).shape == (28, 28, 3)


def test_all_sizes_share_ids_labels_and_splits(tmp_path):
    labels = {"train": [[0], [1]], "val": [[1]], "test": [[0]]}
    write_npz(tmp_path / "pneumoniamnist.npz", labels)
    write_npz(tmp_path / "pneumoniamnist_224.npz", labels, side=224)
    small, large = MedMnist(size=28)(tmp_path), MedMnist(size=224)(tmp_path)
    assert small.images["image_id"].tolist() == large.images["image_id"].tolist()
    assert small.images["split"].tolist() == ["test", "train", "train", "val"]
    assert positives(small) == positives(large)
    assert large.read_pixels(2).shape == (224, 224)
    assert (large.read_pixels(2) == 1).all()


def test_no_patient_is_known_and_the_split_is_not_called_official(tmp_path):
    dataset = MedMnist()(write_npz(tmp_path / "octmnist.npz", {"train": [[0]], "val": [[1]], "test": [[3]]}))
    assert dataset.images["patient_id"].isna().all()
    assert "the split is MedMNIST's; no patient is published: every image is its own cluster" in dataset.notes


def test_the_known_leak_of_dermamnist_is_said(tmp_path):
    root = write_npz(tmp_path / "dermamnist.npz", {"train": [[0]], "val": [[1]], "test": [[6]]}, channels=3)
    assert any("one lesion may stand in several splits" in note for note in MedMnist()(root).notes)


def test_of_several_files_one_must_be_chosen(tmp_path):
    for name in ("octmnist.npz", "octmnist_64.npz"):
        write_npz(tmp_path / name, {"train": [[0]], "val": [[1]], "test": [[3]]}, side=64 if "64" in name else 28)
    assert MedMnist.recognise(tmp_path) == "octmnist.npz, octmnist_64.npz"
    with pytest.raises(DataError, match=r"2 files .* octmnist\.npz, octmnist_64\.npz; expected one.*set `subset`"):
        MedMnist()(tmp_path)
    assert MedMnist(subset="octmnist", size=64)(tmp_path).images["height"].tolist() == [64] * 3


def test_volumes_are_refused_with_a_reason(tmp_path):
    np.savez(tmp_path / "organmnist3d.npz", train_images=np.zeros((1, 28, 28, 28), np.uint8))
    with pytest.raises(DataError, match="holds volumes; expected images of two dimensions"):
        MedMnist()(tmp_path)


def test_other_archives_are_not_recognised(tmp_path):
    np.savez(tmp_path / "mnist.npz", a=np.zeros(1))
    np.savez(tmp_path / "results.npz", a=np.zeros(1))
    assert MedMnist.recognise(tmp_path) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"train": [[4]], "val": [[1]], "test": [[3]]}, "train_labels runs from 4 to 4; expected 0 to 3"),
        ({"train": [[0, 1]], "val": [[1]], "test": [[3]]}, "train_labels has 2 columns; expected 1"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        MedMnist()(write_npz(tmp_path / "octmnist.npz", labels))


def test_a_different_number_of_images_and_labels_is_refused(tmp_path):
    arrays = {f"{split}_images": np.zeros((2, 28, 28), np.uint8) for split in ("train", "val", "test")}
    arrays |= {f"{split}_labels": np.zeros((1 + (split != "val"), 1), np.uint8) for split in ("train", "val", "test")}
    np.savez(tmp_path / "octmnist.npz", **arrays)
    with pytest.raises(DataError, match="2 val images and 1 labels"):
        MedMnist()(tmp_path)


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`subset` is unknown; got 'chestminst'; did you mean 'chestmnist'"):
        MedMnist(subset="chestminst")
    with pytest.raises(InputError, match="`size` must be one of"):
        MedMnist(size=32)
