from __future__ import annotations

import numpy as np
import pytest

from tailscope.alignment.body import outside_body
from tailscope.core import InputError
from tailscope.data._kernels import _trunk
from tailscope.data.phantom_body import draw_body
from tailscope.data.phantom_rendering import COLUMNS, RenderSettings, render_phantoms
from tailscope.data.phantom_scene import Scene

IMAGES = range(16)


def phantoms(size, *names):
    row = np.isin(COLUMNS, names)
    return render_phantoms(RenderSettings(size=size), list(IMAGES), np.tile(row, (len(IMAGES), 1)))[0]


def air(index, size):
    """Where the generator paints less than half a trunk."""
    body = draw_body(0, index)
    scene = Scene.of(body, size, 0.0)
    places = zip(scene.x.ravel(), scene.y.ravel(), strict=True)
    return np.array([_trunk(float(x), float(y), body) < 0.5 for x, y in places]).reshape(size, size)


def overlap(found, true):
    return (found & true).sum() / (found | true).sum()


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
def test_the_air_around_the_phantom_is_found(size):
    truths = [air(index, size) for index in IMAGES]
    scores = [overlap(outside_body(image), true) for image, true in zip(phantoms(size), truths, strict=True)]
    assert np.median(scores) > 0.87
    assert np.quantile(scores, 0.1) > 0.8


@pytest.mark.slow
def test_lungs_are_no_air():
    for index, image in zip(IMAGES, phantoms(64), strict=True):
        scene = Scene.of(draw_body(0, index), 64, 0.0)
        assert not (outside_body(image) & (scene.air > 0.5)).any()


def test_a_marker_in_the_air_stays_out():
    film = np.full((64, 64), 180, dtype=np.uint8)
    film[:, :20] = 4
    film[10:16, 5:10] = 250
    found = outside_body(film)
    assert not found[11:15, 6:9].any()
    assert found[30:, :20].all()


@pytest.mark.slow
def test_a_picture_cut_to_the_lungs_has_no_outside():
    for image in phantoms(128):
        assert not outside_body(np.ascontiguousarray(image[32:88, 20:108])).any()


def test_less_than_a_hundredth_is_no_region():
    film = np.full((64, 64), 180, dtype=np.uint8)
    film[:6, :6] = 4
    assert not outside_body(film).any()
    film[:9, :9] = 4
    assert outside_body(film).any()


def test_more_than_six_tenths_is_no_region():
    film = np.full((64, 64), 4, dtype=np.uint8)
    film[20:50, 20:50] = 180
    assert not outside_body(film).any()


def test_an_even_picture_has_no_outside():
    assert not outside_body(np.full((16, 16), 90, dtype=np.uint8)).any()
    assert not outside_body(np.zeros((16, 16), dtype=np.uint8)).any()


def test_a_colour_picture_has_no_outside_and_three_equal_channels_are_grey():
    film = np.full((32, 32, 3), 180, dtype=np.uint8)
    film[:, :8] = 4
    np.testing.assert_array_equal(outside_body(film), outside_body(film[..., 0]))
    np.testing.assert_array_equal(outside_body(film[..., :1]), outside_body(film[..., 0]))
    film[..., 2] //= 2
    assert outside_body(film[..., 0]).any()
    assert not outside_body(film).any()


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 2), dtype=np.uint8), np.zeros(4, dtype=np.uint8)])
def test_another_dtype_or_shape_is_refused(image):
    with pytest.raises(InputError, match="uint8"):
        outside_body(image)
