"""Copies of a picture are found however they were saved; different pictures are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tailscope.data import Phantom
from tailscope.data.near_duplicates import fingerprints, near_duplicates, thumbnail

SIZE = {"size": 128, "train": 24, "val": 12, "test": 12, "minimum_positives": 2, "prevalence": {"mass": 0.3}}


@pytest.fixture(scope="module")
def pictures():
    """48 generated chests, each of another person."""
    data = Phantom(**SIZE, images_per_patient=(1, 1))(None)
    return [data.read_pixels(row) for row in range(48)]


def saved_again(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


def darker(pixels):
    return (255 * (pixels / 255) ** 1.4).astype(np.uint8)


def smaller(pixels):
    return np.asarray(Image.fromarray(pixels).resize((80, 80), Image.Resampling.BILINEAR))


def in_colour(pixels):
    return np.stack([pixels] * 3, axis=-1)


@pytest.mark.parametrize("change", [saved_again, darker, smaller, in_colour])
def test_a_changed_copy_is_found_and_nothing_else(pictures, change):
    small = np.stack([*map(thumbnail, pictures), thumbnail(change(pictures[7]))])
    (pair,) = near_duplicates(small, np.arange(len(small)))
    assert (pair.first, pair.second) == (7, 48)
    assert pair.likeness > 0.95


def test_pairs_within_a_group_are_not_looked_for(pictures):
    small = np.stack([thumbnail(pictures[7]), thumbnail(pictures[7])])
    assert near_duplicates(small, np.array([3, 3])) == ()
    assert near_duplicates(small, np.array([3, 4]))[0].likeness == pytest.approx(1)


def test_all_pairs_by_a_slow_look_are_found_in_any_order_of_rows(pictures):
    small = np.stack([thumbnail(one) for one in [*pictures, *map(saved_again, pictures)]])
    expected = {(at, at + 48) for at in range(48)}
    assert {(pair.first, pair.second) for pair in near_duplicates(small, np.arange(96))} == expected
    order = np.random.default_rng(0).permutation(96)
    found = near_duplicates(small[order], np.arange(96))
    assert {tuple(sorted((int(order[pair.first]), int(order[pair.second])))) for pair in found} == expected


def test_fingerprints_are_the_signs_of_the_steps_from_cell_to_cell():
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    rising, falling, flat = fingerprints(np.stack([ramp, ramp[:, ::-1], np.zeros_like(ramp)]))
    assert np.bitwise_count(rising).sum() == 256
    assert np.bitwise_count(falling).sum() == np.bitwise_count(flat).sum() == 0


def test_pictures_without_any_detail_are_like_nothing():
    assert near_duplicates(np.zeros((3, 64, 64), dtype=np.uint8), np.arange(3)) == ()


def test_of_no_pictures_there_are_no_pairs():
    assert near_duplicates(np.zeros((0, 64, 64), dtype=np.uint8), np.arange(0)) == ()
