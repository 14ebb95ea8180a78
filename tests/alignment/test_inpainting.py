from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment.inpainting import grain_around, harmonic_fill, inpaint
from tailscope.core import InputError

BLOB = np.zeros((9, 11), dtype=bool)
BLOB[2:6, 3:8] = True
BLOB[4, 8] = BLOB[7, 1] = True


def densely_filled(image, mask):
    """Every unknown pixel is the mean of its neighbours, as one dense system written down pixel by pixel."""
    places = [tuple(place) for place in np.argwhere(mask)]
    matrix, right = np.zeros((len(places), len(places))), np.zeros(len(places))
    for number, (row, column) in enumerate(places):
        for at in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= at[0] < image.shape[0] and 0 <= at[1] < image.shape[1]):
                continue
            matrix[number, number] += 1
            if mask[at]:
                matrix[number, places.index(at)] -= 1
            else:
                right[number] += image[at]
    filled = image.astype(float).copy()
    filled[mask] = np.linalg.solve(matrix, right)
    return filled


def test_the_fill_equals_the_dense_solution(rng):
    image, mask = rng.normal(size=(9, 11)), rng.random((9, 11)) < 0.4
    mask[:3, :3] = True  # a corner, where the edge reflects
    np.testing.assert_allclose(harmonic_fill(image, mask), densely_filled(image, mask), atol=1e-12)


def test_a_linear_ramp_is_reproduced():
    ramp = np.add.outer(3.0 * np.arange(9), -2.0 * np.arange(11))
    np.testing.assert_allclose(harmonic_fill(np.where(BLOB, np.nan, ramp), BLOB), ramp, atol=1e-12)


def test_a_ramp_along_an_edge_is_reproduced_at_that_edge():
    ramp = np.tile(2.0 * np.arange(11), (9, 1))
    mask = np.zeros((9, 11), dtype=bool)
    mask[:3, 4:8] = True
    np.testing.assert_allclose(harmonic_fill(ramp, mask), ramp, atol=1e-12)


def test_the_fill_lies_between_the_least_and_the_largest_pixel_around(rng):
    image = rng.normal(size=(9, 11))
    filled = harmonic_fill(image, BLOB)
    assert image[~BLOB].min() <= filled[BLOB].min() <= filled[BLOB].max() <= image[~BLOB].max()


def test_channels_are_filled_each_on_its_own(rng):
    image = rng.normal(size=(9, 11, 3))
    alone = np.stack([harmonic_fill(image[..., channel], BLOB) for channel in range(3)], axis=-1)
    np.testing.assert_allclose(harmonic_fill(image, BLOB), alone, atol=1e-12)


def test_what_stood_under_the_mask_leaves_no_trace(rng):
    image = rng.integers(0, 255, (9, 11), dtype=np.uint8)
    other = np.where(BLOB, 255 - image, image).astype(np.uint8)
    np.testing.assert_array_equal(inpaint(image, BLOB, seed=3), inpaint(other, BLOB, seed=3))


def test_pixels_outside_the_mask_and_the_image_itself_are_untouched(rng):
    image = rng.integers(0, 255, (9, 11, 3), dtype=np.uint8)
    before = image.copy()
    filled = inpaint(image, BLOB)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[~BLOB], image[~BLOB])
    np.testing.assert_array_equal(image, before)


def test_an_empty_mask_changes_nothing(rng):
    image = rng.integers(0, 255, (9, 11), dtype=np.uint8)
    np.testing.assert_array_equal(inpaint(image, np.zeros((9, 11), dtype=bool)), image)


def test_grain_is_the_spread_of_white_noise_around_the_region(rng):
    mask = np.zeros((120, 120), dtype=bool)
    mask[20:100, 20:100] = True
    ramp = np.add.outer(np.arange(120.0), np.zeros(120))
    noise = rng.normal(scale=4.0, size=(120, 120))
    assert float(grain_around(ramp + noise, mask)) == pytest.approx(4.0, rel=0.1)


def test_the_filled_region_has_the_grain_of_its_surroundings(rng):
    mask = np.zeros((100, 100), dtype=bool)
    mask[20:80, 20:80] = True
    film = np.clip(128 + rng.normal(scale=6.0, size=(100, 100)), 0, 255).astype(np.uint8)
    inner = (slice(30, 70), slice(30, 70))
    assert inpaint(film, mask)[inner].std() == pytest.approx(6.0, rel=0.15)
    assert inpaint(film, mask, grain=False)[inner].std() < 1.0


def test_the_same_seed_gives_the_same_grain_and_another_seed_another(rng):
    film = np.clip(128 + rng.normal(scale=6.0, size=(40, 40)), 0, 255).astype(np.uint8)
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, 10:30] = True
    np.testing.assert_array_equal(inpaint(film, mask, seed=1), inpaint(film, mask, seed=1))
    assert (inpaint(film, mask, seed=1) != inpaint(film, mask, seed=2)).any()


def test_grey_in_three_channels_stays_grey(rng):
    grey = rng.integers(90, 160, (9, 11, 1), dtype=np.uint8)
    filled = inpaint(np.repeat(grey, 3, axis=2), BLOB)
    np.testing.assert_array_equal(filled, np.repeat(filled[..., :1], 3, axis=2))


def test_a_mask_over_everything_is_refused():
    with pytest.raises(InputError, match="covers every pixel"):
        inpaint(np.zeros((4, 4), dtype=np.uint8), np.ones((4, 4), dtype=bool))


def test_frames_that_differ_are_refused():
    with pytest.raises(InputError, match="one frame"):
        inpaint(np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 5), dtype=bool))


def test_a_floating_picture_is_not_painted():
    with pytest.raises(InputError, match="must be uint8"):
        inpaint(np.zeros((4, 4)), np.zeros((4, 4), dtype=bool))
