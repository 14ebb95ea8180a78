from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailscope.core import Placement, rasterise, resize_bilinear
from tailscope.dissection import counts_by_label, published_concepts, published_report
from tailscope.dissection.published import PublishedConcepts

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
