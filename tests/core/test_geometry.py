from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from tailscope.core import InputError, Placement, decode_rle, encode_rle, rasterise

SAME = Placement(1, 1)


def test_a_box_holds_the_pixels_whose_centres_lie_inside():
    mask = rasterise("box", [1, 0, 3, 2], SAME, (3, 4))
    expected = np.zeros((3, 4), bool)
    expected[0:2, 1:3] = True
    assert (mask == expected).all()


def test_neighbouring_boxes_share_no_pixel_and_leave_no_gap():
    left, right = (rasterise("box", box, SAME, (4, 8)) for box in ([0, 0, 3.5, 4], [3.5, 0, 8, 4]))
    assert not (left & right).any()
    assert (left | right).all()


def test_a_box_goes_through_the_stretch_of_its_image():
    # NIH: coordinates in a 1024 frame, network input of 64 pixels
    mask = rasterise("box", [512, 256, 768, 512], Placement.of((1024, 1024), (64, 64)), (64, 64))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 31, 32, 47)


def test_padding_centres_the_image_between_bars():
    placement = Placement.of((480, 640), (64, 64), "pad")
    assert (placement.scale_x, placement.offset_x, placement.offset_y) == (0.1, 0.0, 8.0)
    mask = rasterise("box", [0, 0, 640, 480], placement, (64, 64))
    assert (mask.sum(axis=1) == [0] * 8 + [64] * 48 + [0] * 8).all()


def test_forward_and_backward_undo_each_other():
    placement = Placement.of((480, 640), (100, 90), "pad")
    points = np.array([[3.0, 4.0], [600.0, 11.5]])
    assert np.allclose(placement.backward(placement.forward(points)), points)


def test_a_disc_matches_its_area():
    mask = rasterise("disc", [32, 32, 20], SAME, (64, 64))
    assert abs(mask.sum() - np.pi * 400) < 20


@pytest.mark.parametrize(
    ("kind", "geometry"),
    [
        ("box", [5.1, 5.1, 5.2, 5.2]),
        ("disc", [5.9, 5.9, 0.1]),
        ("polygon", [[[5.1, 5.1], [5.2, 5.1], [5.2, 5.2]]]),
    ],
)
def test_a_shape_that_would_vanish_keeps_its_nearest_pixel(kind, geometry):
    assert np.argwhere(rasterise(kind, geometry, SAME, (8, 8))).tolist() == [[5, 5]]


def test_a_shape_beyond_the_frame_keeps_the_border_pixel():
    assert np.argwhere(rasterise("box", [20, 20, 21, 21], SAME, (8, 8))).tolist() == [[7, 7]]


def test_a_polygon_is_the_union_of_its_rings():
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    other = [[5, 5], [8, 5], [8, 8], [5, 8]]
    mask = rasterise("polygon", json.dumps([square, other]), SAME, (8, 8))
    assert mask.sum() == 16 + 9


def test_a_polygon_with_a_dent_leaves_the_dent_out():
    ring = [[0, 0], [8, 0], [8, 8], [4, 2], [0, 8]]
    mask = rasterise("polygon", [ring], SAME, (8, 8))
    assert not mask[6, 4]
    assert mask[6, 0]


def test_an_rle_is_scaled_to_the_frame():
    stored = np.zeros((4, 4), bool)
    stored[1, 2] = True
    mask = rasterise("rle", encode_rle(stored), Placement.of((4, 4), (8, 8)), (8, 8))
    assert np.argwhere(mask).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_an_rle_of_one_pixel_survives_reduction():
    stored = np.zeros((64, 64), bool)
    stored[33, 7] = True
    mask = rasterise("rle", encode_rle(stored), Placement.of((64, 64), (8, 8)), (8, 8))
    assert np.argwhere(mask).tolist() == [[4, 0]]


def test_an_empty_rle_stays_empty():
    assert not rasterise("rle", encode_rle(np.zeros((4, 4), bool)), SAME, (4, 4)).any()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11 on NumPy 2
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_agree_with_coco(mask):
    encoded = encode_rle(mask)
    assert (decode_rle(encoded) == mask).all()
    height, width = mask.shape
    assert (coco.decode(coco.frPyObjects(encoded, height, width)).astype(bool) == mask).all()


def test_run_lengths_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match="run lengths add up to 3; expected 2 × 2 = 4"):
        decode_rle({"size": [2, 2], "counts": [1, 2]})


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="`kind` must be box, disc, polygon or rle; got 'ellipse'"):
        rasterise("ellipse", [0, 0, 1, 1], SAME, (2, 2))


def test_a_raster_without_pixels_is_refused():
    with pytest.raises(InputError, match="sizes must be 1 pixel or more"):
        Placement.of((0, 5), (4, 4))
