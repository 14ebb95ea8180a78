"""The variants as published against the recorded outputs of the published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailscope.alignment import METRICS
from tailscope.core import Placement, rasterise

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here"),
]


def cases(group: str) -> list[Any]:
    if not GOLDEN.exists():
        return []
    listed = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in listed if case["group"] == group]


def arrays(case: dict[str, Any]) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / case["file"]) as stored:
        return dict(stored)


def box_mask(boxes: list[list[int]], size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """The union of boxes; one that is empty draws nothing, as in the published code."""
    mask = np.zeros(size, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        if x1 > x0 and y1 > y0:
            mask |= rasterise("box", [x0, y0, x1, y1], Placement(1, 1), size)
    return mask


@pytest.mark.parametrize("case", [case for case in cases("boxes") if case.values[0]["function"] == "bboxes_to_mask"])
def test_boxes_cover_the_published_pixels(case):
    stored = arrays(case)
    assert (box_mask(stored["bboxes"].tolist()) == (stored["mask"] > 0)).all()


@pytest.mark.parametrize("case", cases("overlap"))
def test_the_overlap_as_published(case):
    stored = arrays(case)
    for boxes, threshold in ((b, t) for b in case["args"]["boxes"] for t in case["args"]["thresholds"]):
        metric = METRICS.build(case["args"]["mode"], threshold=threshold, variant="as_published")
        value = float(metric(stored["attr_map"], box_mask(case["args"]["boxes"][boxes])))
        assert value == pytest.approx(float(stored[f"{boxes}_thr{threshold}"]), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("case", cases("pointing_game"))
def test_the_pointing_game_as_published(case):
    stored = arrays(case)
    metric = METRICS.build("pointing_game", variant="as_published", top_k=case["args"]["top_k"])
    for name, boxes in case["args"]["boxes"].items():
        hits, total = metric.counts(stored["attr_map"], box_mask(boxes))
        assert (int(hits), int(total)) == (int(stored[f"{name}_num_true_pos"]), int(stored[f"{name}_num_pos"]))


@pytest.mark.parametrize("case", cases("torchray_pointing"))
def test_the_pointing_game_of_torchray(case):
    stored = arrays(case)
    metric = METRICS.build("pointing_game", tolerance_px=case["args"]["tolerance"], variant="torchray")
    for (u, v), hit in zip(stored["points_uv"], stored["hit"], strict=True):
        saliency = np.zeros(stored["mask"].shape)
        saliency[v, u] = 1.0
        assert float(metric(saliency, stored["mask"])) == (hit > 0)


@pytest.mark.parametrize("case", cases("tools"))
def test_the_published_tools_pool_pixels_and_average_overlaps(case):
    stored = arrays(case)
    maps = stored["maps"] / 255.0 if stored["maps"].dtype == np.uint8 else stored["maps"]
    masks = np.array([box_mask(record["bboxes"]) for record in case["args"]["records"].values()])
    for top_k in (1, 10):
        hits, total = METRICS.build("pointing_game", variant="as_published", top_k=top_k).counts(maps, masks)
        pooled = [hits.sum(), total.sum(), hits.sum() / (total.sum() + 1e-8)]
        np.testing.assert_allclose(pooled, stored[f"pg_top{top_k}"], atol=5.1e-5)
    for name in ("iobb", "ior", "iou"):
        for threshold in (None, 0.5):
            values = METRICS.build(name, threshold=threshold, variant="as_published")(maps, masks)
            expected = stored[f"{name}_thr{threshold}"]
            np.testing.assert_allclose([values.mean(), values.std()], expected, atol=5.1e-5)


@pytest.mark.parametrize("case", cases("normalizer"))
def test_scaling_a_map_as_published_changes_no_corrected_metric_but_by_rounding(case):
    stored = arrays(case)
    mask = box_mask([[1, 1, 4, 5]], stored["attr_map"].shape)
    for name in ("iobb", "ior", "iou"):
        metric = METRICS.build(name)
        before, after = metric(stored["attr_map"], mask), metric(stored["normalized"], mask)
        assert float(after) == pytest.approx(float(before), rel=1e-7)
