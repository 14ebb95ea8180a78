"""Images without contrast."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.data.cache import open_pixels
from tailscope.data.constant_images import constant_rows, is_constant
from tailscope.data.settings import DataSettings

WIDE = np.random.default_rng(0).integers(0, 256, (20, 60), dtype=np.uint8)


def test_one_odd_pixel_is_contrast():
    image = np.full((5, 5), 7, dtype=np.uint8)
    assert is_constant(image)
    image[4, 4] = 8
    assert not is_constant(image)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("turned", [False, True])
def test_bars_around_an_image_are_no_contrast(tmp_path, resize, turned):
    images = [np.full_like(WIDE, 90), WIDE, np.zeros_like(WIDE)]
    images = [image.T.copy() for image in images] if turned else images
    settings = DataSettings(image_size=(32, 32), resize=resize)
    cache = open_pixels(images.__getitem__, ["a", "b", "c"], settings, tmp_path)
    assert constant_rows(cache, resize, tmp_path) == [0, 2]


def test_what_was_found_is_remembered(tmp_path):
    images = [np.zeros((8, 8), dtype=np.uint8), WIDE]
    cache = open_pixels(images.__getitem__, ["a", "b"], DataSettings(image_size=(8, 8)), tmp_path)
    assert constant_rows(cache, "stretch", tmp_path) == constant_rows(cache, "stretch", tmp_path) == [0]
    assert len(list(tmp_path.glob("constant-*.json"))) == 1
