"""The source `idrid`, against folders and headers as published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.core.geometry import decode_rle
from tailscope.sources import Idrid

SIZE = (10, 16)
SETS = {"train": "a. Training Set", "test": "b. Testing Set"}
GRADES = "B. Disease Grading/2. Groundtruths"
DRAWN = np.zeros(SIZE, dtype=bool)
DRAWN[2:5, 9:14] = True


def write_image(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_grading(root: Path, train: str = "IDRiD_001,4,2\nIDRiD_002,0,0", *, twice: bool = False) -> Path:
    folder = "B. Disease Grading/B. Disease Grading" if twice else "B. Disease Grading"
    for number, (split, names) in enumerate((("train", ("001", "002")), ("test", ("001",)))):
        for name in names:
            path = root / folder / "1. Original Images" / SETS[split] / f"IDRiD_{name}.jpg"
            write_image(path, 10 * number + int(name))
    tables = root / folder / "2. Groundtruths"
    tables.mkdir()
    header = "Image name,Retinopathy grade,Risk of macular edema ,,,,,"
    rows = "\r\n".join(f"{row},,,,," for row in train.split("\n"))
    text = f"\ufeff{header}\r\n{rows}\r\n , ,,,,,,\r\n,,,,,,,\r\n"
    (tables / "a. IDRiD_Disease Grading_Training Labels.csv").write_text(text, newline="")
    (tables / "b. IDRiD_Disease Grading_Testing Labels.csv").write_text(f"{header.rstrip(',')}\nIDRiD_001,1,0\n")
    return root


def positives(dataset) -> list[tuple[str, str]]:
    labels = dataset.labels[dataset.labels["state"] == "positive"]
    return list(zip(labels["image_id"], labels["class"], strict=True))


@pytest.mark.parametrize("twice", [False, True])
def test_names_that_repeat_in_training_and_testing_are_two_images(tmp_path, twice):
    dataset = Idrid()(write_grading(tmp_path, twice=twice))
    assert dataset.images[["image_id", "split"]].to_numpy().tolist() == [
        ["B/test/IDRiD_001", "test"],
        ["B/train/IDRiD_001", "train"],
        ["B/train/IDRiD_002", "train"],
    ]
    assert positives(dataset) == [
        ("B/test/IDRiD_001", "retinopathy 1"),
        ("B/test/IDRiD_001", "macular edema risk 0"),
        ("B/train/IDRiD_001", "retinopathy 4"),
        ("B/train/IDRiD_001", "macular edema risk 2"),
        ("B/train/IDRiD_002", "retinopathy 0"),
        ("B/train/IDRiD_002", "macular edema risk 0"),
    ]


def test_an_image_without_grade_is_left_out_and_noted(tmp_path):
    dataset = Idrid()(write_grading(tmp_path, "IDRiD_001,4,2"))
    assert len(dataset.images) == 2
    assert "1 images have no grade and were left out" in dataset.notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("IDRiD_001,5,2", r"Training Labels\.csv, line 2: \('5', '2'\); expected a grade of 0 to 4"),
        ("IDRiD_001,x,2", "line 2: .*expected a grade"),
        ("IDRiD_007,1,2", r"1 images are named and not on disk: 'B/train/IDRiD_007'"),
    ],
)
def test_a_wrong_grade_is_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        Idrid()(write_grading(tmp_path, rows))


def test_headers_are_matched_by_their_letters_and_else_refused(tmp_path):
    write_grading(tmp_path)
    path = tmp_path / GRADES / "b. IDRiD_Disease Grading_Testing Labels.csv"
    path.write_text("Image,Grade\nIDRiD_001,1\n")
    with pytest.raises(DataError, match="has no column like 'imagename'; it has Image, Grade"):
        Idrid()(tmp_path)


def write_segmentation(root: Path, **masks: np.ndarray) -> Path:
    home = root / "A. Segmentation"
    write_image(home / "1. Original Images" / SETS["train"] / "IDRiD_01.jpg", 1)
    write_image(home / "1. Original Images" / SETS["test"] / "IDRiD_55.jpg", 2)
    for lesion, values in masks.items():
        folder = home / "2. All Segmentation Groundtruths" / SETS["train"] / f"1. {lesion}"
        folder.mkdir(parents=True)
        Image.fromarray(values).save(folder / f"IDRiD_01_{lesion}.tif")
    return root


def test_masks_are_lesions_and_a_missing_file_is_negative(tmp_path):
    red = DRAWN[..., None] * np.array([76, 0, 0], dtype=np.uint8)
    root = write_segmentation(tmp_path, MA=red, EX=DRAWN.astype(np.uint8), OD=np.zeros(SIZE, dtype=np.uint8))
    dataset = Idrid(part="segmentation")(root)
    assert positives(dataset) == [("A/train/IDRiD_01", "microaneurysms"), ("A/train/IDRiD_01", "hard exudates")]
    assert set(dataset.labels["state"]) == {"positive", "negative"}
    assert dataset.annotations["class"].tolist() == ["hard exudates", "microaneurysms"]
    assert all(np.array_equal(decode_rle(json.loads(text)), DRAWN) for text in dataset.annotations["geometry"])
    assert "1 masks are empty, which is negative" in dataset.notes


def test_a_mask_of_another_size_and_one_without_image_are_both_named(tmp_path):
    root = write_segmentation(tmp_path, MA=np.ones((3, 3), np.uint8), HE=DRAWN)
    folder = root / "A. Segmentation/2. All Segmentation Groundtruths" / SETS["train"] / "1. HE"
    (folder / "IDRiD_01_HE.tif").rename(folder / "IDRiD_02_HE.tif")
    with pytest.raises(DataError, match=r"(?s)not on disk: 'A/train/IDRiD_02'.*IDRiD_01_MA\.tif has \(3, 3\)"):
        Idrid(part="segmentation")(root)


def write_localization(root: Path, x: str = "12.5") -> Path:
    home = root / "C. Localization"
    write_image(home / "1. Original Images" / SETS["train"] / "IDRiD_001.jpg", 1)
    tables = {
        "1. Optic Disc Center Location/a. IDRiD_OD_Center_Training Set_Markups.csv": f"IDRiD_001,{x},3",
        "2. Fovea Center Location/IDRiD_Fovea_Center_Training Set_Markups.csv": "IDRiD_001,4,7",
    }
    for name, row in tables.items():
        path = home / "2. Groundtruths" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"Image No,X- Coordinate,Y - Coordinate,,\n{row},,\n,,,,\n")
    return root


def test_points_are_discs_x_before_y(tmp_path):
    dataset = Idrid(part="localization", point_radius_px=2)(write_localization(tmp_path))
    shapes = dict(zip(dataset.annotations["class"], dataset.annotations["geometry"].map(json.loads), strict=True))
    assert shapes == {"optic disc": [12.5, 3, 2], "fovea": [4, 7, 2]}
    assert set(dataset.annotations["ref_width"]) == {SIZE[1]}


@pytest.mark.parametrize(("x", "message"), [("right", "are no coordinates"), ("99", "line 2: point .* lies outside")])
def test_a_wrong_point_is_refused(tmp_path, x, message):
    with pytest.raises(DataError, match=message):
        Idrid(part="localization")(write_localization(tmp_path, x))


def test_the_root_may_be_one_of_the_three_folders(tmp_path):
    root = write_grading(tmp_path) / "B. Disease Grading"
    assert Idrid.recognise(tmp_path) == Idrid.recognise(root) == "B. Disease Grading"
    assert len(Idrid()(root).images) == 3


def test_a_part_that_is_not_there_is_refused(tmp_path):
    assert Idrid.recognise(tmp_path) is None
    with pytest.raises(DataError, match="holds no images of the part 'segmentation'"):
        Idrid(part="segmentation")(write_grading(tmp_path))


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`part` must be segmentation, grading, localization"):
        Idrid(part="A")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`point_radius_px` must be above 0"):
        Idrid(point_radius_px=0)
