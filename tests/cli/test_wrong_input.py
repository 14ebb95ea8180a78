"""Wrong input ends with exit code 2 and a sentence that helps, before anything is trained."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def refusal(invoke, tiny):
    """Run the tiny experiment and return what was said when it was refused."""

    def run(*more):
        result = invoke("run", tiny.configuration, "--out", tiny.out, *more)
        assert result.exit_code == 2, result.output
        assert not (tiny.out / "runs").exists()
        assert "Error: " in result.stderr
        return result.stderr

    return run


def test_a_missing_root_is_refused(tiny, refusal):
    tiny.configure(data={"root": "nowhere"})
    assert "nowhere does not exist; expected the files of 'csv' there: check `root`" in refusal()


def test_a_missing_image_folder_is_refused(tiny, refusal):
    shutil.rmtree(tiny.root / "images")
    assert "images does not exist; expected the images there: set `images`" in refusal()


def test_a_missing_label_table_is_refused(tiny, refusal):
    (tiny.root / "labels.csv").unlink()
    assert "labels.csv does not exist; expected a CSV or TSV file: check the name" in refusal()


def test_missing_images_are_counted_and_named_with_their_line(tiny, refusal):
    (tiny.root / "images/03.png").unlink()
    (tiny.root / "images/05.png").unlink()
    said = refusal()
    assert "2 of 24 images are missing below" in said
    assert "'03.png (labels.csv, line 5)', '05.png (labels.csv, line 7)'; restore them" in said


def test_unreadable_and_truncated_images_are_all_named(tiny, refusal):
    (tiny.root / "images/03.png").write_text("this is no image")
    truncated = tiny.root / "images/05.png"
    truncated.write_bytes(truncated.read_bytes()[:300])
    said = refusal()
    assert "2 problems in the data:" in said
    assert "03.png cannot be read as an image" in said
    assert "05.png cannot be read as an image (image file is truncated)" in said
    assert "replace the file or leave its row out" in said


def test_a_label_that_is_not_0_1_or_blank_is_refused(tiny, refusal):
    tiny.change("labels.csv", "mass", lambda table: ["2", *table["mass"][1:]])
    said = refusal()
    assert "column 'mass' is mostly 0, 1, -1 or blank, but not everywhere" in said
    assert "column 'mass' holds '2' in line 2" in said


def test_a_label_column_of_words_is_refused(tiny, refusal):
    tiny.change("labels.csv", "mass", lambda table: ["yes" if cell == "1" else "no" for cell in table["mass"]])
    tiny.configure(data={"args": {"patient_column": "patient", "classes": ["mass", "effusion"]}})
    assert "column 'mass' holds 'no' in line 2 and 23 more cells; expected 0, 1, -1 or blank" in refusal()


def test_a_class_without_positives_in_training_is_refused(tiny, refusal):
    tiny.change(
        "labels.csv",
        "mass",
        lambda table: [
            "0" if split == "train" else cell for cell, split in zip(table["mass"], table["split"], strict=True)
        ],
    )
    said = refusal()
    assert "class 'mass' has 0 positive and 12 negative training images; expected at least 1 of each" in said


def test_an_annotation_of_an_unknown_image_is_refused(tiny, refusal):
    tiny.change("boxes.csv", "image", lambda _: ["99.png"])
    assert "boxes.csv, line 2: no image is named '99.png'; correct the name or remove the row" in refusal()


def test_a_box_outside_its_frame_is_refused(tiny, refusal):
    tiny.change("boxes.csv", "x1", lambda _: ["90"])
    said = refusal()
    assert "boxes.csv, line 2: box [1.0, 1.0, 90.0, 9.0] lies outside its frame of 32 × 32 pixels" in said


def test_an_inverted_box_is_refused(tiny, refusal):
    tiny.change("boxes.csv", "x1", lambda _: ["0"])
    assert "boxes.csv, line 2: box [1.0, 1.0, 0.0, 9.0] is inverted or empty; expected x0 < x1" in refusal()


def test_a_patient_in_two_splits_is_refused(tiny, refusal):
    tiny.change("labels.csv", "patient", lambda table: ["p0" if name == "p2" else name for name in table["patient"]])
    assert "patient 'p0' stands in train, val (images '00.png', '01.png', '04.png', '05.png')" in refusal()


def test_an_unknown_layer_is_refused_with_the_nearest(tiny, refusal):
    tiny.configure(lenses={"alignment": {"layer": "layer9"}})
    said = refusal()
    assert "no layer is named 'layer9'; nearest: layer4" in said
    assert "the outermost layers are: conv1" in said


def test_an_unknown_network_is_refused_with_the_nearest(tiny, refusal):
    tiny.configure(model={"name": "resnet999"})
    assert "no timm model is named 'resnet999'; nearest: resnet" in refusal()


def test_a_file_in_place_of_the_experiments_folder_is_refused(tiny, refusal):
    tiny.out.write_text("in the way")
    assert "out is no folder; choose another --out" in refusal()


@pytest.mark.parametrize("mode", [(), ("--dry-run",)])
def test_the_folder_of_another_configuration_is_refused(invoke, finished, tiny, mode):
    before = sorted(finished.rglob("*.parquet"))
    result = invoke("run", tiny.configuration, "--out", finished, *mode)
    assert result.exit_code == 2
    assert f"{finished} holds an experiment with other data, fingerprint, training" in result.stderr
    assert "added arms, seeds and lenses extend a folder, anything else needs another --out" in result.stderr
    assert sorted(finished.rglob("*.parquet")) == before
