from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tailscope.training import Augmentation, apply_views, draw_views

NOTHING = torch.tensor([[0.0, 1, 0, 0, 0, 1, 1, 1]])


def view(**changes: float) -> torch.Tensor:
    names = ("angle", "scale", "x", "y", "brightness", "contrast", "flip_x", "flip_y")
    result = NOTHING.clone()
    for name, value in changes.items():
        result[0, names.index(name)] = value
    return result


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 1, 8, 12, generator=torch.Generator().manual_seed(0))


def test_no_change_changes_nothing(image):
    assert torch.allclose(apply_views(image, NOTHING), image, atol=1e-6)


@pytest.mark.parametrize(("name", "axis"), [("flip_x", 3), ("flip_y", 2)])
def test_a_flip_mirrors_one_axis(image, name, axis):
    assert torch.allclose(apply_views(image, view(**{name: -1})), image.flip(axis), atol=1e-6)


def test_a_quarter_turn_of_a_square_is_a_rotation():
    image = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    turned = apply_views(image, view(angle=math.pi / 2))
    assert torch.allclose(turned, torch.rot90(image, 1, (2, 3)), atol=1e-5)


def test_a_rotation_keeps_distances_in_a_wide_image():
    image = torch.zeros(1, 1, 41, 81)
    image[0, 0, 20, 50] = 1
    turned = apply_views(image, view(angle=math.pi / 2))[0, 0]
    row, column = divmod(int(turned.argmax()), 81)
    assert math.hypot(row - 20, column - 40) == pytest.approx(10, abs=1)


def test_a_shift_moves_by_its_share(image):
    shifted = apply_views(image, view(x=0.25))
    assert torch.allclose(shifted[..., :9], image[..., 3:], atol=1e-5)


def test_contrast_and_brightness_are_linear(image):
    assert torch.allclose(apply_views(image, view(contrast=1.5, brightness=0.2)), 1.5 * image + 0.2, atol=1e-5)


def test_a_view_depends_on_seed_and_image_alone():
    whole = draw_views(Augmentation(), 3, np.arange(50), flips_allowed=True)
    assert (whole[[40, 2]] == draw_views(Augmentation(), 3, np.array([40, 2]), flips_allowed=True)).all()


def test_chest_radiographs_are_never_flipped_by_default():
    views = draw_views(Augmentation(), 0, np.arange(500), flips_allowed=False)
    assert (views[:, 6:] == 1).all()


def test_images_that_allow_it_are_flipped_both_ways():
    views = draw_views(Augmentation(), 0, np.arange(500), flips_allowed=True)
    assert (np.abs((views[:, 6:] == -1).mean(axis=0) - 0.5) < 0.1).all()


@pytest.mark.parametrize(("flips", "expected"), [("none", (False, False)), ("horizontal", (True, False))])
def test_flips_can_be_chosen(flips, expected):
    views = draw_views(Augmentation(flips=flips), 0, np.arange(500), flips_allowed=True)
    assert tuple((views[:, 6:] == -1).any(axis=0).tolist()) == expected


def test_draws_stay_within_their_limits():
    settings = Augmentation(rotation_deg=10, scale=0.1, translation=0.05, brightness=0.2, contrast=0.3)
    views = draw_views(settings, 0, np.arange(2000), flips_allowed=False)
    limits = np.array([math.radians(10), 0.1, 0.05, 0.05, 0.2, 0.3])
    drawn = np.abs(views[:, :6] - [0, 1, 0, 0, 0, 1])
    assert (drawn <= limits + 1e-6).all()
    assert (drawn.max(axis=0) > 0.95 * limits).all()
