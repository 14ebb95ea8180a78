"""The source `siim_pneumothorax`, against made files with the real header."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailscope.core import DataError, InputError
from tailscope.core.geometry import decode_rle
from tailscope.data.masks import MaskDrawer
from tailscope.data.text_tables import TextTable
from tailscope.sources import SiimPneumothorax, recognise
from tailscope.sources.run_lengths import rle_from_absolute
from tailscope.sources.siim import read_masks

HEADER = "ImageId, EncodedPixels"  # with its leading space, as published
ROWS = ("1.2.a,-1", "1.2.b, 2050 3 1021 3", "1.2.c,0 1 5 2", "1.2.c,1048574 2", "1.2.d, -1")
IDS = ("1.2.a", "1.2.b", "1.2.c", "1.2.d")


@pytest.fixture
def folder(tmp_path, write_dicom):
    def build(rows=ROWS, *, name="train-rle.csv", header=HEADER, images=IDS) -> Path:
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        for image in images:
            write_dicom(tmp_path / f"dicom-images-train/study-{image}/series/{image}.dcm", PatientSex="M")
        return tmp_path

    return build


def masks(dataset) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {}
    for image, geometry in zip(dataset.annotations["image_id"], dataset.annotations["geometry"], strict=True):
        found.setdefault(image, []).append(decode_rle(json.loads(geometry)))
    return found


def drawn_by_the_rule(text: str) -> np.ndarray:
    """The published rule, pixel by pixel: go on by the gap, set the run, go on behind it; columns first."""
    flat, at = np.zeros(1024 * 1024, dtype=bool), 0
    numbers = [int(field) for field in text.split()]
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        at += gap
        flat[at : at + length] = True
        at += length
    return flat.reshape(1024, 1024).T


def test_a_gap_counts_from_the_end_of_the_run_before_and_runs_go_down_the_columns(folder):
    mask = masks(SiimPneumothorax()(folder()))["1.2.b"][0]
    rows, columns = np.nonzero(mask)
    assert sorted(set(columns)) == [2, 3]
    assert sorted(set(rows)) == [2, 3, 4]
    assert mask.sum() == 6


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 3000)), min_size=1, max_size=60))
def test_masks_are_those_of_the_published_rule(pairs):
    text = " ".join(f"{gap} {length}" for gap, length in pairs)
    shapes, _, problems = read_masks(TextTable("t.csv", ("ImageId", "EncodedPixels"), (("a", text),), (2,)))
    assert problems == []
    assert np.array_equal(decode_rle(shapes[0][3]), drawn_by_the_rule(text))


def test_read_as_absolute_starts_the_same_numbers_give_another_mask():
    text = "4 2 9 2 20 1"
    shapes, _, _ = read_masks(TextTable("t.csv", ("ImageId", "EncodedPixels"), (("a", text),), (2,)))
    assert shapes[0][3] != rle_from_absolute(text, (1024, 1024))
    assert np.flatnonzero(decode_rle(shapes[0][3]).T).tolist() == [4, 5, 15, 16, 37]


def test_several_masks_of_an_image_stay_apart_and_are_united_when_drawn(folder):
    dataset = SiimPneumothorax()(folder())
    assert [len(found) for found in masks(dataset).values()] == [1, 2]
    sizes = np.full((len(dataset.images), 2), 1024, dtype=np.int32)
    ids = dataset.images["image_id"].to_numpy(dtype=str)
    drawer = MaskDrawer(dataset.annotations, ids, sizes, frame=(1024, 1024), resize="stretch")
    first, second = masks(dataset)["1.2.c"]
    assert np.array_equal(drawer(IDS.index("1.2.c"), "Pneumothorax"), first | second)


def test_minus_one_is_negative_with_and_without_a_blank_before_it(folder):
    labels = SiimPneumothorax()(folder()).labels
    assert labels["state"].tolist() == ["negative", "positive", "positive", "negative"]


def test_rows_of_one_image_are_one_image_and_no_patient_is_claimed(folder):
    dataset = SiimPneumothorax()(folder())
    assert dataset.images["image_id"].tolist() == list(IDS)
    assert dataset.images["patient_id"].isna().all()
    notes = " ".join(dataset.notes)
    assert "5 rows of train-rle.csv are 4 images, 2 with 3 masks" in notes
    assert "1 images have several masks" in notes
    assert "no patient is published" in notes


def test_rows_of_the_published_counts_are_12047_images_2669_of_them_positive():
    rows = [(f"n{number}", " -1") for number in range(9378)]
    rows += [(f"p{number}", "7 9") for number in range(2669)] + [(f"p{number % 624}", "5 5") for number in range(907)]
    assert len(rows) == 12954
    shapes, _, problems = read_masks(
        TextTable("train-rle.csv", ("ImageId", "EncodedPixels"), tuple(rows), tuple(range(len(rows))))
    )
    assert (len({row[0] for row in rows}), len({shape[0] for shape in shapes})) == (12047, 2669)
    assert (len(shapes), problems) == (3576, [])


@pytest.mark.parametrize(
    ("name", "header"), [("stage_2_train.csv", "ImageId,EncodedPixels"), ("train-rle.csv", HEADER)]
)
def test_both_stages_are_read_and_recognised(folder, name, header):
    root = folder(name=name, header=header)
    assert recognise(root).source == "siim_pneumothorax"
    assert recognise(root).variant == name
    assert len(SiimPneumothorax()(root).images) == 4


def test_another_competition_with_these_columns_is_not_claimed(folder):
    assert recognise(folder(name="train_ship_segmentations_v2.csv")) is None


def test_images_without_row_and_rows_without_image_are_told(folder):
    root = folder(images=("1.2.a", "1.2.b", "1.2.c", "1.2.x"))
    with pytest.raises(DataError, match=r"1 of 4 listed images are missing.*'1\.2\.d'.*missing: skip"):
        SiimPneumothorax()(root)
    dataset = SiimPneumothorax(missing="skip")(root)
    assert dataset.images["image_id"].tolist() == list(IDS[:3])
    assert "1 listed images are not on disk" in " ".join(dataset.notes)
    assert "1 images on disk are not listed" in " ".join(dataset.notes)


def test_headers_are_read_only_if_asked_for(folder):
    root = folder()
    assert SiimPneumothorax()(root).images["sex"].isna().all()
    assert SiimPneumothorax(headers=True)(root).images["sex"].tolist() == ["M"] * 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.2.a,1 2", "line 7: image '1.2.a' has a mask, and none by train-rle.csv, line 2"),
        ("1.2.b,", "line 7: the mask of '1.2.b' is blank"),
        ("1.2.b,1 2 3", "line 7: .*expected pairs"),
        ("1.2.b,1 x", "line 7: .*expected whole numbers"),
        ("1.2.b,1048575 2", "line 7: .*end at pixel 1048577"),
    ],
)
def test_a_wrong_row_is_refused(folder, row, message):
    with pytest.raises(DataError, match=message):
        SiimPneumothorax()(folder((*ROWS, row)))


def test_absolute_run_lengths_are_not_silently_taken_for_relative_ones(folder):
    starts = " ".join(f"{start} 40" for start in range(300000, 310000, 1024))
    with pytest.raises(DataError, match="expected all within it"):
        SiimPneumothorax()(folder((*ROWS, f"1.2.b,{starts}")))


def test_a_folder_without_the_table_and_unknown_settings_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no stage_2_train\.csv or train-rle\.csv"):
        SiimPneumothorax()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        SiimPneumothorax(missing="no")  # type: ignore[arg-type]
