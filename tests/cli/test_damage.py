"""Kinds of damage to a folder: each is found and named, by ``data inspect`` and by ``run``, before any training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml
from PIL import Image

from tailscope.sources.nih_tables import FINDINGS

SIDE = 40
COUNT = 24
CSV = {
    "patient_column": "patient",
    "split_column": "split",
    "classes": ["mass", "edema"],
    "annotations": "boxes.csv",
    "masks": "masks/{class}",
}


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Args:
        source: Whose folder is damaged.
        do: Damages it.
        words: What is said of it.
        args: Settings of the source beside the usual ones.
        is_refused: Whether an experiment is refused, or told in a note.
    """

    source: str
    do: Callable[[Path], object]
    words: tuple[str, ...]
    args: Mapping[str, Any] = field(default_factory=dict)
    is_refused: bool = True


def _pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def _dicom(path: Path, number: int, **elements: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, f"1.2.{number}"
    header.Rows = header.Columns = SIDE
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.add_new("PixelData", "OB", _pixels(number).tobytes())
    for name, value in elements.items():
        setattr(header, name, value)
    header.save_as(path, enforce_file_format=True)


def _make_csv(root: Path) -> None:
    """24 images of 12 patients in three splits; the last four are JPEG. Masks in a folder per class, and boxes."""
    rows, mask = ["image,patient,split,mass,edema,age,sex"], np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[4:20, 6:30] = 255
    (root / "images").mkdir()
    for number in range(COUNT):
        name = f"{number:02}.{'png' if number < 20 else 'jpg'}"
        Image.fromarray(_pixels(number)).save(root / "images" / name)
        split = ("train", "train", "val", "test")[number // 2 % 4]
        rows.append(f"{name},p{number // 2},{split},{number % 2},{number // 2 % 2},{30 + number},{'MF'[number % 2]}")
    for number in (1, 3, 5, 7):
        (root / "masks/mass").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / f"masks/mass/{number:02}.png")
    (root / "labels.csv").write_text("\n".join(rows))
    (root / "boxes.csv").write_text("image,class,x0,y0,x1,y1\n07.png,edema,1,1,9,9\n02.png,edema,1,1,9,9\n")


def _make_coco(root: Path) -> None:
    images, annotations = [], []
    (root / "images").mkdir()
    for number in range(COUNT):
        Image.fromarray(_pixels(number)).save(root / f"images/{number:02}.png")
        images.append({"id": number, "file_name": f"{number:02}.png", "height": SIDE, "width": SIDE})
        kinds = (
            {"bbox": [2, 3, 10, 12]},
            {"segmentation": [[1, 1, 30, 1, 30, 20]], "bbox": [1, 1, 29, 19]},
            {"segmentation": {"counts": [100, 50, 1450], "size": [SIDE, SIDE]}, "bbox": [2, 0, 3, 40]},
        )
        annotations.append({"id": number, "image_id": number, "category_id": number % 2, **kinds[number % 3]})
    categories = [{"id": 0, "name": "mass"}, {"id": 1, "name": "edema"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations/instances_all.json").write_text(json.dumps(content))


def _make_nih(root: Path) -> None:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"]
    (root / "images").mkdir()
    for number in range(COUNT):
        name = f"{number // 2:08}_{number % 2:03}.png"
        Image.fromarray(_pixels(number)).save(root / "images" / name)
        rows.append(f"{name},{'|'.join(FINDINGS) if number % 2 else 'No Finding'},0,{number // 2},50,M,PA,")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows))


def _make_siim(root: Path) -> None:
    rows = ["ImageId, EncodedPixels"]
    for number in range(COUNT):
        _dicom(root / f"dicom-images-train/{number:02}.dcm", number)
        rows.append(f"{number:02},-1" if number % 2 else f"{number:02}, 204800 300 724 300")
    (root / "train-rle.csv").write_text("\n".join(rows))


MAKERS = {"csv": _make_csv, "coco": _make_coco, "nih_chestxray14": _make_nih, "siim_pneumothorax": _make_siim}


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def _cut(name: str, share: float) -> Callable[[Path], object]:
    def do(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(share * len(content))])

    return do


def _remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def _cell(name: str, row: int, column: str, value: str) -> Callable[[Path], object]:
    """Sets one cell; rows are counted from 0, so that row 3 is line 5."""

    def do(root: Path) -> None:
        table = pd.read_csv(root / name, dtype=str, keep_default_na=False)
        table.loc[row, column] = value
        table.to_csv(root / name, index=False)

    return do


def _text(name: str, old: str, new: str) -> Callable[[Path], object]:
    def do(root: Path) -> None:
        content = (root / name).read_text()
        assert old in content
        (root / name).write_text(content.replace(old, new, 1))

    return do


def _entry(list_name: str, number: int, **values: object) -> Callable[[Path], object]:
    def do(root: Path) -> None:
        path = root / "annotations/instances_all.json"
        content = json.loads(path.read_text())
        content[list_name][number].update(values)
        path.write_text(json.dumps(content))

    return do


def _picture(name: str, pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda root: Image.fromarray(pixels).save(root / name)


def _float_tiff(root: Path) -> None:
    values = _pixels(3).astype(np.float32)
    values[0, :3] = (np.nan, np.inf, -np.inf)
    Image.fromarray(values).save(root / "images/03.tif")
    _text("labels.csv", "03.png", "03.tif")(root)


def _copy(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / old, root / new)


def _frames(root: Path) -> None:
    _dicom(root / "dicom-images-train/03.dcm", 3, NumberOfFrames="2", PixelData=bytes(2 * SIDE * SIDE))


def _no_pixels(root: Path) -> None:
    path = root / "dicom-images-train/03.dcm"
    header = pydicom.dcmread(path)
    del header.PixelData
    header.save_as(path)


DAMAGES: dict[str, Damage] = {
    "a truncated PNG": Damage("csv", _cut("images/03.png", 0.6), ("03.png cannot be read", "truncated")),
    "a truncated JPEG": Damage("csv", _cut("images/21.jpg", 0.6), ("21.jpg cannot be read", "truncated")),
    "an empty file": Damage("csv", _write("images/03.png", b""), ("03.png cannot be read", "it is empty, 0 bytes")),
    "a text named .png": Damage(
        "csv", _write("images/03.png", b"<html>404</html>"), ("03.png cannot be read as an image", "it holds text")
    ),
    "a missing image": Damage(
        "csv", _remove("images/03.png"), ("1 of 24 images are missing", "'03.png (labels.csv, line 5)'")
    ),
    "a missing table": Damage("csv", _remove("labels.csv"), ("labels.csv does not exist",)),
    "a missing column": Damage(
        "csv", _text("labels.csv", "patient", "pat"), ("labels.csv has no column 'patient'; did you mean 'pat'?",)
    ),
    "a duplicated id": Damage(
        "csv", _cell("labels.csv", 3, "image", "01.png"), ("line 5: image '01.png' stands in line 3 already",)
    ),
    "a duplicated id of NIH": Damage(
        "nih_chestxray14",
        _cell("Data_Entry_2017.csv", 3, "Image Index", "00000000_001.png"),
        ("'00000000_001.png'", "line 5"),
    ),
    "a label outside the code": Damage(
        "csv", _cell("labels.csv", 3, "mass", "2"), ("column 'mass' holds '2' in line 5", "expected 0, 1, -1 or blank")
    ),
    "a misspelt class": Damage(
        "nih_chestxray14",
        _text("Data_Entry_2017.csv", "Hernia", "Hernai"),
        ("line 3: finding 'Hernai' is unknown; did you mean 'Hernia'?",),
    ),
    "a misspelt class of a box": Damage(
        "csv",
        _cell("boxes.csv", 0, "class", "edemma"),
        ("boxes.csv, line 2: no class is named 'edemma'; did you mean 'edema'?",),
    ),
    "a misspelt folder of masks": Damage(
        "csv",
        lambda root: (root / "masks/mass").rename(root / "masks/mas"),
        ("masks are named for 'mas', which is no class",),
    ),
    "a patient in two published splits": Damage(
        "csv", _cell("labels.csv", 0, "patient", "p3"), ("patient 'p3' stands in test, train",)
    ),
    "one file in train and test": Damage(
        "csv",
        _copy("images/00.png", "images/06.png"),
        ("'00.png', '06.png' have the same content and stand in test, train",),
    ),
    "a box outside the image": Damage(
        "csv",
        _cell("boxes.csv", 0, "x1", "90"),
        ("boxes.csv, line 2: box [1.0, 1.0, 90.0, 9.0] lies outside its frame of 40 × 40",),
    ),
    "a box of negative width": Damage(
        "csv", _cell("boxes.csv", 0, "x1", "0"), ("boxes.csv, line 2", "inverted or empty")
    ),
    "a box without height": Damage(
        "coco", _entry("annotations", 0, bbox=[2, 3, 10, 0]), ("entry 1 of `annotations` (id 0)", "inverted or empty")
    ),
    "run lengths beyond the image": Damage(
        "siim_pneumothorax",
        _text("train-rle.csv", "02, 204800 300", "02, 1048000 900"),
        ("train-rle.csv, line 4", "1048576"),
    ),
    "absolute run lengths": Damage(
        "siim_pneumothorax",
        _text("train-rle.csv", "02, 204800 300 724 300", "02, 604800 300 605824 300"),
        ("train-rle.csv, line 4", "absolute"),
    ),
    "run lengths of another size": Damage(
        "coco",
        _entry("annotations", 2, segmentation={"counts": [100, 50, 9], "size": [SIDE, SIDE]}),
        ("entry 3 of `annotations` (id 2)", "159"),
    ),
    "a mask of another size": Damage(
        "csv",
        _picture("masks/mass/03.png", np.zeros((20, 40), np.uint8)),
        ("mask masks/mass/03.png has (20, 40) pixels", "expected (40, 40)"),
    ),
    "an empty mask": Damage(
        "csv",
        _picture("masks/mass/03.png", np.zeros((SIDE, SIDE), np.uint8)),
        ("1 mask files are empty and draw nothing", "masks/mass/03.png"),
        is_refused=False,
    ),
    "a mask of many values": Damage(
        "csv",
        _picture("masks/mass/03.png", _pixels(1)),
        ("mask masks/mass/03.png holds the values", "expected 0/1 or 0/255"),
    ),
    "broken JSON": Damage(
        "coco",
        _cut("annotations/instances_all.json", 0.7),
        ("annotations/instances_all.json is not JSON",),
        {"annotations": "annotations/instances_all.json"},
    ),
    "broken JSON in a usual place": Damage(
        "coco", _cut("annotations/instances_all.json", 0.7), ("annotations/instances_all.json is not JSON",)
    ),
    "another delimiter": Damage(
        "csv",
        lambda root: (root / "labels.csv").write_text((root / "labels.csv").read_text().replace(",", ";")),
        ("labels.csv", "';'", "commas"),
    ),
    "another encoding": Damage(
        "csv",
        lambda root: (root / "labels.csv").write_text((root / "labels.csv").read_text(), encoding="utf-16"),
        ("labels.csv is not a table of UTF-8 text", "save it as CSV in UTF-8"),
    ),
    "a blank id": Damage("csv", _cell("labels.csv", 3, "image", ""), ("labels.csv, line 5: ",)),
    "a blank patient": Damage(
        "csv", _cell("labels.csv", 3, "patient", ""), ("1 of 24 images have no patient", "'03.png'"), is_refused=False
    ),
    "a patient NaN": Damage(
        "csv",
        _cell("labels.csv", 3, "patient", "NaN"),
        ("1 of 24 images have no patient", "'03.png'"),
        is_refused=False,
    ),
    "DICOM without pixels": Damage("siim_pneumothorax", _no_pixels, ("03.dcm holds no pixels", "leave its row out")),
    "DICOM of several frames": Damage(
        "siim_pneumothorax", _frames, ("03.dcm holds 2 frames; expected a single image",)
    ),
    "an image of another size than annotated": Damage(
        "coco",
        _picture("images/03.png", _pixels(3)[:30]),
        ("1 images have another size than their annotations state", "images/03.png"),
        is_refused=False,
    ),
    "an image that lies on its side": Damage(
        "coco",
        lambda root: (_entry("images", 3, height=20)(root), _picture("images/03.png", _pixels(3)[:, :20])(root)),
        ("images/03.png has 20 × 40 pixels (width × height)", "turn it back"),
    ),
    "an annotation of an unknown image": Damage(
        "csv", _cell("boxes.csv", 0, "image", "99.png"), ("boxes.csv, line 2: no image is named '99.png'",)
    ),
    "an age of 414 years": Damage("csv", _cell("labels.csv", 3, "age", "414"), ("414", "03.png"), is_refused=False),
    "an age of 414 years of NIH": Damage(
        "nih_chestxray14",
        _cell("Data_Entry_2017.csv", 3, "Patient Age", "414"),
        ("00000001_001.png",),
        is_refused=False,
    ),
    "an age that is none": Damage(
        "nih_chestxray14", _cell("Data_Entry_2017.csv", 3, "Patient Age", "-5"), ("line 5: age '-5' cannot be read",)
    ),
    "a sex that is none": Damage("csv", _cell("labels.csv", 3, "sex", "7"), ("sex", "'7'", "03.png"), is_refused=False),
    "an unknown split": Damage(
        "csv",
        _cell("labels.csv", 3, "split", "trian"),
        ("labels.csv, line 5: split 'trian' is unknown; expected train, val or test",),
    ),
    "an image of one value": Damage(
        "csv",
        _picture("images/03.png", np.zeros((SIDE, SIDE), np.uint8)),
        ("1 images hold a single value", "'03.png'"),
        is_refused=False,
    ),
    "an image of numbers that are none": Damage(
        "csv", _float_tiff, ("03.tif holds floating-point pixels, 3 of them NaN or infinite",)
    ),
}


def _configuration(root: Path, damage: Damage) -> Path:
    usual = CSV if damage.source == "csv" else {}
    content = {
        "name": "damaged",
        "data": {"source": damage.source, "root": ".", "args": {**usual, **damage.args}, "image_size": 16},
        "model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}},
        "treatments": ["control"],
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 8},
    }
    path = root / "damaged.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets before anything happens to them."""
    home = tmp_path_factory.mktemp("sound")
    for source, make in MAKERS.items():
        (home / source).mkdir()
        make(home / source)
    return home


def _damaged(sound: Path, place: Path, damage: Damage) -> Path:
    root = place / "set"
    shutil.copytree(sound / damage.source, root)
    damage.do(root)
    return _configuration(root, damage)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_is_found_and_named_before_any_training(invoke, sound, tmp_path, name):
    damage = DAMAGES[name]
    configuration = _damaged(sound, tmp_path, damage)
    inspected = invoke("data", "inspect", configuration)
    asked = invoke("run", configuration, "--out", tmp_path / "out", *([] if damage.is_refused else ["--dry-run"]))
    assert asked.exit_code == (2 if damage.is_refused else 0)
    for result in (inspected, asked):
        said = " ".join((result.output + result.stderr).split())
        assert [words for words in damage.words if words not in said] == []
    assert not (tmp_path / "out/runs").exists()


@pytest.mark.parametrize("source", sorted(MAKERS))
def test_a_sound_set_is_neither_refused_nor_doubted(invoke, sound, tmp_path, source):
    configuration = _damaged(sound, tmp_path, Damage(source, lambda _: None, ()))
    assert invoke("run", configuration, "--out", tmp_path / "out", "--dry-run").exit_code == 0
    said = invoke("data", "inspect", configuration).output
    assert "Unreadable images: none" in said
    assert "Leakage between published splits: none" in said
    for doubt in ("single value", "have no patient,", "state an age", "state a sex"):
        assert doubt not in said


def _several(sound: Path, place: Path, *names: str) -> tuple[Path, list[str]]:
    root = place / "set"
    shutil.copytree(sound / "csv", root)
    for name in names:
        DAMAGES[name].do(root)
    return _configuration(root, DAMAGES[names[0]]), [words for name in names for words in DAMAGES[name].words]


def test_all_that_is_wrong_with_tables_and_masks_is_told_at_once(invoke, sound, tmp_path):
    configuration, words = _several(
        sound,
        tmp_path,
        "an unknown split",
        "a label outside the code",
        "a box outside the image",
        "a mask of many values",
    )
    (configuration.parent / "images/09.png").unlink()
    said = invoke("run", configuration, "--out", tmp_path / "out").stderr
    assert "5 problems in the data:" in said
    assert [one for one in (*words, "'09.png (labels.csv, line 11)'") if one not in said] == []


def test_all_that_is_wrong_with_files_and_split_is_told_at_once(invoke, sound, tmp_path):
    configuration, words = _several(
        sound, tmp_path, "a patient in two published splits", "a truncated JPEG", "one file in train and test"
    )
    (configuration.parent / "images/10.png").write_bytes(b"")
    for command in (("data", "inspect", configuration), ("run", configuration, "--out", tmp_path / "out")):
        result = invoke(*command)
        said = result.output + result.stderr
        assert [one for one in (*words, "10.png cannot be read", "0 bytes") if one not in said] == []


def test_missing_columns_are_told_at_once(invoke, sound, tmp_path):
    configuration = _damaged(sound, tmp_path, Damage("csv", _text("labels.csv", "patient,split", "pat,spilt"), ()))
    said = invoke("run", configuration, "--out", tmp_path / "out").stderr
    assert "has no column 'patient'; did you mean 'pat'?" in said
    assert "has no column 'split'; did you mean 'spilt'?" in said
