"""Pixels to network input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from tailscope.core import InputError
from tailscope.models import Preprocessing

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def pixels(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 5, 4, channels), dtype=np.uint8)


def test_torchvisions_normalisation_gives_the_same() -> None:
    as_floats = torch.from_numpy(pixels(3)).permute(0, 3, 1, 2).float() / 255
    expected = torchvision.transforms.functional.normalize(as_floats, IMAGENET.mean, IMAGENET.std)
    result = IMAGENET(pixels(3))
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    torch.testing.assert_close(result, expected)


def test_a_grey_image_is_repeated_in_every_channel() -> None:
    assert torch.equal(IMAGENET(pixels(1)), IMAGENET(np.repeat(pixels(1), 3, axis=-1)))


def test_a_tensor_gives_what_an_array_gives() -> None:
    assert torch.equal(IMAGENET(torch.from_numpy(pixels(3))), IMAGENET(pixels(3)))


def test_a_read_only_array_serves_and_is_left_as_it_is() -> None:
    given = pixels(1)
    given.flags.writeable = False
    Preprocessing.untrained(1)(given)
    assert np.array_equal(given, pixels(1))


def test_it_survives_its_record() -> None:
    assert Preprocessing.from_dict(IMAGENET.as_dict()) == IMAGENET


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pixels(3).astype(np.float32), r"must be \(B, H, W, C\) uint8; got \(2, 5, 4, 3\) float32"),
        (pixels(3)[0], r"must be \(B, H, W, C\) uint8; got \(5, 4, 3\) uint8"),
        (pixels(2), r"takes 3 channels and a grey image is repeated; got images of 2 channels"),
    ],
)
def test_other_pixels_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        IMAGENET(given)


@pytest.mark.parametrize(("mean", "std"), [((), ()), ((0.5,), (1.0, 1.0)), ((0.5,), (0.0,)), ((float("nan"),), (1.0,))])
def test_a_scaling_that_makes_no_sense_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="one finite number per channel"):
        Preprocessing(mean, std)


def test_a_record_with_other_keys_is_refused() -> None:
    with pytest.raises(InputError, match="has the keys mean and std; got mean"):
        Preprocessing.from_dict({"mean": [0.5]})
