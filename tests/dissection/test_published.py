from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import InputError, Placement, rasterise, resize_bilinear
from tailscope.dissection import AnnotatedImages, counts_by_label, published_concepts, published_report
from tailscope.dissection import published as module
from tailscope.dissection._region_kernels import count_contours
from tailscope.dissection.published import (
    ALL_CLASSES,
    PUBLISHED_DIFFERENCE,
    PublishedConcepts,
    PublishedSettings,
    published_class_counts,
)

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


def golden_cases(*groups: str) -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        return []
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    return [case for case in cases if case["group"] in groups]


def run(case: dict[str, Any]) -> list[tuple[list[int], PublishedConcepts]]:
    args, maps = case["args"], np.load(GOLDEN / case["file"])["feature_maps"]
    size = (args["img_size"], args["img_size"])
    boxes = np.zeros((len(maps), *size), dtype=bool)
    for mask, image_boxes in zip(boxes, args["bboxes"], strict=True):
        for box in image_boxes:
            mask |= rasterise("box", box, Placement(1, 1), size)
    results = []
    for batch in args["batches"]:
        restricted = boxes[batch] if args["with_bboxes"] else None
        results.append((batch, published_concepts(maps[batch], args["quantile_threshold"], restricted, size)))
    return results


@pytest.mark.needs_data
@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")
@pytest.mark.parametrize("case", golden_cases("concepts", "concepts_batch_dependence"), ids=lambda case: case["name"])
def test_golden_thresholds_masks_counts_and_report_are_met(case: dict[str, Any]) -> None:
    stored, args = np.load(GOLDEN / case["file"]), case["args"]
    thresholds = np.stack([result.thresholds for _, result in run(case)])
    np.testing.assert_allclose(thresholds, stored["thresholds"], rtol=1e-5, atol=1e-6)
    order = [image for batch, _ in run(case) for image in batch]
    counts = np.concatenate([result.per_image(disjoint=args["count_disjoint"]) for _, result in run(case)])
    by_image = np.empty_like(counts)
    by_image[order] = counts
    assert by_image.tolist() == stored["num_concepts_per_image"].tolist()
    collected = counts_by_label(counts, [args["labels"][image] for image in order])
    assert {str(label): values for label, values in collected.items()} == case["num_concepts_dict"]
    if "report" in stored:
        np.testing.assert_allclose(published_report(collected), stored["report"], atol=1e-4)


@pytest.mark.needs_data
@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")
@pytest.mark.parametrize("case", golden_cases("concepts"), ids=lambda case: case["name"])
def test_golden_masks_and_contours_are_met_but_for_pixels_at_the_threshold(case: dict[str, Any]) -> None:
    stored = np.load(GOLDEN / case["file"])
    ((_, result),) = run(case)
    size = case["args"]["img_size"]
    expected = np.unpackbits(stored["masks_packed"], axis=-1)[..., :size].astype(bool)
    upsampled = resize_bilinear(stored["feature_maps"], (size, size))
    close = np.abs(upsampled - stored["thresholds"][0][:, None, None]) <= 1e-6
    assert not ((result.masks != expected) & ~close).any()
    same = (result.masks == expected).all(axis=(2, 3))
    assert result.contours[same].tolist() == stored["contour_count"][same].tolist()


def test_the_published_count_depends_on_the_batch() -> None:
    maps = np.random.default_rng(0).standard_normal((4, 16, 7, 7)).astype(np.float32)
    whole = published_concepts(maps, 0.96, None, (32, 32)).contours
    single = np.concatenate([published_concepts(maps[n : n + 1], 0.96, None, (32, 32)).contours for n in range(4)])
    assert whole.tolist() != single.tolist()


def test_the_published_count_takes_a_dead_unit_for_a_concept() -> None:
    result = published_concepts(np.zeros((1, 3, 2, 2)), 0.99, None, (8, 8))
    assert result.per_image(disjoint=False).tolist() == [3]


def contours(mask: NDArray[np.bool_]) -> int:
    """What RETR_TREE finds: 8-connected regions, and 4-connected holes that are not open to the border."""
    regions = ndimage.label(mask, structure=np.ones((3, 3)))[1]
    return int(regions + ndimage.label(~np.pad(mask, 1))[1] - 1)


def test_contours_are_the_regions_and_holes_that_labelling_finds() -> None:
    rng = np.random.default_rng(3)
    for size in ((1, 1), (1, 9), (8, 1), (13, 17), (24, 31)):
        masks = rng.random((40, *size)) < np.linspace(0, 1, 40)[:, None, None]
        assert count_contours(masks).tolist() == [contours(mask) for mask in masks]


def world() -> tuple[NDArray[np.float32], AnnotatedImages]:
    """Seven images, five of them annotated, ids against the order of the rows; image 4 has both classes."""
    rng = np.random.default_rng(0)
    masks = {pair: rng.random((12, 12)) < 0.5 for pair in ((0, "b"), (1, "a"), (4, "a"), (4, "b"), (5, "a"), (6, "b"))}
    annotated = np.array([(row, "ab".index(name)) for row, name in masks])
    targets = np.zeros((7, 2))
    targets[annotated[:, 0], annotated[:, 1]] = 1
    ids = np.array(list("gfedcba"))
    images = AnnotatedImages(
        lambda row, name: masks.get((row, name)), targets, annotated, np.arange(7), ("a", "b"), ids
    )
    return rng.standard_normal((7, 5, 4, 4)).astype(np.float32), images


def by_hand(maps: NDArray[np.float32], images: AnnotatedImages, with_boxes: bool) -> dict[str, list[int]]:
    """Rows in the order of their ids, two to a batch."""
    found: dict[str, list[int]] = {}
    for batch in ([6, 5], [4, 1], [0]):
        boxes = np.zeros((len(batch), 12, 12), dtype=bool)
        for box, row in zip(boxes, batch, strict=True):
            for name in "ab":
                mask = images.masks(row, name)
                box |= mask if mask is not None else False
        counts = published_concepts(maps[batch], 0.8, boxes if with_boxes else None, (12, 12)).per_image(disjoint=True)
        for count, row in zip(counts.tolist(), batch, strict=True):
            for name in "ab":
                if images.masks(row, name) is not None:
                    found.setdefault(name, []).append(count)
    return found


@pytest.mark.parametrize("with_boxes", [True, False])
def test_a_runs_published_numbers_go_by_batches_of_ids_and_all_boxes_of_an_image(with_boxes: bool) -> None:
    maps, images = world()
    table = published_class_counts(maps, images, PublishedSettings(0.8, 2, with_boxes))
    found = by_hand(maps, images, with_boxes)
    assert table["class"].tolist() == ["b", "a", ALL_CLASSES]  # by first appearance: the first id is that of row 6
    for name, counts in (*found.items(), (ALL_CLASSES, found["b"] + found["a"])):
        row = table.set_index("class").loc[name]
        expected = [len(counts), min(counts), max(counts), np.mean(counts), np.std(counts)]
        assert row.tolist() == pytest.approx(expected, abs=5e-5)


def test_blocks_of_units_do_not_change_the_published_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, images = world()
    for disjoint in (True, False):
        settings = PublishedSettings(0.8, 2, disjoint=disjoint)
        whole = published_class_counts(maps, images, settings)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_BLOCK_BYTES", 1)
            assert published_class_counts(maps, images, settings).equals(whole)


def test_a_label_of_two_boxes_counts_twice() -> None:
    maps, images = world()
    table = published_class_counts(maps, images, PublishedSettings(0.8, 2), np.array([1, 1, 1, 3, 1, 1]))
    assert table["entries"].tolist() == [5, 3, 8]


def test_a_runs_published_numbers_change_with_the_batch_size() -> None:
    maps, images = world()
    one, all_together = (published_class_counts(maps, images, PublishedSettings(0.8, size)) for size in (1, 5))
    assert one["mean"].tolist() != all_together["mean"].tolist()


def test_without_annotation_there_is_no_published_number() -> None:
    maps, images = world()
    bare = AnnotatedImages(
        images.masks, images.targets, np.empty((0, 2), int), images.patients, images.classes, images.image_ids
    )
    assert published_class_counts(maps, bare).empty


def test_the_difference_to_the_corrected_count_is_said_in_full() -> None:
    for word in ("batch", "order", "dead unit", "hole", "all classes", "size", "own mask", "other patients"):
        assert word in PUBLISHED_DIFFERENCE


@pytest.mark.parametrize(("setting", "value"), [("quantile", 1.5), ("batch_size", 0)])
def test_a_published_setting_out_of_range_is_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"`{setting}`"):
        PublishedSettings(**{setting: value})


def test_what_does_not_fit_the_images_is_refused() -> None:
    maps, images = world()
    with pytest.raises(InputError, match="one row per image, 7"):
        published_class_counts(maps[:6], images)
    for wrong in (np.ones(5, int), np.zeros(6, int)):
        with pytest.raises(InputError, match="`boxes_drawn`"):
            published_class_counts(maps, images, boxes_drawn=wrong)


def test_masks_of_one_image_in_two_sizes_are_refused() -> None:
    maps, images = world()
    mixed = AnnotatedImages(
        lambda row, name: np.ones((4, 4 + (name == "a")), dtype=bool),
        images.targets, images.annotated, images.patients, images.classes, images.image_ids,
    )  # fmt: skip
    with pytest.raises(InputError, match="'c' must have one size"):
        published_class_counts(maps, mixed, PublishedSettings(batch_size=1))
