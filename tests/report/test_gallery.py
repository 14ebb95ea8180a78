import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tailscope.core import generator
from tailscope.report import GalleryCase, GalleryView
from tailscope.report.gallery import montages, outline


def case(saliency, image=None, mask=None):
    image = np.zeros((24, 32), np.uint8) if image is None else image
    mask = np.ones((24, 32), bool) if mask is None else mask
    return GalleryCase("image-0", "mass", "head", image, mask, (GalleryView("control", saliency, 0.5, 0.1),))


def pictures(montage):
    data = re.findall(r"data:image/png;base64,([^\"]*)", str(montage))
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in data]


def edges_of(path):
    """Every unit edge of a path, drawn step by step."""
    edges = set()
    for x, y, letter, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", path):
        for step in range(int(length)):
            start = (int(x) + step, int(y)) if letter == "h" else (int(x), int(y) + step)
            edges.add((*start, letter))
    return edges


def test_the_outline_is_every_edge_between_inside_and_outside():
    mask = generator(0, "mask").random((9, 13)) < 0.4
    expected = set()
    for y in range(10):
        for x in range(14):
            here, above, left = (
                bool(mask[b, a]) if 0 <= b < 9 and 0 <= a < 13 else False for a, b in ((x, y), (x, y - 1), (x - 1, y))
            )
            expected |= {(x, y, "h")} if here != above else set()
            expected |= {(x, y, "v")} if here != left else set()
    assert edges_of(outline(mask)) == expected


def test_an_empty_mask_has_no_outline():
    assert outline(np.zeros((3, 4), bool)) == ""


@pytest.mark.parametrize(
    "saliency",
    [
        np.zeros((3, 4)),
        np.full((3, 4), 2.0),
        np.full((3, 4), -1.0),
        np.array([[np.nan, 1.0]]),
        np.array([[np.inf, 1.0]]),
    ],
    ids=["zero", "constant", "negative", "nan", "infinite"],
)
def test_a_degenerate_map_is_named_and_not_drawn(saliency):
    (montage,) = montages((case(saliency),))
    assert montage.is_degenerate == (True,)
    assert pictures(montage.overlays[0]) == []


def test_the_overlay_is_clear_without_saliency_and_strongest_at_the_maximum():
    saliency = np.zeros((24, 32))
    saliency[5, 7], saliency[6, 7], saliency[20, 20] = 4.0, 2.0, -9.0
    (montage,) = montages((case(saliency),))
    alpha = np.asarray(pictures(montage.overlays[0])[0].convert("RGBA"))[..., 3]
    assert np.unravel_index(alpha.argmax(), alpha.shape) == (5, 7)
    assert 0 < alpha[6, 7] < alpha[5, 7]
    assert np.count_nonzero(alpha) == 2


def test_the_overlay_does_not_depend_on_the_scale_of_the_map():
    saliency = generator(1, "map").random((6, 8))
    assert montages((case(saliency),)) == montages((case(4 * saliency),))


def test_colour_images_keep_their_pixels():
    image = generator(2, "image").integers(0, 256, (24, 32, 3), dtype=np.uint8)
    (montage,) = montages((case(np.eye(4), image),))
    np.testing.assert_array_equal(np.asarray(pictures(montage.plain)[0]), image)


def test_no_metadata_travels_with_the_pixels():
    (montage,) = montages((case(np.eye(4)),))
    assert set(pictures(montage.plain)[0].info) == set()
