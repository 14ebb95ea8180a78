"""One set as a folder, as an archive, and as a folder with its images in archives: the same data."""

from __future__ import annotations

import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError
from tailscope.data import DATASETS, DataSettings, inspect_dataset, prepare
from tailscope.sources import recognise

SIZE = (8, 10)
CELLS = 20
KINDS = ("zip", "tar", "tar.gz")


def picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, SIZE, dtype=np.uint8)).save(path)


def names():
    return [f"{number:02}.png" for number in range(CELLS)]


def csv_set(root):
    for number, name in enumerate(names()):
        picture(root / "images" / name, number)
    rows = [f"{name},p{number},{number % 2}" for number, name in enumerate(names())]
    (root / "labels.csv").write_text("\n".join(["image,patient,mass", *rows]))
    (root / "shapes.csv").write_text("image,class,x0,y0,x1,y1\n01.png,mass,0,0,4,4\n")
    return {"patient_column": "patient", "annotations": "shapes.csv"}


def coco_set(root):
    for number, name in enumerate(names()):
        picture(root / "images" / name, number)
    images = [{"id": number, "file_name": name, "height": 8, "width": 10} for number, name in enumerate(names())]
    boxes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 3, 4], "area": 12, "iscrowd": 0}
        for number in range(0, CELLS, 2)
    ]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "mass"}]}
    (root / "annotations").mkdir()
    (root / "annotations/instances.json").write_text(json.dumps(document))
    return {}


def voc_set(root):
    (root / "Annotations").mkdir(parents=True)
    for number, name in enumerate(names()):
        picture(root / "JPEGImages" / name, number)
        box = "<xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>5</ymax>"
        shape = f"<object><name>mass</name><bndbox>{box}</bndbox></object>"
        text = (
            f"<annotation><filename>{name}</filename><size><width>10</width><height>8</height><depth>1</depth></size>"
            f"{shape if number % 2 else ''}</annotation>"
        )
        (root / "Annotations" / name.replace(".png", ".xml")).write_text(text)
    return {}


def yolo_set(root):
    (root / "labels").mkdir(parents=True)
    for number, name in enumerate(names()):
        picture(root / "images" / name, number)
        (root / "labels" / name.replace(".png", ".txt")).write_text("0 0.5 0.5 0.2 0.2\n" if number % 2 else "")
    (root / "data.yaml").write_text("names: [mass]\n")
    return {}


def nih_set(root):
    for number, name in enumerate(names()):
        picture(root / "images" / f"000000{name[:2]}_000.png", number)
    rows = [
        f"000000{name[:2]}_000.png,{'Mass' if number % 2 else 'No Finding'},0,{number},50,M,PA,10,8,0.1,0.1"
        for number, name in enumerate(names())
    ]
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,OriginalImage[Width,"
        "Height],OriginalImagePixelSpacing[x,y]"
    )
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([header, *rows]))
    return {}


SETS = {"csv": csv_set, "coco": coco_set, "voc": voc_set, "yolo": yolo_set, "nih_chestxray14": nih_set}
EACH = pytest.mark.parametrize("source", SETS)


def pack(folder, archive):
    """Pack what lies in a folder."""
    if archive.name.endswith(".zip"):
        shutil.make_archive(str(archive).removesuffix(".zip"), "zip", folder)
        return
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as packed:
        for path in sorted(folder.iterdir(), reverse=True):  # in another order than their names'
            packed.add(path, path.name)


@pytest.fixture
def built(tmp_path):
    """Root and settings of the set of a source, as a folder."""

    def build(source):
        root = tmp_path / "folder"
        root.mkdir()
        return root, SETS[source](root)

    return build


def same(one, other, *, paths=True):
    """Whether two data sets are equal in tables, digests and pixels."""
    kept = [name for name in one.images.columns if paths or name != "path"]
    assert one.images[kept].equals(other.images[kept])
    assert one.labels.equals(other.labels)
    assert one.annotations.equals(other.annotations)
    assert one.classes == other.classes
    assert one.content() == other.content()
    for row in range(len(one.images)):
        assert np.array_equal(one.read_pixels(row), other.read_pixels(row))
    return True


@EACH
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_read_as_its_folder(built, tmp_path, source, kind):
    root, settings = built(source)
    pack(root, tmp_path / f"set.{kind}")
    folder = DATASETS.build(source, **settings)(root)
    archive = DATASETS.build(source, **settings)(tmp_path / f"set.{kind}")
    assert same(folder, archive)
    assert folder.notes == archive.notes
    assert recognise(tmp_path / f"set.{kind}") == recognise(root)
    assert recognise(root).source == source


@pytest.mark.parametrize("source", [name for name in SETS if name != "yolo"])  # its labels lie where its images do
@pytest.mark.parametrize("kind", KINDS)
def test_images_may_lie_in_archives_below_the_folder(built, tmp_path, source, kind):
    root, settings = built(source)
    folder = DATASETS.build(source, **settings)(root)
    digests = folder.content()
    pixels = [folder.read_pixels(row) for row in range(CELLS)]
    place = root / "JPEGImages" if source == "voc" else root / "images"
    parts = (root / f"{place.name}.{kind}",)
    if source == "nih_chestxray14":
        parts = (root / f"images_001.{kind}", root / f"images_002.{kind}")
    files = sorted(place.iterdir())
    for number, archive in enumerate(parts):
        wrapped = tmp_path / f"wrapped{number}"
        (wrapped / place.name).mkdir(parents=True)
        for path in files[number :: len(parts)]:
            path.rename(wrapped / place.name / path.name)
        pack(wrapped, archive)
    place.rmdir()
    packed = DATASETS.build(source, **settings)(root)
    assert packed.content() == digests
    assert all(np.array_equal(packed.read_pixels(row), pixels[row]) for row in range(CELLS))
    assert packed.labels.equals(folder.labels)
    assert packed.annotations.equals(folder.annotations)
    assert recognise(root).source == source


@pytest.mark.parametrize("kind", KINDS)
def test_folder_and_archive_share_their_cache(built, tmp_path, kind):
    root, settings = built("csv")
    pack(root, tmp_path / f"set.{kind}")
    asked = DataSettings(image_size=(4, 5))
    read = DATASETS.build("csv", **settings)
    first = prepare(read(root), asked, tmp_path / "cache")
    kept = sorted(path.name for path in (tmp_path / "cache").glob("pixels-*"))
    second = prepare(read(tmp_path / f"set.{kind}"), asked, tmp_path / "cache")
    assert first.fingerprint == second.fingerprint
    assert sorted(path.name for path in (tmp_path / "cache").glob("pixels-*")) == kept


@pytest.mark.parametrize("kind", KINDS)
def test_inspection_reads_an_archive(built, tmp_path, kind):
    root, settings = built("csv")
    pack(root, tmp_path / f"set.{kind}")
    found = inspect_dataset(DATASETS.build("csv", **settings)(tmp_path / f"set.{kind}"))
    assert found.images == CELLS
    assert found.unreadable == ()
    assert found.sizes["images"].tolist() == [CELLS]


def test_a_damaged_archive_is_refused_where_the_set_is_read(built, tmp_path):
    root, settings = built("csv")
    pack(root, tmp_path / "set.zip")
    data = (tmp_path / "set.zip").read_bytes()
    (tmp_path / "set.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"archive .*set\.zip cannot be listed"):
        DATASETS.build("csv", **settings)(tmp_path / "set.zip")
    with pytest.raises(DataError, match=r"archive .*set\.zip cannot be listed"):
        recognise(tmp_path / "set.zip")


@pytest.mark.parametrize("kind", KINDS)
def test_medmnist_is_read_from_an_archive(tmp_path, kind):
    root = tmp_path / "folder"
    root.mkdir()
    arrays = {}
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (6, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, 2, (6, 1), dtype=np.uint8)
    np.savez(root / "pneumoniamnist.npz", **arrays)
    pack(root, tmp_path / f"set.{kind}")
    read = DATASETS.build("medmnist")
    assert same(read(root), read(tmp_path / f"set.{kind}"))
    assert recognise(tmp_path / f"set.{kind}") == recognise(root)
