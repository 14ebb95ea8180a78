"""Inspecting a data set."""

from __future__ import annotations

import shutil

import numpy as np
from PIL import Image

from tailscope.data import DataSettings, inspect_dataset
from tailscope.sources import CsvTables

LABELS = (
    "image,patient,mass,edema,split\n00.png,p0,1,0,train\n01.png,p0,,-1,test\n02.png,p1,0,1,test\n03.png,p2,1,0,val\n"
)


def inspect(csv_folder, **settings):
    folder = csv_folder(labels=LABELS, shapes="image,class,x0,y0,x1,y1\n00.png,mass,0,0,2,2\n02.png,mass,0,0,2,2\n")
    shutil.copy(folder / "images/00.png", folder / "images/03.png")
    (folder / "images/02.png").write_bytes(b"no image")
    source = CsvTables(
        patient_column="patient", split_column="split", annotations="shapes.csv", annotation_size=(8, 10)
    )
    return inspect_dataset(source(folder), **settings)


def test_states_targets_and_imbalance_are_counted(csv_folder):
    found = inspect(csv_folder)
    assert (found.images, found.patients, found.patients_known) == (4, 3, True)
    assert found.states.to_numpy().tolist() == [["mass", 2, 1, 0, 1], ["edema", 1, 2, 1, 0]]
    assert found.classes[["positive", "negative", "unknown"]].to_numpy().tolist() == [[2, 2, 0], [1, 2, 1]]
    assert found.classes["ratio"].tolist() == [1, 2]
    assert found.imbalance == 2


def test_settings_choose_what_is_counted(csv_folder):
    found = inspect(csv_folder, settings=DataSettings(classes=("edema",), uncertain="ones"))
    assert found.classes[["class", "positive"]].to_numpy().tolist() == [["edema", 2]]


def test_annotations_are_counted_by_class_and_kind(csv_folder):
    assert inspect(csv_folder).annotations.to_numpy().tolist() == [["mass", "box", 2, 2, 1]]


def test_broken_files_sizes_duplicates_and_leakage_are_found(csv_folder):
    found = inspect(csv_folder)
    assert found.sizes.to_numpy().tolist() == [[8, 10, 1, 3]]
    assert len(found.unreadable) == 1
    assert "02.png cannot be read" in found.unreadable[0]
    assert found.duplicates == (("00.png", "03.png"),)
    assert [problem.split(" stand")[0] for problem in found.leakage] == [
        "patient 'p0'",
        "images '00.png', '03.png' have the same content and",
    ]
    assert found.splits.to_numpy().tolist() == [["train", 1, 1], ["val", 1, 1], ["test", 2, 2]]


def test_decoding_can_be_left_out(csv_folder):
    found = inspect(csv_folder, decode=False)
    assert found.sizes.empty
    assert found.unreadable == ()


def test_progress_counts_every_image(csv_folder):
    seen: list[tuple[int, int]] = []
    inspect(csv_folder, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 4) for number in range(1, 5)]


def test_a_class_without_positives_makes_the_imbalance_unknown(csv_folder):
    folder = csv_folder(labels="image,mass,edema\n00.png,1,0\n01.png,0,0\n")
    assert np.isnan(inspect_dataset(CsvTables()(folder)).imbalance)


def test_a_picture_that_was_saved_again_for_another_patient_is_named(csv_folder):
    folder = csv_folder()
    pixels = np.random.default_rng(5).integers(0, 256, (90, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "images/10.png")
    Image.fromarray(pixels).save(folder / "images/30.jpg", quality=80)
    labels = (folder / "labels.csv").read_text().replace("30.png", "30.jpg")
    (folder / "labels.csv").write_text(labels)
    found = inspect_dataset(CsvTables(patient_column="patient")(folder))
    assert len(found.near_duplicates) == 1
    assert found.near_duplicates[0].startswith("10.png and 30.jpg, likeness 0.9")
    assert found.duplicates == ()
