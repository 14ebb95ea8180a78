"""The source `csv`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DATASETS
from tailscope.sources.csv_tables import CsvTables


def labels_of(folder: Path, text: str, **settings: object) -> dict[tuple[str, str], str]:
    (folder / "labels.csv").write_text(text)
    labels = CsvTables(**settings)(folder).labels  # type: ignore[arg-type]
    return dict(zip(zip(labels["image_id"], labels["class"], strict=True), labels["state"], strict=True))


def annotate(folder: Path, text: str, **settings: object) -> list[tuple[object, ...]]:
    (folder / "shapes.csv").write_text(text)
    shapes = CsvTables(patient_column="patient", annotations="shapes.csv", **settings)(folder).annotations  # type: ignore[arg-type]
    return [
        (row.image_id, row.kind, json.loads(row.geometry), row.ref_height, row.ref_width) for row in shapes.itertuples()
    ]


def test_one_zero_blank_and_minus_one_are_four_states(csv_folder):
    states = labels_of(csv_folder(), "image,mass,edema\n00.png,1,0.0\n01.png,,-1\n02.png,-1.0,1.0\n")
    assert states == {
        ("00.png", "mass"): "positive",
        ("00.png", "edema"): "negative",
        ("01.png", "mass"): "unmentioned",
        ("01.png", "edema"): "uncertain",
        ("02.png", "mass"): "uncertain",
        ("02.png", "edema"): "positive",
    }


def test_columns_that_hold_no_labels_are_not_classes_and_are_noted(csv_folder):
    folder = csv_folder(labels="image,age,mass\n00.png,57,1\n01.png,61,0\n")
    dataset = CsvTables()(folder)
    assert dataset.classes == ("mass",)
    assert "columns kept beside the labels: age" in dataset.notes


def test_suffixes_may_be_left_out(csv_folder):
    dataset = CsvTables()(csv_folder(labels="image,mass\n00,1\n01,0\n"))
    assert dataset.images["path"].tolist() == ["images/00.png", "images/01.png"]


def test_tab_separated_labels_are_read(csv_folder):
    folder = csv_folder()
    (folder / "labels.tsv").write_text("image\tmass\n00.png\t1\n")
    assert CsvTables(labels="labels.tsv")(folder).classes == ("mass",)


def test_rows_are_sorted_by_image_and_pixels_follow(csv_folder):
    dataset = CsvTables()(csv_folder(labels="image,mass\n05.png,1\n03.png,0\n"))
    assert dataset.images["image_id"].tolist() == ["03.png", "05.png"]
    with Image.open(dataset.read_pixels.root / "images/03.png") as image:
        assert np.array_equal(dataset.read_pixels(0), np.asarray(image))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist; expected the files of 'csv'"):
        CsvTables()(tmp_path / "nowhere")


def test_no_root_is_refused():
    with pytest.raises(InputError, match="needs `root`"):
        CsvTables()(None)


def test_a_missing_image_folder_is_refused(csv_folder):
    with pytest.raises(DataError, match="set `images`"):
        CsvTables(images="pictures")(csv_folder())


def test_missing_image_files_are_named_and_counted(csv_folder):
    folder = csv_folder(labels="image,mass\n00.png,1\nx.png,0\ny.png,0\n")
    with pytest.raises(DataError, match=re.escape("2 of 3 images are missing")) as caught:
        CsvTables()(folder)
    assert "x.png (labels.csv, line 3)" in str(caught.value)


def test_a_label_that_is_none_of_the_states_is_refused_with_its_line(csv_folder):
    folder = csv_folder(labels="image,mass\n00.png,1\n01.png,yes\n")
    with pytest.raises(DataError, match="column 'mass' holds 'yes' in line 3; expected 0, 1, -1 or blank"):
        CsvTables(classes=("mass",))(folder)


def test_a_label_column_with_one_bad_cell_is_not_dropped_silently(csv_folder):
    folder = csv_folder(labels="image,mass,edema\n00.png,1,0\n01.png,2,0\n02.png,0,1\n")
    with pytest.raises(DataError, match=r"column 'mass' is mostly 0, 1, -1 or blank.*holds '2' in line 3"):
        CsvTables()(folder)


def test_an_unknown_class_column_names_the_nearest(csv_folder):
    with pytest.raises(DataError, match="no column 'herna'; did you mean 'hernia'"):
        CsvTables(classes=("herna",))(csv_folder())


def test_an_image_listed_twice_is_refused(csv_folder):
    folder = csv_folder(labels="image,mass\n00.png,1\n00.png,0\n")
    with pytest.raises(DataError, match=r"line 3: image '00.png' stands in line 2 already"):
        CsvTables()(folder)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b.png", "..\\b.png", "C:/b.png"])
def test_a_name_that_leaves_the_root_is_refused(csv_folder, name):
    folder = csv_folder(labels=f"image,mass\n{name},1\n")
    with pytest.raises(DataError, match="must be relative and stay below the root"):
        CsvTables()(folder)


def test_all_problems_are_reported_at_once(csv_folder):
    folder = csv_folder(
        labels="image,mass,split\n00.png,1,train\n00.png,3,train\nzz.png,0,sometimes\n",
        shapes="image,class,x0,y0,x1,y1\n",
    )
    with pytest.raises(DataError) as caught:
        CsvTables(classes=("mass",), split_column="split", annotations="shapes.csv")(folder)
    assert len(caught.value.problems) == 4


def test_published_splits_are_read_by_their_usual_names(csv_folder):
    folder = csv_folder(labels="image,mass,split\n00.png,1,Training\n01.png,0,validation\n02.png,0,test\n")
    assert CsvTables(split_column="split")(folder).images["split"].tolist() == ["train", "val", "test"]


def test_the_same_box_in_both_formats_is_the_same_shape(csv_folder):
    folder = csv_folder()
    edges = annotate(folder, "image,class,x0,y0,x1,y1\n00.png,mass,1,2,5,6\n")
    sides = annotate(folder, "image,class,x,y,width,height\n00.png,mass,1,2,4,4\n", box_format="xywh")
    assert edges == sides == [("00.png", "box", [1.0, 2.0, 5.0, 6.0], 8, 10)]


def test_a_point_becomes_a_disc(csv_folder):
    shapes = annotate(csv_folder(), "image,class,x,y\n00.png,mass,3,4\n", point_radius_px=2.5)
    assert shapes == [("00.png", "disc", [3.0, 4.0, 2.5], 8, 10)]


def test_points_without_a_radius_are_refused(csv_folder):
    with pytest.raises(DataError, match="set `point_radius_px`"):
        annotate(csv_folder(), "image,class,x,y\n00.png,mass,3,4\n")


def test_a_declared_frame_is_the_reference_of_the_numbers(csv_folder):
    shapes = annotate(
        csv_folder(), "image,class,x0,y0,x1,y1\n00.png,mass,100,200,500,600\n", annotation_size=(800, 1000)
    )
    assert shapes == [("00.png", "box", [100.0, 200.0, 500.0, 600.0], 800, 1000)]


def test_a_row_without_shape_draws_nothing(csv_folder):
    assert annotate(csv_folder(), "image,class,x0,y0,x1,y1\n00.png,mass,,,,\n") == []


@pytest.mark.parametrize("foreground", [1, 255])
def test_a_mask_file_of_either_value_set_becomes_run_lengths(csv_folder, foreground):
    folder = csv_folder()
    mask = np.zeros((8, 10), dtype=np.uint8)
    mask[2:4, 3] = foreground
    Image.fromarray(mask).save(folder / "mask.png")
    [(_, kind, geometry, *size)] = annotate(folder, "image,class,mask_file\n00.png,mass,mask.png\n")
    assert (kind, geometry, size) == ("rle", {"size": [8, 10], "counts": [26, 2, 52]}, [8, 10])


def test_a_mask_of_other_values_is_refused(csv_folder):
    folder = csv_folder()
    Image.fromarray(np.full((8, 10), 7, dtype=np.uint8)).save(folder / "mask.png")
    with pytest.raises(DataError, match="holds the values 7; expected 0/1 or 0/255"):
        annotate(folder, "image,class,mask_file\n00.png,mass,mask.png\n")


def test_a_mask_of_another_size_is_refused(csv_folder):
    folder = csv_folder()
    Image.fromarray(np.full((4, 4), 255, dtype=np.uint8)).save(folder / "mask.png")
    with pytest.raises(DataError, match=re.escape("(4, 4) pixels (height, width); expected (8, 10)")):
        annotate(folder, "image,class,mask_file\n00.png,mass,mask.png\n")


def test_an_empty_mask_is_refused(csv_folder):
    folder = csv_folder()
    Image.fromarray(np.zeros((8, 10), dtype=np.uint8)).save(folder / "mask.png")
    with pytest.raises(DataError, match=r"shapes.csv, line 2: mask is empty"):
        annotate(folder, "image,class,mask_file\n00.png,mass,mask.png\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("99.png,mass,1,1,2,2", "shapes.csv, line 2: no image is named '99.png'"),
        ("00.png,mas,1,1,2,2", "line 2: no class is named 'mas'; did you mean 'mass'"),
        ("00.png,mass,5,1,2,2", "line 2: box .* is inverted or empty"),
        ("00.png,mass,1,1,11.5,2", "line 2: box .* lies outside its frame of 10 × 8 pixels"),
        ("00.png,mass,1,1,,2", "line 2: coordinate '' is not a number"),
    ],
)
def test_a_wrong_annotation_is_refused_with_its_line(csv_folder, row, message):
    with pytest.raises(DataError, match=message):
        annotate(csv_folder(), f"image,class,x0,y0,x1,y1\n{row}\n")


def test_a_box_up_to_one_pixel_outside_is_accepted(csv_folder):
    assert annotate(csv_folder(), "image,class,x0,y0,x1,y1\n00.png,mass,-1,0,11,9\n")


def test_a_declared_format_without_its_columns_is_refused(csv_folder):
    with pytest.raises(DataError, match="needs the columns `x, y, width, height`"):
        annotate(csv_folder(), "image,class,x0,y0,x1,y1\n00.png,mass,1,1,2,2\n", box_format="xywh")


def test_the_source_is_registered():
    assert isinstance(DATASETS.build("csv", images="pictures"), CsvTables)


def test_shapes_of_label_columns_that_are_not_used_are_left_out(csv_folder):
    text = "image,class,x0,y0,x1,y1\n00.png,hernia,1,2,5,6\n01.png,mass,1,2,5,6\n"
    shapes = annotate(csv_folder(), text, classes=("mass",))
    assert [shape[0] for shape in shapes] == ["01.png"]


def test_lists_as_yaml_gives_them_are_taken(csv_folder):
    folder = csv_folder()
    Image.fromarray(np.full((8, 10), 255, dtype=np.uint8)).save(folder / "mask.png")
    text = "image,class,mask_file\n00.png,mass,mask.png\n"
    assert annotate(folder, text, annotation_size=[8, 10], classes=["mass"])
    assert hash(CsvTables(classes=["mass"])) == hash(CsvTables(classes=("mass",)))  # type: ignore[arg-type]


def test_blank_quoted_blank_zero_and_minus_one_are_states_and_no_row_is_no_image(csv_folder):
    folder = csv_folder()
    states = labels_of(folder, 'image,mass,edema\n00.png,,""\n01.png,0,-1\n02.png,1,0\n')
    assert [states["00.png", name] for name in ("mass", "edema")] == ["unmentioned", "unmentioned"]
    assert [states["01.png", name] for name in ("mass", "edema")] == ["negative", "uncertain"]
    assert ("03.png", "mass") not in states
    assert "57 images below images stand in no row and were left out" in CsvTables()(folder).notes
