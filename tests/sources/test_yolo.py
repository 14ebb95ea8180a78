"""The source `yolo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tailscope.core import DataError, InputError, Placement, rasterise
from tailscope.data import DATASETS
from tailscope.sources import recognise
from tailscope.sources.yolo import Yolo
from tailscope.sources.yolo_labels import parse_line


def image(root: Path, name: str, size: tuple[int, int] = (8, 10)) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    number = sum(name.encode())
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)).save(path)


def text(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def folder(root: Path, names: str = "names: [mass, edema]\n", **labels: str) -> Path:
    """``images/NAME.png`` of 10 × 8 pixels with ``labels/NAME.txt`` for every keyword."""
    text(root, "data.yaml", names)
    for name, content in labels.items():
        image(root, f"images/{name}.png")
        text(root, f"labels/{name}.txt", content)
    return root


def shapes(dataset: Any) -> list[tuple[str, str, Any]]:
    return [(row[2], row.kind, json.loads(row.geometry)) for row in dataset.annotations.itertuples()]


def states(dataset: Any) -> dict[tuple[str, str], str]:
    labels = dataset.labels
    return dict(zip(zip(labels["image_id"], labels["class"], strict=True), labels["state"], strict=True))


def test_five_numbers_are_a_box_about_its_centre(tmp_path):
    dataset = Yolo()(folder(tmp_path, a="1 0.5 0.5 0.4 0.5\n"))
    assert shapes(dataset) == [("edema", "box", [3, 2, 7, 6])]
    assert dataset.annotations[["ref_height", "ref_width"]].to_numpy().tolist() == [[8, 10]]


def test_a_sixth_number_is_a_confidence_and_is_noted(tmp_path):
    dataset = Yolo()(folder(tmp_path, a="0 0.5 0.5 1 1 0.87\n"))
    assert shapes(dataset) == [("mass", "box", [0, 0, 10, 8])]
    assert "1 boxes have a confidence, which is not used: they may be predictions" in dataset.notes


def test_seven_numbers_or_more_are_a_polygon(tmp_path):
    dataset = Yolo()(folder(tmp_path, a="0 0.1 0.25 0.5 0.25 0.5 0.75\r\n1 0 0 1 0 1 1 0 1\n"))
    assert shapes(dataset) == [
        ("mass", "polygon", [[[1, 2], [5, 2], [5, 6]]]),
        ("edema", "polygon", [[[0, 0], [10, 0], [10, 8], [0, 8]]]),
    ]


@given(
    st.lists(st.integers(0, 64), min_size=2, max_size=2, unique=True),
    st.lists(st.integers(0, 48), min_size=2, max_size=2, unique=True),
)
def test_a_box_and_its_corners_as_a_polygon_are_one_mask(across, down):
    (x0, x1), (y0, y1) = sorted(across), sorted(down)
    numbers = (x0 + x1) / 128, (y0 + y1) / 96, (x1 - x0) / 64, (y1 - y0) / 48
    box = parse_line(f"0 {' '.join(map('{:.6f}'.format, numbers))}", (48, 64))
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    ring = parse_line(f"0 {' '.join(f'{x / 64:.6f} {y / 48:.6f}' for x, y in corners)}", (48, 64))
    by_hand = np.zeros((48, 64), dtype=bool)
    by_hand[y0:y1, x0:x1] = True
    for shape in (box, ring):
        assert np.array_equal(rasterise(shape.kind, shape.geometry, Placement(1, 1), (48, 64)), by_hand)


def test_an_empty_label_file_says_that_nothing_was_found(tmp_path):
    dataset = Yolo()(folder(tmp_path, a="0 0.5 0.5 1 1\n", b="", c="\n"))
    assert states(dataset)["images/b.png", "mass"] == states(dataset)["images/c.png", "edema"] == "negative"
    assert "2 label files are empty: nothing was found on their images" in dataset.notes


def test_a_missing_label_file_says_nothing_unless_it_is_declared_to(tmp_path):
    folder(tmp_path, a="0 0.5 0.5 1 1\n")
    image(tmp_path, "images/b.png")
    dataset = Yolo()(tmp_path)
    assert dataset.images["image_id"].tolist() == ["images/a.png"]
    assert "1 images without a label file left out" in dataset.notes
    declared = Yolo(missing_label="negative")(tmp_path)
    assert states(declared)["images/b.png", "mass"] == "negative"
    assert "1 images without a label file negative for all classes (`missing_label`)" in declared.notes


def test_a_class_without_shape_is_unmentioned_where_labelling_was_not_exhaustive(tmp_path):
    assert states(Yolo(exhaustive=False)(folder(tmp_path, a="0 0.5 0.5 1 1\n"))) == {
        ("images/a.png", "mass"): "positive",
        ("images/a.png", "edema"): "unmentioned",
    }


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("training/a.png", "training/a.txt"),
    ],
)
def test_folders_of_splits_may_lie_above_or_below_or_hold_both(tmp_path, picture, label):
    folder(tmp_path)
    image(tmp_path, picture)
    text(tmp_path, label, "0 0.5 0.5 1 1\n")
    dataset = Yolo()(tmp_path)
    assert dataset.images[["image_id", "split"]].to_numpy().tolist() == [[picture, "train"]]
    assert len(dataset.annotations) == 1
    assert recognise(tmp_path).source == "yolo"


def test_a_word_in_the_name_of_an_image_is_no_split(tmp_path):
    assert Yolo()(folder(tmp_path, test_1="")).images["split"].tolist() == [None]


def test_the_yaml_file_states_splits_by_folder_and_by_list(tmp_path):
    folder(tmp_path, "path: ../datasets/mine\ntrain: ../images/a\nval: val.txt\ntest: [nowhere]\nnames: {0: mass}\n")
    for name in ("a/1", "b/2", "b/3"):
        image(tmp_path, f"images/{name}.png")
        text(tmp_path, f"labels/{name}.txt", "")
    text(tmp_path, "val.txt", "./images/b/2.png\n/elsewhere/images/b/9.png\n")
    assert Yolo()(tmp_path).images["split"].tolist() == ["train", "val", None]


def test_a_folder_stated_for_two_splits_is_none_and_is_noted(tmp_path):
    dataset = Yolo()(folder(tmp_path, "train: images\nval: images\nnames: [mass]\n", a=""))
    assert dataset.images["split"].tolist() == [None]
    assert "1 images stand in several splits of the YAML file: their split is not used" in dataset.notes


@pytest.mark.parametrize("name", ["classes.txt", "labels/classes.txt", "obj.names", "data/coco.names"])
def test_names_may_stand_in_a_plain_list(tmp_path, name):
    folder(tmp_path, a="1 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").unlink()
    text(tmp_path, name, "mass\r\nedema\r\n")
    dataset = Yolo()(tmp_path)
    assert dataset.classes == ("mass", "edema")
    assert f"2 classes of {name}" in dataset.notes


def test_names_may_be_numbered_with_gaps_or_given(tmp_path):
    folder(tmp_path, "names:\n  5: edema\n  2: mass\n", a="5 0.5 0.5 1 1\n")
    assert Yolo()(tmp_path).classes == ("mass", "edema")
    assert shapes(Yolo(names=list("uvwxyz"))(tmp_path))[0][0] == "z"  # type: ignore[arg-type]


def test_class_numbers_without_names_are_refused(tmp_path):
    folder(tmp_path, a="0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"holds no data.yaml, classes.txt or \*.names; expected class names: set"):
        Yolo()(tmp_path)
    assert recognise(tmp_path).variant == "labels/*.txt and no names, YOLO"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("names: [a, a]", r"data.yaml must name every class once; got 'a', 'a'"),
        ("names: []", r"must name every class once; got none"),
        ("names: {x: a}", r"`names` must be a list, or a mapping of numbers to names"),
        ("names: [a]\nnc: 2", r"data.yaml: `nc` is 2, and `names` has 1"),
        ("names: [a]\nkpt_shape: [17, 3]", r"has `kpt_shape`: its labels are key points"),
    ],
)
def test_wrong_names_are_refused(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        Yolo()(folder(tmp_path, names, a=""))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 1", r"labels/a.txt, line 2: 4 numbers; expected 5 for a box, 6 .* or 7, 9, 11 … for a polygon"),
        ("0 0 0 1 0 1 1 0", r"line 2: 8 numbers"),
        ("mass 0.5 0.5 1 1", r"line 2: 'mass 0.5 0.5 1 1' must be a whole number and shares"),
        ("0.5 0.5 0.5 1 1", r"line 2: .* must be a whole number"),
        ("0 nan 0.5 1 1", r"line 2: .* must be a whole number"),
        ("0 0.5 0.5 0 1", r"line 2: box \[5.0, 0.0, 5.0, 8.0\] is inverted or empty"),
        ("0 5 4 4 4", r"line 2: box .* lies outside its frame of 10 × 8 pixels"),
        ("2 0.5 0.5 1 1", r"line 2: no class has the number 2; data.yaml has 0 mass, 1 edema"),
        ("-1 0.5 0.5 1 1", r"line 2: no class has the number -1"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        Yolo()(folder(tmp_path, a=f"0 0.5 0.5 1 1\n{line}\n"))


def test_a_box_a_little_outside_is_accepted(tmp_path):
    assert shapes(Yolo()(folder(tmp_path, a="0 0.5 0.5 1.1 1.1\n")))


def test_label_files_without_image_are_refused(tmp_path):
    folder(tmp_path, a="")
    text(tmp_path, "labels/b.txt", "")
    text(tmp_path, "labels/classes.txt", "mass\nedema\n")
    with pytest.raises(DataError, match=r"1 label files have no image: 'labels/b.txt'; restore the images or remove"):
        Yolo()(tmp_path)


def test_a_label_file_of_two_images_is_refused(tmp_path):
    folder(tmp_path, a="")
    image(tmp_path, "images/a.bmp")
    with pytest.raises(DataError, match=r"labels/a.txt belongs to images/a.bmp and to images/a.png; expected one"):
        Yolo()(tmp_path)


def test_pictures_outside_the_folders_of_images_are_not_of_the_set(tmp_path):
    folder(tmp_path, a="")
    image(tmp_path, "preview.png")
    assert not [note for note in Yolo()(tmp_path).notes if "without a label file" in note]


def test_a_folder_without_label_files_is_refused(tmp_path):
    folder(tmp_path)
    image(tmp_path, "images/a.png")
    with pytest.raises(DataError, match=r"holds no image with a label file; expected images/NAME"):
        Yolo()(tmp_path)


def test_all_problems_are_reported_at_once(tmp_path):
    folder(tmp_path, a="0 0 0\n7 0.5 0.5 1 1\n", b="0 0.5 0.5 0 1\n")
    text(tmp_path, "labels/c.txt", "")
    (tmp_path / "images/d.png").write_bytes(b"no image")
    text(tmp_path, "labels/d.txt", "")
    with pytest.raises(DataError) as caught:
        Yolo()(tmp_path)
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"missing_label": "skip"}, "`missing_label` must be unlabelled or negative; got 'skip'"),
        ({"names": "mass"}, "`names` must be a list of different class names; got 'mass'"),
        ({"names": ["mass", "mass"]}, "`names` must be a list"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Yolo(**settings)


def test_the_folder_is_recognised_with_its_names(tmp_path):
    assert recognise(folder(tmp_path, a="", b="0 0.5 0.5 1 1\n")).variant == "labels/*.txt and data.yaml, YOLO"


def test_texts_of_other_kinds_are_not_recognised(tmp_path):
    text(tmp_path, "labels/a.txt", "this is no label\n")
    text(tmp_path, "Label/a.txt", "100 200 3\n")
    text(tmp_path, "data.yaml", "names: [a")
    assert recognise(tmp_path) is None


def test_the_source_is_registered():
    assert DATASETS.build("yolo", names=["a"]) == Yolo(names=("a",))
