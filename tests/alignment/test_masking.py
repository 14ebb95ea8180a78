from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tailscope.alignment._kernels import level_sums
from tailscope.alignment.layout import Corners, Levels
from tailscope.alignment.masking import PackedMasks
from tailscope.core import InputError

FRAMES = [(1, 1), (1, 63), (5, 13), (16, 4), (7, 64), (9, 65), (24, 40)]


def drawn(rng: np.random.Generator, frame: tuple[int, int], count: int = 12) -> np.ndarray:
    """Empty, full, sparse and dense masks, and boxes."""
    masks = rng.random((count, *frame)) < rng.random((count, 1, 1))
    masks[0], masks[1] = False, True
    for mask in masks[2:5]:
        top, left = rng.integers(frame[0]), rng.integers(frame[1])
        mask[:] = False
        mask[top : top + 1 + rng.integers(frame[0]), left : left + 1 + rng.integers(frame[1])] = True
    return masks


@pytest.mark.parametrize("frame", FRAMES)
def test_packing_loses_nothing(rng, frame):
    masks = drawn(rng, frame)
    packed = PackedMasks.of(masks)
    np.testing.assert_array_equal(packed.dense(np.arange(12)), masks)
    np.testing.assert_array_equal(packed.dense([7, 2]), masks[[7, 2]])
    np.testing.assert_allclose(packed.shares, masks.mean(axis=(1, 2)))
    assert packed.frame == frame
    assert len(packed) == 12


def test_masks_given_one_at_a_time_are_each_asked_for_once(rng):
    masks, asked = drawn(rng, (9, 65)), []

    def source(index: int) -> np.ndarray:
        asked.append(index)
        return masks[index]

    packed = PackedMasks.read(source, 12)
    assert asked == list(range(12))
    for one, other in zip(packed.bits, PackedMasks.of(masks).bits, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_small_mask_takes_the_words_of_its_rows_only():
    mask = np.zeros((1, 224, 224), dtype=bool)
    mask[0, 100:110, 50:60] = True
    assert PackedMasks.of(mask).bits.words.size <= 10 * 224 // 64 + 2


def test_part_of_the_masks_can_be_taken(rng):
    masks = drawn(rng, (5, 13))
    packed = PackedMasks.of(masks)
    np.testing.assert_array_equal(packed.take(3, 9).dense(np.arange(6)), masks[3:9])
    assert packed.take(0, 12) is packed
    assert len(packed.take(4, 4)) == 0


@pytest.mark.parametrize("frame", FRAMES)
def test_corners_and_pixels_give_the_same_sums_to_the_last_bit(rng, frame):
    masks = drawn(rng, frame)
    packed, maps = PackedMasks.of(masks), rng.random((3, frame[0] * frame[1]))
    levels = Levels(np.zeros(3), np.ones(3), np.full(3, np.nan), np.nan, 2.0**40)
    members, none = np.arange(12)[None], Corners(*(part[:1] for part in packed.corners))
    by_corners = level_sums(maps, levels, packed.bits, packed.corners, members, frame[1])
    by_pixels = level_sums(maps, levels, packed.bits, none, members, frame[1])
    np.testing.assert_array_equal(by_corners[0], by_pixels[0])
    np.testing.assert_allclose(by_corners[0], maps @ masks.reshape(12, -1).T, atol=1e-9)
    np.testing.assert_allclose(by_corners[1], maps.sum(axis=1))


def test_a_box_has_four_corners_and_an_empty_mask_none():
    masks = np.zeros((2, 8, 9), dtype=bool)
    masks[0, 2:5, 3:9] = True
    corners = PackedMasks.of(masks).corners
    assert corners.starts.tolist() == [0, 4, 4]
    assert dict(zip(corners.places.tolist(), corners.signs.tolist(), strict=True)) == {23: 1, 29: -1, 53: -1, 59: 1}


@pytest.mark.parametrize("frame", FRAMES)
def test_boxes_bound_the_eight_connected_parts(rng, frame):
    masks = drawn(rng, frame, count=40)
    starts, boxes = PackedMasks.of(masks).boxes()
    for index, mask in enumerate(masks):
        found = ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0])
        expected = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in found]
        assert sorted(map(tuple, boxes[starts[index] : starts[index + 1]].tolist())) == sorted(expected)


@pytest.mark.parametrize("tolerance", [0.5, 1, 2.3, 50])
@pytest.mark.parametrize("below", [False, True])
def test_dilation_keeps_all_pixels_within_the_tolerance(rng, tolerance, below):
    masks = rng.random((6, 9, 14)) < 0.03
    masks[0] = False
    grown = PackedMasks.of(masks).dilated(tolerance, below=below).dense(np.arange(6))
    for mask, target in zip(masks, grown, strict=True):
        distance = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
        np.testing.assert_array_equal(target, distance < tolerance if below else distance <= tolerance)


def test_the_mean_leaves_out_empty_masks():
    masks = np.array([[[True, False]], [[False, False]], [[True, True]]])
    assert PackedMasks.of(masks).mean().tolist() == [[1.0, 0.5]]
    assert PackedMasks.of(masks[1:2]).mean() is None


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.ones((2, 3))], r"mask 0 must be bool and \(H, W\); got float64 and \(2, 3\)"),
        ([np.ones(3, dtype=bool)], r"mask 0 must be bool and \(H, W\); got bool and \(3,\)"),
        ([np.ones((2, 3), dtype=bool), np.ones((3, 2), dtype=bool)], r"mask 1 must be bool and \(2, 3\) as the first"),
    ],
)
def test_a_source_with_masks_that_do_not_fit_is_refused(masks, message):
    with pytest.raises(InputError, match=message):
        PackedMasks.read(lambda index: masks[index], len(masks))
