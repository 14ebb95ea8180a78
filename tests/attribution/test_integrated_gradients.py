"""Integrated gradients against captum, completeness and closed forms."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.baselines import Baseline, baseline_images
from tailscope.attribution.input_gradient import GradientXInput
from tailscope.attribution.integrated_gradients import IntegratedGradients
from tailscope.core import InputError


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 6, 3), nn.Softplus(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 8 * 8, 4)
    return nn.Sequential(*parts).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("baseline", ["mean", "black", "blur"])
def test_captum_gives_the_same_maps(baseline: Baseline) -> None:
    oracle = captum.attr.IntegratedGradients(network())
    starts = baseline_images(images(), baseline)
    expected = [oracle.attribute(images(), baselines=starts, target=one, n_steps=7) for one in (3, 0)]
    found = IntegratedGradients(baseline=baseline, steps=7, batch_size=3)(network(), images(), [3, 0])
    torch.testing.assert_close(found, torch.stack(expected, dim=1).sum(dim=2).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("baseline", ["mean", "black", "blur"])
def test_the_map_sums_to_what_the_image_has_above_its_baseline(baseline: Baseline) -> None:
    maps = IntegratedGradients(baseline=baseline, steps=200)(network(), images(), range(4))
    with torch.no_grad():
        expected = network()(images()) - network()(baseline_images(images(), baseline))
    torch.testing.assert_close(maps.sum(dim=(2, 3)), expected, rtol=2e-3, atol=2e-3)


def test_of_a_cube_two_steps_are_exact() -> None:
    class Cubed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.pow(3).flatten(1)[:, :1]

    # ∫₀¹ 3(αx)² dα · x = x³, and two Gauss–Legendre points integrate a polynomial of degree 3 exactly.
    maps = IntegratedGradients(steps=2)(Cubed(), torch.full((1, 1, 1, 2), 2.0), [0])
    torch.testing.assert_close(maps.flatten(), torch.tensor([8.0, 0.0]))


def test_of_a_linear_network_it_is_gradient_times_input() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4))
    found = IntegratedGradients(steps=3)(linear, images(), range(4))
    torch.testing.assert_close(found, GradientXInput()(linear, images(), range(4)), rtol=1e-4, atol=1e-7)


def test_an_image_gets_the_same_bits_in_any_batch() -> None:
    method = IntegratedGradients(steps=4, batch_size=3)
    together = method(network(), images(), [0, 2])
    assert torch.equal(together[1:], method(network(), images()[1:], [0, 2]))


def test_the_size_of_a_pass_changes_nothing_but_rounding() -> None:
    one, all_at_once = (IntegratedGradients(steps=6, batch_size=size)(network(), images(), [0]) for size in (1, 6))
    torch.testing.assert_close(one, all_at_once, rtol=1e-4, atol=1e-6)


def test_no_class_gives_no_map() -> None:
    assert IntegratedGradients(steps=2)(network(), images(), []).shape == (2, 0, 12, 12)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("integrated_gradients", steps=7) == IntegratedGradients(steps=7)


@pytest.mark.parametrize(
    "settings", [{"baseline": "white"}, {"steps": 0}, {"batch_size": 0}, {"channels": "mean"}], ids=str
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(settings))}` must be"):
        IntegratedGradients(**settings)
