from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from tailscope.alignment import METRICS, score_pairs
from tailscope.alignment.localizing import CURVES, NIH_LEVELS, LocalizedAt, localization_curve
from tailscope.core import InputError, resize_bilinear

PATIENTS = np.array(["a", "a", "b", "c", "b"])


def boxes(marked: np.ndarray) -> list[tuple[int, int, int, int]]:
    found = ndimage.find_objects(ndimage.label(marked, structure=np.ones((3, 3)))[0])
    return [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in found]


def size(box: tuple[int, int, int, int]) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def slow(saliency: np.ndarray, mask: np.ndarray, overlap: str, levels: tuple[float, ...]) -> float:
    """The best overlap, by scipy's labels and a loop over boxes."""
    scaled = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    best = 0.0
    for detected in [box for level in levels for box in boxes(scaled >= level)]:
        for own in boxes(mask):
            shared = (*map(max, own[:2], detected[:2]), *map(min, own[2:], detected[2:]))
            union = size(own) + size(detected) - size(shared)
            best = max(best, size(shared) / (union if overlap == "iou" else size(detected)))
    return best


@pytest.mark.parametrize("overlap", ["iou", "iobb"])
@pytest.mark.parametrize("levels", [(0.5,), NIH_LEVELS, (0.05, 0.9, 1.0)])
@pytest.mark.parametrize("frame", [(12, 17), (20, 9)])
def test_a_pair_is_localised_where_the_best_overlap_of_the_slow_way_reaches_the_limit(rng, overlap, levels, frame):
    maps = np.concatenate([rng.normal(size=(15, *frame)), resize_bilinear(rng.random((25, 4, 5)), frame)])
    masks = rng.random((40, *frame)) < rng.uniform(0.02, 0.1, size=(40, 1, 1))
    masks[5:35] = ndimage.binary_dilation(masks[5:35], np.ones((1, 3, 3)), iterations=2)
    masks[:, 0, 0] = True
    best = np.array([slow(saliency, mask, overlap, levels) for saliency, mask in zip(maps, masks, strict=True)])
    hits = 0
    for at in (0.05, 0.1, 0.25, 0.5, 0.9, 1.0):
        values = METRICS.build("localized_at", overlap=overlap, at=at, level=levels)(maps, masks)
        assert values.tolist() == (best >= at).astype(float).tolist()
        hits += values.sum()
    assert 0 < hits < 240


def test_each_of_two_findings_has_its_own_box():
    mask = np.zeros((10, 20), dtype=bool)
    mask[1:4, 1:4] = mask[6:9, 15:19] = True
    saliency = np.zeros((10, 20))
    saliency[6:9, 15:19] = 1.0
    assert float(LocalizedAt("iou", at=1.0)(saliency, mask)) == 1.0


def test_findings_that_touch_at_a_corner_share_a_box():
    mask = np.eye(4, dtype=bool)
    assert float(LocalizedAt("iou", at=0.5)(np.eye(4), mask)) == 1.0
    only_one = np.zeros((4, 4))
    only_one[0, 0] = 1.0
    assert [float(LocalizedAt("iou", at=at)(only_one, mask)) for at in (1 / 16, 0.07)] == [1.0, 0.0]


def test_a_small_box_inside_the_annotation_has_all_of_the_papers_iobb_and_little_iou():
    mask = np.ones((4, 5), dtype=bool)
    saliency = np.zeros((4, 5))
    saliency[2, 2] = 1.0
    assert float(LocalizedAt("iobb", at=1.0)(saliency, mask)) == 1.0
    assert float(LocalizedAt("iou", at=0.06)(saliency, mask)) == 0.0


def test_an_overlap_just_at_the_limit_counts():
    mask, saliency = np.zeros((1, 10), dtype=bool), np.ones((1, 10))
    saliency[0, 9], mask[0, :3] = 0.0, True
    for at, hit in ((1 / 3, 1.0), (0.34, 0.0)):
        assert float(LocalizedAt("iobb", at=at)(saliency, mask)) == hit


def test_a_degenerate_map_is_one_box_around_the_frame():
    mask = np.array([[True, True, False, False]])
    for at, value in ((0.5, 1.0), (0.51, 0.0)):
        assert float(LocalizedAt("iobb", at=at)(np.zeros((1, 4)), mask)) == value


def test_the_curve_equals_each_of_its_metrics_alone(rng, masks):
    coarse = rng.random((5, 3, 3)).astype(np.float32)
    coarse[2], masks[4] = 0.0, False
    curve = localization_curve(coarse, masks, PATIENTS)
    metrics = {
        f"localized_at[at={at},overlap={overlap}]": METRICS.build("localized_at", overlap=overlap, at=at)
        for overlap in CURVES
        for at in CURVES[overlap]
    }
    alone = [score_pairs(coarse, masks, PATIENTS, {name: metric}) for name, metric in metrics.items()]
    pd.testing.assert_frame_equal(curve, pd.concat(alone, ignore_index=True))
    assert curve["metric"].nunique() == 12
    assert set(curve["reason"]) == {"", "degenerate map", "empty annotation"}


def test_the_reference_of_the_curve_is_the_share_of_other_patients_masks_that_the_map_would_meet(rng, masks):
    maps = rng.random((5, 6, 7))
    curve = localization_curve(maps, masks, PATIENTS, level=0.8, curves={"iou": (0.1, 0.3)})
    for _, row in curve.iterrows():
        at = 0.1 if "at=0.1," in row["metric"] else 0.3
        others = masks[PATIENTS[row["pair"]] != PATIENTS]
        saliency = maps[row["pair"]].astype(np.float32).astype(np.float64)
        expected = np.mean([slow(saliency, other, "iou", (0.8,)) >= at for other in others])
        assert row["reference"] == pytest.approx(expected)
    assert curve["metric"].unique().tolist() == [f"localized_at[at={at},level=0.8,overlap=iou]" for at in (0.1, 0.3)]


def test_a_level_from_a_file_is_kept_as_a_tuple():
    assert hash(LocalizedAt(level=[0.2, 0.5])) == hash(LocalizedAt(level=(0.2, 0.5)))
    assert LocalizedAt(level=0.5) == LocalizedAt(level=[0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlap": "ior"}, "`overlap` must be iou or iobb; got 'ior'"),
        ({"at": 0}, r"`at` must lie in \(0, 1\]; got 0"),
        ({"at": float("nan")}, r"`at` must lie in \(0, 1\]; got nan"),
        ({"level": 0}, r"`level` must be one or several levels in \(0, 1\]; got 0"),
        ({"level": []}, r"`level` must be one or several levels in \(0, 1\]; got \[\]"),
        ({"level": (0.5, 1.5)}, r"`level` must be one or several levels in \(0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        METRICS.build("localized_at", **settings)
