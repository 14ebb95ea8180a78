"""RISE against a slow loop and its limit cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.baselines import Baseline, baseline_images
from tailscope.attribution.rise import Rise, interpolation
from tailscope.core import InputError, child_seed, uniforms


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(6 * 16, 4)
    return nn.Sequential(*parts).eval()


def images(count: int = 2, height: int = 12, width: int = 12) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


class OnePixel(nn.Module):
    """Reads one pixel; its logits are the value, its negative, and a constant."""

    def forward(self, x: Tensor) -> Tensor:
        value = x[:, 0, 4, 9]
        return torch.stack([value, -value, torch.full_like(value, -7.3)], dim=1)


def slow_masks(count: int, cells: int, p: float, size: tuple[int, int], seed: int) -> list[Tensor]:
    """Upsampled as a whole, then cut out, one after the other."""
    masks = []
    for numbers in uniforms(child_seed(seed, "rise"), np.arange(count), cells**2 + 2):
        cell = [int(np.ceil(length / cells)) for length in size]
        shown = torch.tensor(numbers[2:] < p, dtype=torch.float64).view(1, 1, cells, cells)
        whole = functional.interpolate(
            shown, ((cells + 1) * cell[0], (cells + 1) * cell[1]), mode="bilinear", align_corners=False
        )[0, 0]
        top, left = (int(numbers[axis] * cell[axis]) for axis in (0, 1))
        masks.append(whole[top : top + size[0], left : left + size[1]].float())
    return masks


@pytest.mark.parametrize("baseline", ["mean", "blur"])
@pytest.mark.parametrize("centred", [True, False])
def test_a_slow_loop_gives_the_same_maps(centred: bool, baseline: Baseline) -> None:
    given = images(height=10, width=13)
    starts = baseline_images(given, baseline)
    masks = slow_masks(20, 4, 0.3, (10, 13), seed=5)
    with torch.no_grad():
        logits = [network()(starts + mask * (given - starts))[:, [3, 0]] for mask in masks]
    middle = sum(logits) / 20 if centred else 0
    expected = sum((one - middle)[..., None, None] * mask / (20 * 0.3) for one, mask in zip(logits, masks, strict=True))
    method = Rise(masks=20, cells=4, p=0.3, centred=centred, baseline=baseline, seed=5, batch_size=6)
    torch.testing.assert_close(method(network(), given, [3, 0]), expected, rtol=1e-4, atol=1e-6)


def test_the_map_peaks_at_the_one_pixel_that_the_network_reads() -> None:
    found = Rise(masks=3000, cells=6)(OnePixel(), torch.ones(1, 3, 12, 12), [0, 1])
    row, column = divmod(int(found[0, 0].argmax()), 12)
    assert abs(row - 4) <= 1
    assert abs(column - 9) <= 1
    torch.testing.assert_close(found[0, 1], -found[0, 0])


def test_a_constant_logit_gives_an_empty_map() -> None:
    found = Rise(masks=64, cells=3)(OnePixel(), torch.ones(1, 3, 12, 12), [2])
    assert not found.any()


def test_the_bias_of_the_head_changes_nothing() -> None:
    moved = network()
    with torch.no_grad():
        moved[4].bias += 5
    found = Rise(masks=30)(moved, images(), range(4))
    torch.testing.assert_close(found, Rise(masks=30)(network(), images(), range(4)), rtol=1e-3, atol=1e-5)


def test_masks_have_their_expected_value_at_every_pixel() -> None:
    chunks = Rise(masks=4000, cells=3, p=0.3)._masks(images(height=7, width=9))
    mean = torch.cat(list(chunks)).mean(dim=0)
    assert mean.shape == (7, 9)
    assert (mean - 0.3).abs().max() < 5 * 0.46 / 4000**0.5


def test_every_weight_of_the_interpolation_is_a_share() -> None:
    weights = interpolation(torch.tensor([0.0, 0.4, 0.99]), 11, 4)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, 11))


def test_the_first_masks_stay_when_more_are_asked_for() -> None:
    few, many = (list(Rise(masks=count, batch_size=8)._masks(images())) for count in (8, 16))
    assert torch.equal(few[0], many[0])


def test_equal_seeds_give_equal_bits_and_another_seed_gives_another_map() -> None:
    first, again, other = (Rise(masks=9, seed=seed)(network(), images(), [0]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_an_image_gets_the_same_bits_in_any_batch() -> None:
    together = Rise(masks=9, batch_size=4)(network(), images(), [0, 2])
    alone = Rise(masks=9, batch_size=4)(network(), images()[1:], [0, 2])
    torch.testing.assert_close(together[1:], alone, rtol=1e-6, atol=1e-7)


def test_the_size_of_a_pass_changes_nothing_but_rounding() -> None:
    one, all_at_once = (Rise(masks=9, batch_size=size)(network(), images(), [0]) for size in (1, 9))
    torch.testing.assert_close(one, all_at_once, rtol=1e-4, atol=1e-6)


def test_no_class_gives_no_map() -> None:
    assert Rise(masks=4)(network(), images(), []).shape == (2, 0, 12, 12)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("rise", masks=7) == Rise(masks=7)


@pytest.mark.parametrize(
    "settings",
    [{"masks": 1}, {"cells": 0}, {"p": 0}, {"p": 1.0}, {"baseline": "white"}, {"batch_size": 0}],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(settings))}` must be"):
        Rise(**settings)
