"""The source `coco`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from tailscope.core import DataError, InputError, Placement, decode_rle, rasterise
from tailscope.data import DATASETS
from tailscope.sources import recognise
from tailscope.sources.coco import Coco
from tailscope.sources.coco_shapes import coco_shape

SAME = Placement(1, 1)
CATEGORIES = [{"id": 90, "name": "edema", "supercategory": ""}, {"id": 7, "name": "mass", "supercategory": ""}]
SIDE = 24


def image(path: Path, size: tuple[int, int] = (8, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number = sum(path.as_posix().encode())
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)).save(path)


def entry(number: int, name: str, **further: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 10, "height": 8, **further}


def document(
    images: list[dict[str, Any]], annotations: list[dict[str, Any]], categories: list[dict[str, Any]] = CATEGORIES
) -> dict[str, Any]:
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def write(root: Path, content: Any, name: str = "annotations/instances.json") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return root


def folder(root: Path, *annotations: dict[str, Any]) -> Path:
    """Images a.png and b.png of 10 × 8 pixels with ids 1 and 2, and one instance file."""
    for name in ("a.png", "b.png"):
        image(root / "images" / name)
    return write(root, document([entry(2, "b.png"), entry(1, "a.png")], list(annotations)))


def drawn(root: Path, annotation: dict[str, Any], **settings_: Any) -> list[tuple[str, Any]]:
    shapes = Coco(**settings_)(folder(root, {"id": 1, "image_id": 1, "category_id": 7, **annotation})).annotations
    return [(row.kind, json.loads(row.geometry)) for row in shapes.itertuples()]


def states(dataset: Any) -> dict[tuple[str, str], str]:
    labels = dataset.labels
    return dict(zip(zip(labels["image_id"], labels["class"], strict=True), labels["state"], strict=True))


def test_category_ids_need_not_be_contiguous_and_classes_follow_them(tmp_path):
    dataset = Coco()(folder(tmp_path, {"image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4]}))
    assert dataset.classes == ("mass", "edema")
    [row] = dataset.annotations.itertuples()
    assert (row.image_id, row[2], row.kind, row.geometry) == ("images/a.png", "edema", "box", "[1,2,4,6]")
    assert (row.ref_height, row.ref_width) == (8, 10)


def test_a_class_is_negative_where_it_is_not_annotated(tmp_path):
    dataset = Coco()(folder(tmp_path, {"image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4]}))
    assert states(dataset) == {
        ("images/a.png", "mass"): "negative",
        ("images/a.png", "edema"): "positive",
        ("images/b.png", "mass"): "negative",
        ("images/b.png", "edema"): "negative",
    }
    assert "a class without annotation on an image is negative, as in COCO" in dataset.notes


def test_a_class_is_unmentioned_where_annotation_was_not_exhaustive(tmp_path):
    dataset = Coco(exhaustive=False)(folder(tmp_path, {"image_id": 1, "category_id": 90, "bbox": [1, 2, 3, 4]}))
    assert sorted(states(dataset).values()) == ["positive", "unmentioned", "unmentioned", "unmentioned"]


def test_a_category_of_another_file_is_unmentioned(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / "images" / name)
    write(tmp_path, document([entry(1, "a.png")], [], CATEGORIES[:1]), "annotations/instances_1.json")
    write(tmp_path, document([entry(1, "b.png")], [], CATEGORIES[1:]), "annotations/instances_2.json")
    found = states(Coco()(tmp_path))
    assert found["images/a.png", "edema"] == found["images/b.png", "mass"] == "negative"
    assert found["images/a.png", "mass"] == found["images/b.png", "edema"] == "unmentioned"


def test_lists_of_searched_categories_limit_the_negatives(tmp_path):
    image(tmp_path / "a.png")
    write(tmp_path, document([entry(1, "a.png", neg_category_ids=[7])], []))
    assert states(Coco()(tmp_path)) == {("a.png", "mass"): "negative", ("a.png", "edema"): "unmentioned"}


def test_a_polygon_a_packed_and_a_plain_run_length_of_one_shape_are_one_mask(tmp_path):
    ring = [[2, 1, 7, 1, 7, 5, 4, 5, 4, 3, 2, 3]]
    by_hand = np.zeros((8, 10), dtype=bool)
    by_hand[1:3, 2:7] = by_hand[3:5, 4:7] = True
    packed = coco.encode(np.asfortranarray(by_hand.astype(np.uint8)))
    plain = {"size": [8, 10], "counts": [17, 2, 6, 2, 6, 4, 4, 4, 4, 4, 27]}
    shapes = [
        drawn(tmp_path, {"segmentation": form, "bbox": [2, 1, 5, 4], "iscrowd": crowd})
        for form, crowd in ((ring, 0), ({"size": [8, 10], "counts": packed["counts"].decode()}, 1), (plain, 1))
    ]
    assert [kind for [(kind, _)] in shapes] == ["polygon", "rle", "rle"]
    for [(kind, geometry)] in shapes:
        assert np.array_equal(rasterise(kind, geometry, SAME, (8, 10)), by_hand)


def test_several_rings_are_one_instance(tmp_path):
    [(kind, rings)] = drawn(tmp_path, {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [5, 5, 7, 5, 7, 7, 5, 7]]})
    assert (kind, len(rings)) == ("polygon", 2)
    assert rasterise(kind, rings, SAME, (8, 10)).sum() == 8


@pytest.mark.parametrize("absent", [{}, {"segmentation": []}, {"segmentation": [[]]}, {"segmentation": None}])
def test_the_box_stands_in_for_a_missing_segmentation(tmp_path, absent):
    assert drawn(tmp_path, {"bbox": [0.5, 1, 3, 4.25], **absent}) == [("box", [0.5, 1, 3.5, 5.25])]


def test_boxes_alone_are_drawn_on_request(tmp_path):
    both = {"bbox": [0, 1, 3, 4], "segmentation": [[0, 1, 3, 1, 3, 5]]}
    assert drawn(tmp_path, both, shapes="box") == [("box", [0, 1, 3, 5])]


def test_an_annotation_without_shape_still_makes_its_class_positive(tmp_path):
    dataset = Coco()(folder(tmp_path, {"image_id": 2, "category_id": 7}))
    assert dataset.annotations.empty
    assert states(dataset)["images/b.png", "mass"] == "positive"
    assert "1 annotations draw nothing and only say that their class is present" in dataset.notes


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, SIDE)] * 2))
def test_boxes_are_drawn_as_pycocotools_draws_them(numbers):
    x, y, width, height = numbers
    box = [x, y, min(width, SIDE - x), min(height, SIDE - y)]
    kind, geometry = coco_shape({"bbox": box})
    expected = decoded(coco.frPyObjects(np.array([box], dtype=np.float64), SIDE, SIDE)[0])
    assert np.array_equal(rasterise(kind, geometry, SAME, (SIDE, SIDE)), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(2, 11), min_size=3, max_size=9))
def test_polygons_are_drawn_as_pycocotools_draws_them_but_for_pixels_on_the_edge(radii):
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = 12 + np.array(radii)[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    flat = points.ravel().tolist()
    kind, geometry = coco_shape({"segmentation": [flat]})
    ours = rasterise(kind, geometry, SAME, (SIDE, SIDE))
    theirs = decoded(coco.frPyObjects([flat], SIDE, SIDE)[0])
    assert ours.any()
    assert not ((ours != theirs) & (distance_to_edges(points) > 1)).any()


def decoded(rle: dict[str, Any]) -> np.ndarray:
    """By pycocotools' letters, since its own decoding warns under NumPy 2."""
    return coco_mask({"size": list(rle["size"]), "counts": rle["counts"].decode()})


def coco_mask(segmentation: dict[str, Any]) -> np.ndarray:
    return decode_rle(coco_shape({"segmentation": segmentation})[1])


def distance_to_edges(points: np.ndarray) -> np.ndarray:
    centres = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5), axis=-1)
    nearest = np.full((SIDE, SIDE), np.inf)
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        along = end - start
        length = float(along @ along)
        share = np.clip(((centres - start) @ along) / length, 0, 1)[..., None] if length > 1e-12 else 0.0
        nearest = np.minimum(nearest, np.linalg.norm(centres - start - share * along, axis=-1))
    return nearest


def test_files_per_split_give_the_split(tmp_path):
    for split in ("train2017", "val2017", "test"):
        image(tmp_path / split / "1.png")
        write(tmp_path, document([entry(1, "1.png")], []), f"annotations/instances_{split}.json")
    images = Coco()(tmp_path).images
    assert dict(zip(images["image_id"], images["split"], strict=True)) == {
        "test/1.png": "test",
        "train2017/1.png": "train",
        "val2017/1.png": "val",
    }


def test_a_file_beside_the_images_of_its_split_is_read(tmp_path):
    for split in ("train", "valid"):
        image(tmp_path / split / "1.png")
        write(tmp_path, document([entry(1, "1.png")], []), f"{split}/_annotations.coco.json")
    assert Coco()(tmp_path).images["split"].tolist() == ["train", "val"]


def test_an_image_in_two_splits_is_refused(tmp_path):
    image(tmp_path / "1.png")
    for split in ("train", "val"):
        write(tmp_path, document([entry(1, "1.png")], []), f"annotations/instances_{split}.json")
    with pytest.raises(DataError, match=r"image 1.png is val here and train in another; expected one"):
        Coco()(tmp_path)


def test_an_image_of_a_joint_file_has_the_split_of_the_other_and_its_shapes_once(tmp_path):
    image(tmp_path / "1.png")
    content = document([entry(1, "1.png")], [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 2, 2]}])
    for name in ("trainval", "train"):
        write(tmp_path, content, f"annotations/instances_{name}.json")
    dataset = Coco()(tmp_path)
    assert dataset.images["split"].tolist() == ["train"]
    assert len(dataset.annotations) == 1
    assert "1 annotations stand there more than once and were read once" in dataset.notes


@pytest.mark.parametrize("name", ["images\\a.png", "C:\\data\\images\\a.png", "/data/of/somebody/a.png", "../x/a.png"])
def test_names_from_another_machine_are_found_by_their_end(tmp_path, name):
    image(tmp_path / "deep/images/a.png")
    image(tmp_path / "outside.png")
    write(tmp_path, document([entry(1, name)], []))
    assert Coco()(tmp_path).images["path"].tolist() == ["deep/images/a.png"]


def test_a_name_that_fits_two_images_is_refused(tmp_path):
    for place in ("x", "y"):
        image(tmp_path / place / "a.png")
    write(tmp_path, document([entry(1, "a.png")], []))
    with pytest.raises(DataError, match=r"'a.png' exists 2 times, as x/a.png and as y/a.png; expected one: set"):
        Coco()(tmp_path)
    assert Coco(images="y")(tmp_path).images["path"].tolist() == ["y/a.png"]


def test_stated_sizes_are_the_reference_of_resized_images(tmp_path):
    image(tmp_path / "a.png", (4, 5))
    write(tmp_path, document([entry(1, "a.png")], [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 8]}]))
    dataset = Coco()(tmp_path)
    assert dataset.annotations[["ref_height", "ref_width"]].to_numpy().tolist() == [[8, 10]]
    assert dataset.images[["height", "width"]].to_numpy().tolist() == [[4, 5]]
    assert "1 images have another size than their annotations state; shapes are scaled along: 'a.png'" in dataset.notes


def test_an_image_that_lies_across_its_stated_size_is_refused(tmp_path):
    image(tmp_path / "a.png", (10, 8))
    write(tmp_path, document([entry(1, "a.png")], []))
    with pytest.raises(DataError, match=r"has 8 × 10 pixels \(width × height\); the annotations state 10 × 8.*turn it"):
        Coco()(tmp_path)


def test_a_missing_size_is_read_from_the_file(tmp_path):
    image(tmp_path / "a.png")
    content = document([{"id": 1, "file_name": "a.png"}], [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1]}])
    assert Coco()(write(tmp_path, content)).annotations["ref_height"].tolist() == [8]


def test_patients_are_read_from_the_key_that_is_named(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    write(tmp_path, document([entry(1, "a.png", case=12), entry(2, "b.png", case="")], []))
    assert Coco(patient_key="case")(tmp_path).images["patient_id"].tolist() == ["12", None]
    assert "no patient is known: every image is its own cluster" in Coco()(tmp_path).notes


def test_missing_images_are_counted_and_unlisted_ones_noted(tmp_path):
    folder(tmp_path)
    image(tmp_path / "images/c.png")
    assert "1 images on disk stand in no file and were left out" in Coco()(tmp_path).notes
    (tmp_path / "images/b.png").unlink()
    with pytest.raises(DataError, match=r"instances.json: 1 of 2 images are missing below .*'b.png'; restore them"):
        Coco()(tmp_path)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"image_id": 9, "category_id": 7}, r"entry 1 of `annotations` .* has the image_id 9 of no image here"),
        ({"image_id": 1, "category_id": 8}, r"has the category_id 8 of no category here"),
        ({"image_id": 1}, r"needs a number or text as category_id; got category_id None"),
        ({"image_id": 1, "category_id": 7, "bbox": [1, 2, 3]}, r"`bbox` must be the numbers \[x, y, width, height\]"),
        ({"image_id": 1, "category_id": 7, "bbox": [1, 2, "3", 4]}, r"`bbox` must be the numbers"),
        ({"image_id": 1, "category_id": 7, "bbox": [1, 2, 0, 4]}, r"box \[1, 2, 1, 6\] is inverted or empty"),
        ({"image_id": 1, "category_id": 7, "bbox": [1, 2, float("nan"), 4]}, r"is inverted or empty"),
        ({"image_id": 1, "category_id": 7, "bbox": [5, 2, 7, 4]}, r"lies outside its frame of 10 × 8 pixels"),
        (
            {"image_id": 1, "category_id": 7, "segmentation": [0, 0, 4, 0, 4, 4]},
            r"`segmentation` must be a list of",
        ),
        ({"image_id": 1, "category_id": 7, "segmentation": [[0, 0, 4, 0]]}, r"a ring must be numbers x, y of 3 points"),
        ({"image_id": 1, "category_id": 7, "segmentation": [[0, 0, 4, 0, 4, 4, 1]]}, r"a ring must be"),
        (
            {"image_id": 1, "category_id": 7, "segmentation": {"size": [10, 8], "counts": [1, 79]}},
            r"mask is \[10, 8\] \(height, width\); expected its reference size \[8, 10\]",
        ),
        ({"image_id": 1, "category_id": 7, "segmentation": {"size": [8, 10], "counts": [1, 9]}}, r"add up to 10"),
        ({"image_id": 1, "category_id": 7, "segmentation": {"size": [8, 10], "counts": [80]}}, r"mask is empty"),
        ("box", r"entry 1 of `annotations` must be an object with image_id, category_id; got 'box'"),
    ],
)
def test_a_wrong_annotation_is_refused_with_its_place(tmp_path, annotation, message):
    with pytest.raises(DataError, match=message) as caught:
        Coco()(folder(tmp_path, {"id": 5, **annotation} if isinstance(annotation, dict) else annotation))
    assert "annotations/instances.json" in str(caught.value)


@pytest.mark.parametrize(
    ("images", "categories", "message"),
    [
        ([entry(1, "a.png"), entry(1, "a.png")], CATEGORIES, r"image id 1 stands twice"),
        ([entry(1, "a.png"), entry(2, "a.png")], CATEGORIES, r"image ids 1 and 2 name one file, a.png"),
        ([entry(1, "a.png")], [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}], r"category id 1 stands twice"),
        ([entry(1, "a.png")], [{"id": 1, "name": "x"}, {"id": 2, "name": "x "}], r"category 'x' has two ids"),
        ([entry(1, "a.png")], [], r"has no category; expected at least one"),
        ([], CATEGORIES, r"no file lists an image"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, images, categories, message):
    image(tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        Coco()(write(tmp_path, document(images, [], categories)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"instances.json needs the lists images, annotations, categories"),
        ('{"images": [], "annotations": {}, "categories": []}', r"needs the lists"),
        ('{"images": [', r"instances.json is not JSON .*download or export it again"),
        ("[" * 100_000, r"instances.json is not JSON"),
        ("\xff", r"instances.json is not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, message):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        Coco()(tmp_path)


def test_a_folder_without_instances_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no annotations/instances\*.json .* set `annotations`"):
        Coco()(tmp_path)
    with pytest.raises(DataError, match=r"folder .*/pictures does not exist; expected the images there: set `images`"):
        Coco(images="pictures")(folder(tmp_path))


def test_all_problems_are_reported_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        Coco()(folder(tmp_path, {"image_id": 9, "category_id": 7}, {"image_id": 1, "category_id": 7, "bbox": [1]}))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"shapes": "mask"}, "`shapes` must be segmentation or box; got 'mask'"),
        ({"annotations": 3}, "`annotations` must be text; got 3"),
        ({"patient_key": ""}, "`patient_key` must be text"),
        ({"images": None}, "`images` must be a folder"),
    ],
)
def test_wrong_settings_are_refused(settings_, message):
    with pytest.raises(InputError, match=message):
        Coco(**settings_)


@pytest.mark.parametrize("name", ["annotations/instances_train.json", "train/_annotations.coco.json", "labels.json"])
def test_instances_are_recognised_by_place_and_content(tmp_path, name):
    write(tmp_path, document([], []), name)
    found = recognise(tmp_path)
    assert (found.source, found.variant) == ("coco", f"{name}, COCO instances")


def test_json_of_other_kinds_is_not_recognised(tmp_path):
    (tmp_path / "settings.json").write_text('{"images": "images", "seed": 1}')
    (tmp_path / "list.json").write_text('[{"file_name": "1.png", "syms": [], "boxes": []}]')
    assert recognise(tmp_path) is None


def test_the_source_is_registered():
    assert DATASETS.build("coco", exhaustive=False) == Coco(exhaustive=False)
