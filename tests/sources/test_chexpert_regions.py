"""CheXlocalize's regions on CheXpert, against files made with pycocotools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from tailscope.core import DataError, InputError
from tailscope.core.geometry import Placement, decode_rle, rasterise
from tailscope.sources import CheXpert
from tailscope.sources.chexpert_regions import TASKS, key_of
from tailscope.sources.chexpert_tables import CLASSES

FRAME = (60, 90)  # height, width: not square, so that exchanged sides show
ONE, TWO, THREE = (f"patient6474{number}/study1/view1_frontal.jpg" for number in (1, 2, 3))
RING = [[10.0, 40.5], [30.25, 40.5], [30.25, 55.0], [10.0, 55.0]]


def encoded(mask: np.ndarray) -> dict[str, Any]:
    value = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": value["size"], "counts": value["counts"].decode()}


def masks(**drawn: np.ndarray) -> dict[str, Any]:
    """All ten tasks, as published: empty where nothing is drawn."""
    return {task: encoded(drawn.get(task.replace(" ", "_"), np.zeros(FRAME))) for task in TASKS}


def write_set(root: Path, size: tuple[int, int] = FRAME, **files: Any) -> Path:
    """Three test images, the first two with Lung Opacity, and these files of CheXlocalize."""
    rows = ["Path," + ",".join(CLASSES)]
    for tail in (ONE, TWO, THREE):
        path = root / "CheXpert/test" / tail
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros(size, dtype=np.uint8)).save(path)
        cells = [str(int(name == "Lung Opacity" and tail != THREE)) for name in CLASSES]
        rows.append(f"test/{tail},{','.join(cells)}")
    (root / "CheXpert/test_labels.csv").write_text("\n".join(rows))
    (root / "CheXlocalize").mkdir(exist_ok=True)
    for name, content in files.items():
        (root / f"CheXlocalize/{name}.json").write_text(json.dumps(content))
    return root


def polygons(**tasks: Any) -> dict[str, Any]:
    return {"img_size": list(FRAME), **{name.replace("_", " "): rings for name, rings in tasks.items()}}


def test_a_ring_becomes_a_polygon_of_the_class_that_chexpert_names(tmp_path):
    root = write_set(tmp_path, gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])})
    [shape] = CheXpert()(root).annotations.itertuples()
    assert (shape.image_id, shape[2], shape.kind, shape.reader) == (ONE, "Lung Opacity", "polygon", "ground_truth")
    assert json.loads(shape.geometry) == [RING]
    assert (shape.ref_height, shape.ref_width) == FRAME


def test_every_ring_is_an_instance_of_its_own(tmp_path):
    second = [[x + 40, y] for x, y in RING]
    root = write_set(tmp_path, gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING, second])})
    assert len(CheXpert()(root).annotations) == 2


def test_run_lengths_run_down_the_columns_of_height_by_width(tmp_path):
    drawn = np.random.default_rng(0).random(FRAME) < 0.3
    root = write_set(tmp_path, gt_segmentations_test={key_of(ONE): masks(Airspace_Opacity=drawn)})
    [shape] = CheXpert(shapes="masks")(root).annotations.itertuples()
    assert np.array_equal(decode_rle(json.loads(shape.geometry)), drawn)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools with numpy 2
def test_polygon_and_mask_of_one_drawing_bound_the_same_box_within_a_pixel(tmp_path):
    flat = [[number for point in RING for number in point]]
    drawn = coco.decode(coco.merge(coco.frPyObjects(flat, *FRAME)))
    root = write_set(
        tmp_path,
        gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])},
        gt_segmentations_test={key_of(ONE): masks(Airspace_Opacity=drawn)},
    )
    boxes = []
    for form in ("polygons", "masks"):
        [shape] = CheXpert(shapes=form)(root).annotations.itertuples()
        ys, xs = np.nonzero(rasterise(shape.kind, shape.geometry, Placement(1, 1), FRAME))
        boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert np.abs(np.subtract(*boxes)).max() <= 1
    assert np.abs(np.array(boxes[0]) - [10, 40.5, 30.25, 55]).max() <= 1


def test_an_empty_mask_is_negative_and_no_region(tmp_path):
    drawn = np.ones(FRAME)
    root = write_set(tmp_path, gt_segmentations_test={key_of(ONE): masks(Edema=drawn)})
    dataset = CheXpert(shapes="masks")(root)
    assert dataset.annotations["class"].tolist() == ["Edema"]
    assert any("9 masks are empty, which is negative" in note for note in dataset.notes)


def test_an_image_that_the_file_does_not_name_is_negative_and_said_to_be_looked_at(tmp_path):
    root = write_set(tmp_path, gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])})
    dataset = CheXpert()(root)
    third = dataset.labels[dataset.labels["image_id"] == THREE]
    assert set(third["state"]) == {"negative"}
    assert any("2 of 3 images are not named: looked at, none of the ten tasks" in note for note in dataset.notes)


def test_masks_are_read_where_there_are_no_polygons(tmp_path):
    root = write_set(tmp_path, gt_segmentations_test={key_of(ONE): masks(Edema=np.ones(FRAME))})
    assert CheXpert()(root).annotations["kind"].tolist() == ["rle"]


def test_the_human_benchmark_is_read_only_if_asked_for_and_keeps_its_name(tmp_path):
    other = [[x + 5, y] for x, y in RING]
    root = write_set(
        tmp_path,
        gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])},
        hb_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[other])},
    )
    assert CheXpert()(root).annotations["reader"].tolist() == ["ground_truth"]
    both = CheXpert(regions=["ground_truth", "human_benchmark"])(root).annotations
    by_reader = dict(zip(both["reader"], both["geometry"].map(json.loads), strict=True))
    assert by_reader == {"ground_truth": [RING], "human_benchmark": [other]}


def test_a_point_is_the_pixel_that_it_lies_in_x_before_y(tmp_path):
    root = write_set(
        tmp_path,
        gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])},
        hb_salient_pt_test={key_of(ONE): {"Airspace Opacity": [[70.7, 12.2]]}},
    )
    [shape] = CheXpert(regions=("human_points",))(root).annotations.itertuples()
    drawn = rasterise(shape.kind, shape.geometry, Placement(1, 1), FRAME)
    assert np.argwhere(drawn).tolist() == [[12, 70]]
    assert shape.reader == "human_points"


def test_points_on_reduced_images_keep_the_frame_of_the_polygons(tmp_path):
    root = write_set(
        tmp_path,
        size=(20, 30),
        gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])},
        hb_salient_pt_test={key_of(ONE): {"Edema": [[70.7, 12.2]]}},
    )
    [shape] = CheXpert(regions=("human_points",))(root).annotations.itertuples()
    assert (shape.ref_height, shape.ref_width) == FRAME


def test_no_region_is_read_if_none_is_asked_for(tmp_path):
    root = write_set(tmp_path, gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING])})
    assert CheXpert(regions=())(root).annotations.empty


def test_regions_on_images_that_are_not_positive_are_counted(tmp_path):
    root = write_set(tmp_path, gt_annotations_test={key_of(ONE): polygons(Airspace_Opacity=[RING], Edema=[RING])})
    assert "2 pairs of image and class have a region; 1 are not positive by label" in CheXpert()(root).notes


def test_the_recognised_variant_names_the_files_of_chexlocalize(tmp_path):
    root = write_set(tmp_path, gt_annotations_test={}, hb_salient_pt_test={})
    assert CheXpert.recognise(root) == "test_labels.csv, gt_annotations_test.json, hb_salient_pt_test.json"


def test_a_file_of_a_split_without_table_is_not_used_and_noted(tmp_path):
    root = write_set(tmp_path, gt_annotations_val={"patient1_study1_view1_frontal": polygons(Edema=[RING])})
    assert "gt_annotations_val.json names no listed image and was not used" in CheXpert()(root).notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"patient9_study1_view1_frontal": polygons()}, "names 1 images that no table lists: 'patient9_study1"),
        ({key_of(TWO): polygons(Oedema=[RING])}, "'Oedema': the task is unknown; did you mean 'Edema'"),
        ({key_of(TWO): {"img_size": [90, 60], "Edema": [RING]}}, r"\[90, 60\] .* has another aspect ratio"),
        ({key_of(TWO): polygons(Edema=[[[1, 1], [1, 200], [9, 9]]])}, "polygon ring lies outside its frame of 90 × 60"),
        ({key_of(TWO): polygons(Edema=[["a", "b", "c"]])}, "'Edema': .*expected polygons as published"),
        ({key_of(TWO): {"Edema": [RING]}}, "expected `img_size` and tasks"),
        ({key_of(TWO): []}, "expected `img_size` and tasks"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path, content, message):
    good = {key_of(ONE): polygons(Airspace_Opacity=[RING])}
    with pytest.raises(DataError, match=message):
        CheXpert()(write_set(tmp_path, gt_annotations_test=good | content))


def test_broken_run_lengths_are_refused(tmp_path):
    wrong = {"Edema": {"size": list(FRAME), "counts": "PVWX6"}}
    with pytest.raises(DataError, match=r"'Edema': run lengths add up to"):
        CheXpert(shapes="masks")(write_set(tmp_path, gt_segmentations_test={key_of(ONE): wrong}))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    root = write_set(tmp_path)
    (root / "CheXlocalize/gt_annotations_test.json").write_text("{")
    with pytest.raises(DataError, match=r"gt_annotations_test\.json is not JSON"):
        CheXpert()(root)


def test_unknown_roles_are_refused():
    with pytest.raises(InputError, match="`regions` must be a list of ground_truth, human_benchmark, human_points"):
        CheXpert(regions=("model",))
    with pytest.raises(InputError, match="`shapes` must be polygons or masks"):
        CheXpert(shapes="boxes")  # type: ignore[arg-type]
