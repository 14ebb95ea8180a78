"""From a folder to the data of an experiment."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, LeakageError
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.data import files as files_module
from tailscope.sources import CsvTables

SETTINGS = DataSettings(image_size=(4, 5), split=SplitSettings(test=0.3, val=0.2))
SHAPES = "image,class,x0,y0,x1,y1\n02.png,mass,0,0,4,4\n03.png,mass,2,2,6,6\n04.png,mass,0,0,4,4\n"


@pytest.fixture
def source():
    return CsvTables(patient_column="patient")


def test_a_folder_becomes_data(csv_folder, source, tmp_path):
    data = prepare(source(csv_folder()), SETTINGS, tmp_path / "cache")
    assert data.classes == ("mass", "hernia")
    assert data.pixels.shape == (60, 4, 5, 1)
    assert data.targets.dtype == np.float32
    assert set(data.split.tolist()) == {"train", "val", "test"}
    assert data.patients_known
    assert all(len(set(data.split[data.patient_ids == patient])) == 1 for patient in set(data.patient_ids))
    assert data.split.size == 60


def test_pairs_are_annotated_positives_only(csv_folder, tmp_path):
    folder = csv_folder(shapes=SHAPES)
    dataset = CsvTables(patient_column="patient", annotations="shapes.csv")(folder)
    data = prepare(dataset, SETTINGS, tmp_path / "cache")
    assert data.annotated.tolist() == [[2, 0], [3, 0]]  # 04 belongs to p2, who has no mass
    assert data.masks(2, "mass").astype(int).tolist() == [[1, 1, 0, 0, 0]] * 2 + [[0] * 5] * 2
    assert data.masks(0, "mass") is None
    assert "1 annotated pairs of image and class are not positive by label, and are not used" in data.notes


def test_the_fingerprint_depends_on_neither_place_nor_row_order(csv_folder, source, tmp_path):
    folder = csv_folder()
    first = prepare(source(folder), SETTINGS, tmp_path / "cache")
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copytree(folder / "images", moved / "images")
    header, *rows = (folder / "labels.csv").read_text().splitlines()
    (moved / "labels.csv").write_text("\n".join([header, *reversed(rows)]))
    second = prepare(source(moved), SETTINGS, tmp_path / "other")
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.split, second.split)


def test_the_fingerprint_depends_on_labels_split_pixels_and_shapes(csv_folder, source, tmp_path):
    folder = csv_folder(shapes=SHAPES)
    prints = {prepare(source(folder), SETTINGS, tmp_path / "cache").fingerprint}
    shaped = CsvTables(patient_column="patient", annotations="shapes.csv")
    prints.add(prepare(shaped(folder), SETTINGS, tmp_path / "cache").fingerprint)
    other_seed = DataSettings(image_size=(4, 5), split=SplitSettings(test=0.3, val=0.2, seed=1))
    prints.add(prepare(source(folder), other_seed, tmp_path / "cache").fingerprint)
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace("01.png,p0,0,1", "01.png,p0,0,0"))
    prints.add(prepare(source(folder), SETTINGS, tmp_path / "cache").fingerprint)
    Image.fromarray(np.zeros((8, 10), dtype=np.uint8)).save(folder / "images/00.png")
    prints.add(prepare(source(folder), SETTINGS, tmp_path / "cache").fingerprint)
    assert len(prints) == 5


def test_a_second_preparation_reads_no_image(csv_folder, source, tmp_path, monkeypatch):
    folder = csv_folder()
    first = prepare(source(folder), SETTINGS, tmp_path / "cache")
    monkeypatch.setattr(files_module, "decode", None)
    monkeypatch.setattr(files_module.hashlib, "file_digest", None)
    second = prepare(source(folder), SETTINGS, tmp_path / "cache")
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.pixels, second.pixels)


def test_without_patients_every_image_is_its_own_cluster(csv_folder, tmp_path):
    labels = "image,mass\n" + "".join(f"{number:02}.png,{number % 2}\n" for number in range(20))
    data = prepare(CsvTables()(csv_folder(labels=labels)), SETTINGS, tmp_path / "cache")
    assert not data.patients_known
    assert len(set(data.patient_ids.tolist())) == 20


def test_nothing_of_exif_data_is_kept(csv_folder, source, tmp_path):
    folder = csv_folder()
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Ada Example"  # orientation, artist
    for path in (folder / "images").iterdir():
        with Image.open(path) as image:
            image.save(path, exif=exif)
        assert b"Ada Example" in path.read_bytes()
    dataset = source(folder)
    data = prepare(dataset, DataSettings(image_size=(10, 8), split=SETTINGS.split), tmp_path / "cache")
    kept = [path.read_bytes() for path in (tmp_path / "cache").iterdir()]
    assert not any(b"Ada Example" in content for content in (*kept, pickle.dumps(dataset), pickle.dumps(data)))
    with Image.open(folder / "images/00.png") as image:
        assert np.array_equal(data.pixels[0, ..., 0], np.rot90(np.asarray(image), -1))


def test_all_unreadable_images_are_named(csv_folder, source, tmp_path):
    folder = csv_folder()
    (folder / "images/07.png").write_bytes(b"no image")
    whole = (folder / "images/11.png").read_bytes()
    (folder / "images/11.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"(?s)07\.png cannot be read.*11\.png cannot be read"):
        prepare(source(folder), SETTINGS, tmp_path / "cache")


def test_a_class_without_positives_in_training_is_refused(csv_folder, tmp_path):
    labels = "image,mass,hernia\n" + "".join(f"{number:02}.png,{number % 2},0\n" for number in range(20))
    with pytest.raises(DataError, match=r"class 'hernia' has 0 positive and .* negative training images"):
        prepare(CsvTables()(csv_folder(labels=labels)), SETTINGS, tmp_path / "cache")


def test_a_patient_in_two_published_splits_is_refused(csv_folder, tmp_path):
    rows = "".join(f"{n:02}.png,p{n},{n % 2},{('train', 'val', 'test')[n % 3]}\n" for n in range(18))
    folder = csv_folder(labels=f"image,patient,mass,split\n{rows}18.png,p0,1,test\n")
    with pytest.raises(LeakageError, match=r"patient 'p0' stands in test, train \(images '00\.png', '18\.png'\)"):
        prepare(CsvTables(patient_column="patient", split_column="split")(folder), SETTINGS, tmp_path / "cache")


def test_one_image_in_two_published_splits_is_refused(csv_folder, tmp_path):
    rows = "".join(f"{n:02}.png,{n % 2},{('train', 'val', 'test')[n % 3]}\n" for n in range(18))
    folder = csv_folder(labels=f"image,mass,split\n{rows}")
    shutil.copy(folder / "images/00.png", folder / "images/02.png")
    with pytest.raises(LeakageError, match=r"'00\.png', '02\.png' have the same content and stand in test, train"):
        prepare(CsvTables(split_column="split")(folder), SETTINGS, tmp_path / "cache")


def test_patients_who_share_an_image_stay_in_one_split_of_our_own(csv_folder, source, tmp_path):
    folder = csv_folder()
    for number in range(2, 40, 2):
        shutil.copy(folder / "images/00.png", folder / f"images/{number:02}.png")
    data = prepare(source(folder), SETTINGS, tmp_path / "cache")
    assert len(set(data.split[:40:2].tolist())) == 1
    note = "1 groups of images have the same content, 1 of them with different labels; each group stays in one split"
    assert note in data.notes


def test_binary_labels_make_one_class(csv_folder, source, tmp_path):
    settings = DataSettings(image_size=(4, 5), labels="binary", split=SETTINGS.split)
    data = prepare(source(csv_folder()), settings, tmp_path / "cache")
    assert data.classes == ("any finding",)
    assert data.targets.shape == (60, 1)


def test_probabilities_are_for_training_images_and_in_the_fingerprint(csv_folder, tmp_path):
    cells = ["1", "0", "-1"]
    lines = [f"{number:02}.png,p{number},{cells[number % 3]}" for number in range(60)]
    dataset = CsvTables()(csv_folder(labels="image,patient,mass\n" + "\n".join(lines)))
    plain, soft, softer = (
        prepare(dataset, replace(SETTINGS, uncertain=policy), tmp_path / "cache")
        for policy in ("ignore", "soft(0.7)", "soft(0.2)")
    )
    assert plain.soft is None
    assert np.array_equal(soft.targets, plain.targets, equal_nan=True)
    assert np.array_equal(soft.split, plain.split)
    doubtful = (np.arange(60) % 3 == 2) & (soft.split == "train")
    assert np.allclose(soft.soft[:, 0], np.where(doubtful, 0.7, np.nan), equal_nan=True)
    assert soft.counts == plain.counts
    assert len({plain.fingerprint, soft.fingerprint, softer.fingerprint}) == 3
