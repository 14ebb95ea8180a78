"""Masks of annotations on the network's grid."""

from __future__ import annotations

import pickle

import numpy as np

from tailscope.data.masks import MaskDrawer
from tailscope.data.tables import annotation_table

SHAPES = annotation_table(
    [
        ("a", "mass", "box", [0, 0, 2, 2], (8, 8)),
        ("a", "mass", "box", [6, 6, 8, 8], (8, 8)),
        ("a", "edema", "box", [0, 0, 8, 4], (8, 8)),
        ("b", "mass", "box", [0, 0, 512, 1024], (1024, 1024)),
    ],
    "expert",
)
SIZES = np.array([[8, 8], [4, 8]], dtype=np.int32)


def drawer(resize="stretch", frame=(4, 4)):
    return MaskDrawer(SHAPES, ["a", "b"], SIZES, frame=frame, resize=resize)


def test_a_mask_is_the_union_of_its_own_class_only():
    expected = np.zeros((4, 4), dtype=bool)
    expected[0, 0] = expected[3, 3] = True
    assert np.array_equal(drawer()(0, "mass"), expected)


def test_nothing_drawn_is_none():
    assert drawer()(1, "edema") is None
    assert drawer()(7, "mass") is None


def test_a_frame_of_other_size_than_the_image_is_placed_over_it():
    assert drawer()(1, "mass")[:, :2].all()
    assert not drawer()(1, "mass")[:, 2:].any()


def test_padding_moves_the_mask_with_the_image():
    mask = drawer("pad", (8, 8))(1, "mass")  # 4 × 8 stands in rows 2 to 5
    expected = np.zeros((8, 8), dtype=bool)
    expected[2:6, :4] = True
    assert np.array_equal(mask, expected)


def test_masks_are_kept_and_cannot_be_changed():
    masks = drawer()
    assert masks(0, "mass") is masks(0, "mass")
    assert not masks(0, "mass").flags.writeable


def test_masks_can_be_pickled():
    masks = pickle.loads(pickle.dumps(drawer()))
    assert masks(0, "edema").sum() == 8


def test_pairs_are_sorted_by_image_and_class():
    assert drawer().pairs(("mass", "edema")).tolist() == [[0, 0], [0, 1], [1, 0]]
    assert drawer().pairs(("hernia",)).shape == (0, 2)
