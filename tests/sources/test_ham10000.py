"""The source `ham10000`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.core.geometry import decode_rle
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.sources import Ham10000

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"
ROWS = (
    "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp,vidir_modern",
    "HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp,vidir_modern",
    "HAM_0002730,ISIC_0026769,mel,histo,0.0,female,unknown,rosendahl",
    "HAM_0001466,ISIC_0031633,nv,follow_up,,unknown,ear,vidir_modern",
)
SIZE = (9, 12)


def write_image(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)


def write_set(root: Path, name: str = "HAM10000_metadata", rows: tuple[str, ...] = ROWS) -> Path:
    lines = "\n".join([HEADER, *rows])
    (root / name).write_text(lines.replace(",", "\t") if name.endswith(".tab") else lines)
    for number, row in enumerate(rows):
        write_image(root / f"HAM10000_images_part_{1 + number % 2}/{row.split(',')[1]}.jpg", number)
    return root


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.csv", "HAM10000_metadata.tab"])
def test_the_table_is_read_under_all_its_names(tmp_path, name):
    dataset = Ham10000()(write_set(tmp_path, name))
    positive = dataset.labels[dataset.labels["state"] == "positive"].set_index("image_id")["class"]
    assert positive.to_dict() == {
        "ISIC_0027419": "bkl",
        "ISIC_0025030": "bkl",
        "ISIC_0026769": "mel",
        "ISIC_0031633": "nv",
    }
    assert Ham10000.recognise(tmp_path) == name


def test_age_0_is_an_age_and_unknown_is_blank(tmp_path):
    images = Ham10000()(write_set(tmp_path)).images.set_index("image_id")
    assert images.loc["ISIC_0026769", "age"] == 0
    assert np.isnan(images.loc["ISIC_0031633", "age"])
    assert images["sex"].to_dict()["ISIC_0031633"] is None
    assert images["localization"].to_dict()["ISIC_0026769"] is None


def test_no_lesion_stands_in_two_splits(tmp_path):
    rows = tuple(
        f"HAM_{number // 2:07},ISIC_{number:07},{'mel' if number // 2 % 2 else 'nv'},histo,50,male,ear,x"
        for number in range(40)
    )
    dataset = Ham10000()(write_set(tmp_path, rows=rows))
    settings = DataSettings(image_size=(8, 8), classes=("mel", "nv"), split=SplitSettings(by="patient"))
    data = prepare(dataset, settings, tmp_path / "cache")
    lesions = {split: set(data.patient_ids[data.rows(split)]) for split in ("train", "val", "test")}
    assert sum(map(len, lesions.values())) == 20
    assert any("the lesion stands in its place" in note for note in dataset.notes)


def test_folders_that_were_unpacked_twice_are_read_once(tmp_path):
    root = write_set(tmp_path)
    write_image(root / "ham10000_images_part_1/ISIC_0027419.jpg", 0)
    dataset = Ham10000()(root)
    assert len(dataset.images) == 4
    assert "1 images lie in two folders; the first was taken" in dataset.notes


def test_a_mask_outlines_the_diagnosis_in_the_pixels_of_its_image(tmp_path):
    drawn = np.zeros(SIZE, dtype=bool)
    drawn[2:4, 7:11] = True
    folder = write_set(tmp_path) / "HAM10000_segmentations_lesion_tschandl"
    folder.mkdir()
    Image.fromarray(drawn.astype(np.uint8) * 255).save(folder / "ISIC_0026769_segmentation.png")
    [shape] = Ham10000()(tmp_path).annotations.itertuples()
    assert (shape.image_id, shape[2], shape.ref_height, shape.ref_width) == ("ISIC_0026769", "mel", *SIZE)
    assert np.array_equal(decode_rle(json.loads(shape.geometry)), drawn)
    assert Ham10000(masks=False)(tmp_path).annotations.empty


def test_an_empty_mask_is_noted_and_one_of_another_size_refused(tmp_path):
    path = write_set(tmp_path) / "ISIC_0026769_segmentation.png"
    Image.fromarray(np.zeros(SIZE, dtype=np.uint8)).save(path)
    assert "1 masks are empty and were left out" in Ham10000()(tmp_path).notes
    Image.fromarray(np.zeros((12, 9), dtype=np.uint8)).save(path)
    with pytest.raises(DataError, match=r"ISIC_0026769_segmentation\.png has \(12, 9\) pixels"):
        Ham10000()(tmp_path)


def write_isic(root: Path, part: str, rows: str) -> None:
    folder = root / f"ISIC2018_Task3_{part}_GroundTruth"
    folder.mkdir(exist_ok=True)
    (folder / f"{folder.name}.csv").write_text(f"image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n{rows}\n")


def test_isics_one_hot_rows_are_the_same_diagnoses_and_its_parts_splits(tmp_path):
    write_isic(tmp_path, "Training", "ISIC_1,0.0,1.0,0.0,0.0,0.0,0.0,0.0")
    write_isic(tmp_path, "Validation", "ISIC_2,1.0,0.0,0.0,0.0,0.0,0.0,0.0")
    write_isic(tmp_path, "Test", "ISIC_3,0,0,0,0,0,0,1")
    (tmp_path / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text("image,lesion_id\nISIC_1,HAM_7\n")
    for number in (1, 2, 3):
        write_image(tmp_path / f"input/ISIC_{number}.jpg", number)
    dataset = Ham10000()(tmp_path)
    positive = dataset.labels[dataset.labels["state"] == "positive"]
    assert positive["class"].tolist() == ["nv", "mel", "vasc"]
    assert dataset.images["split"].tolist() == ["train", "val", "test"]
    assert dataset.images["patient_id"].tolist() == ["HAM_7", None, None]


def test_an_image_of_both_releases_is_one_image(tmp_path):
    write_isic(write_set(tmp_path), "Training", "ISIC_0026769,1,0,0,0,0,0,0")
    dataset = Ham10000()(tmp_path)
    assert len(dataset.images) == 4
    assert set(dataset.images["split"]) == {"train"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "ISIC_0026769,0,1,0,0,0,0,0",
            "line 2: image 'ISIC_0026769' is nv in train; HAM10000_metadata, line 4 says mel",
        ),
        ("ISIC_0026769,1,1,0,0,0,0,0", "line 2: expected 1 under one diagnosis"),
        ("ISIC_0026769,1,0,0,0,0,0,0\nISIC_0026769,1,0,0,0,0,0,0", r"already; keep one row|says"),
    ],
)
def test_wrong_rows_are_refused(tmp_path, rows, message):
    write_isic(write_set(tmp_path), "Training", rows)
    if "keep one row" in message:
        (tmp_path / "HAM10000_metadata").unlink()
    with pytest.raises(DataError, match=message):
        Ham10000()(tmp_path)


def test_an_unknown_diagnosis_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 2: diagnosis 'melanoma' is unknown"):
        Ham10000()(write_set(tmp_path, rows=(ROWS[2].replace(",mel,", ",melanoma,"),)))


def test_missing_images_are_refused_or_skipped(tmp_path):
    (write_set(tmp_path) / "HAM10000_images_part_1/ISIC_0027419.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images are missing.*'ISIC_0027419'.*missing: skip"):
        Ham10000()(tmp_path)
    assert len(Ham10000(missing="skip")(tmp_path).images) == 3


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds neither HAM10000_metadata nor"):
        Ham10000()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        Ham10000(missing="no")  # type: ignore[arg-type]
