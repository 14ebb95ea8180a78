import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from tailscope.core import generator
from tailscope.report import GalleryCase, GalleryView
from tailscope.report.gallery import montages, outline, still_places, stills


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


def named(class_name, chosen_for=""):
    return dataclasses.replace(case(np.eye(4)), class_name=class_name, chosen_for=chosen_for)


def test_two_cases_of_a_class_are_stills_and_none_that_was_picked_for_what_arms_do():
    cases = (named("mass", "an arm differs"), *[named("mass")] * 3, named("hernia"))
    assert still_places(cases) == [1, 2, 4]


def test_stills_keep_the_numbers_of_their_cases():
    cases = (named("mass", "an arm differs"), *[named("mass")] * 3, named("hernia"))
    assert [still.number for still in stills(cases)] == [2, 3, 5]


def test_eighteen_stills_are_the_most():
    assert still_places(tuple(named(f"class {number % 25}") for number in range(75))) == list(range(18))


def test_a_still_shows_the_arms_under_the_first_method_alone():
    views = tuple(
        GalleryView(arm, np.eye(4), 0.5, 0.1, method) for method in ("a", "b") for arm in ("control", "focal")
    )
    (still,) = stills((dataclasses.replace(case(np.eye(4)), views=views),))
    assert [seen.heading for seen in still.seen] == ["image", "control", "focal"]


def test_a_still_says_its_scores_and_a_degenerate_map():
    (still,) = stills((case(np.zeros((3, 4))),))
    assert still.heading == "mass (head), image-0, annotated area 100 %"
    assert still.seen[1].line == "predicted 0.50, excess +0.10, degenerate map"


@pytest.mark.parametrize(("arms", "columns"), [(1, 2), (4, 5), (5, 3), (12, 7)])
def test_pictures_stand_in_one_row_up_to_five(arms, columns):
    views = tuple(GalleryView(str(number), np.eye(4), 0.5, 0.1) for number in range(arms))
    (still,) = stills((dataclasses.replace(case(np.eye(4)), views=views),))
    assert still.columns == columns
