"""One shape in every format is one shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, Dataset, Placement, rasterise
from tailscope.data import DATASETS
from tailscope.sources import recognise, recognised
from tailscope.sources.run_lengths import coco_string, rle_from_absolute

# Columns 2 to 5 and rows 1 to 3 of an image of 10 × 8 pixels: neither square nor in the middle, so that a swap of x
# and y, of rows and columns, or of left and right gives another mask.
EDGES = [2, 1, 6, 4]
MASK = np.zeros((8, 10), dtype=bool)
MASK[1:4, 2:6] = True
RUNS = "18 3 26 3 34 3 42 3"  # absolute, counted from 1
RING = [2, 1, 6, 1, 6, 4, 2, 4]


def csv(root: Path, header: str, row: str, **settings: object) -> Dataset:
    (root / "labels.csv").write_text("image,mass\na.png,1\n")
    (root / "shapes.csv").write_text(f"image,class,{header}\na.png,mass,{row}\n")
    return DATASETS.build("csv", annotations="shapes.csv", **settings)(root)


def xyxy(root: Path) -> Dataset:
    return csv(root, "x0,y0,x1,y1", "2,1,6,4")


def xywh(root: Path) -> Dataset:
    return csv(root, "x,y,width,height", "2,1,4,3", box_format="xywh")


def mask_folder(root: Path) -> Dataset:
    (root / "labels.csv").write_text("image,mass\na.png,1\n")
    (root / "masks/mass").mkdir(parents=True)
    Image.fromarray(MASK).save(root / "masks/mass/a.png")
    return DATASETS.build("csv", masks="masks/{class}")(root)


def coco(root: Path, **shape: object) -> Dataset:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 8, "width": 10}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **shape}],
        "categories": [{"id": 1, "name": "mass"}],
    }
    (root / "instances.json").write_text(json.dumps(content))
    return DATASETS.build("coco")(root)


def coco_box(root: Path) -> Dataset:
    return coco(root, bbox=[2, 1, 4, 3])


def coco_polygon(root: Path) -> Dataset:
    return coco(root, segmentation=[RING])


def coco_plain(root: Path) -> Dataset:
    return coco(root, segmentation=rle_from_absolute(RUNS, (8, 10)), iscrowd=1)


def coco_packed(root: Path) -> Dataset:
    counts = rle_from_absolute(RUNS, (8, 10))["counts"]
    return coco(root, segmentation={"size": [8, 10], "counts": coco_string(counts)}, iscrowd=1)


def voc(root: Path) -> Dataset:
    (root / "Annotations").mkdir()
    corners = "<xmin>3</xmin><ymin>2</ymin><xmax>6</xmax><ymax>4</ymax>"
    text = f"<annotation><object><name>mass</name><bndbox>{corners}</bndbox></object></annotation>"
    (root / "Annotations/a.xml").write_text(text)
    return DATASETS.build("voc", images="images")(root)


def yolo(root: Path, line: str = "0 0.4 0.3125 0.4 0.375") -> Dataset:
    (root / "labels").mkdir()
    (root / "classes.txt").write_text("mass\n")
    (root / "labels/a.txt").write_text(f"{line}\n")
    return DATASETS.build("yolo")(root)


def yolo_polygon(root: Path) -> Dataset:
    return yolo(root, "0 0.2 0.125 0.6 0.125 0.6 0.5 0.2 0.5")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("L", (10, 8)).save(tmp_path / "images/a.png")
    return tmp_path


@pytest.mark.parametrize("make", [xyxy, xywh, coco_box, voc, yolo])
def test_a_box_has_the_same_edges_in_every_format(root, make):
    [geometry] = make(root).annotations["geometry"]
    assert json.loads(geometry) == pytest.approx(EDGES)


@pytest.mark.parametrize(
    "make",
    [xyxy, xywh, mask_folder, coco_box, coco_polygon, coco_plain, coco_packed, voc, yolo, yolo_polygon],
)
def test_a_shape_has_the_same_pixels_in_every_format(root, make):
    [shape] = make(root).annotations.itertuples()
    assert (shape.ref_height, shape.ref_width) == (8, 10)
    assert np.array_equal(rasterise(shape.kind, shape.geometry, Placement(1, 1), (8, 10)), MASK)


@pytest.mark.parametrize("make", [xyxy, mask_folder, coco_box, voc, yolo])
def test_each_format_knows_its_own_folder_and_no_other(root, make):
    assert [found.source for found in recognised(root)] == []
    dataset = make(root)
    assert [found.source for found in recognised(root)] == [dataset.name]


def test_a_folder_in_two_formats_is_refused_and_both_are_named(root):
    coco_box(root)
    yolo(root)
    with pytest.raises(DataError, match=r"coco \(instances.json, .*\); yolo \(labels/\*.txt and classes.txt"):
        recognise(root)
