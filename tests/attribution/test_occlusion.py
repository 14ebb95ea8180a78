"""Occlusion against brute force, captum and a closed form."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.baselines import Baseline, baseline_images
from tailscope.attribution.occlusion import Occlusion
from tailscope.core import InputError


def network(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(6 * 16, 4)
    return nn.Sequential(*parts).eval()


def images(count: int = 2, height: int = 12, width: int = 12, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("baseline", ["mean", "black", "blur"])
@pytest.mark.parametrize(("patch", "stride"), [(4, 3), (5, 5), (3, 2)])
def test_brute_force_gives_the_same_maps(patch: int, stride: int, baseline: Baseline) -> None:
    given = images(height=10, width=13)
    starts = baseline_images(given, baseline)
    total, covered = torch.zeros(2, 2, 10, 13), torch.zeros(10, 13)
    tops = sorted({*range(0, 10 - patch, stride), 10 - patch})
    lefts = sorted({*range(0, 13 - patch, stride), 13 - patch})
    with torch.no_grad():
        for top in tops:
            for left in lefts:
                place = (..., slice(top, top + patch), slice(left, left + patch))
                hidden = given.clone()
                hidden[place] = starts[place]
                drop = (network()(given) - network()(hidden))[:, [3, 0]]
                total[place] += drop[..., None, None]
                covered[place] += 1
    found = Occlusion(patch, stride, baseline, batch_size=4)(network(), given, [3, 0])
    torch.testing.assert_close(found, total / covered, rtol=1e-4, atol=1e-6)


def test_captum_gives_the_same_maps_where_patches_fill_the_image() -> None:
    oracle = captum.attr.Occlusion(network(1))
    given = images(channels=1)
    expected = [oracle.attribute(given, (1, 4, 4), strides=(1, 2, 2), target=one) for one in (3, 0)]
    found = Occlusion(4, 2)(network(1), given, [3, 0])
    torch.testing.assert_close(found, torch.cat(expected, dim=1), rtol=1e-4, atol=1e-6)


def test_of_a_linear_network_single_pixels_give_weight_times_value() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    given = images(1, 6, 6, channels=1)
    expected = (linear[1].weight * given.flatten()).view(1, 2, 6, 6).detach()
    torch.testing.assert_close(Occlusion(1, 1)(linear, given, [0, 1]), expected, rtol=1e-4, atol=1e-6)


def test_a_patch_over_the_whole_image_gives_one_value() -> None:
    found = Occlusion(12, 12)(network(), images(), [1])
    with torch.no_grad():
        drop = (network()(images()) - network()(torch.zeros_like(images())))[:, 1]
    torch.testing.assert_close(found, drop.view(2, 1, 1, 1).expand(2, 1, 12, 12), rtol=1e-4, atol=1e-6)


def test_shares_are_of_the_shorter_side() -> None:
    given = images(height=12, width=20)
    found = Occlusion(patch=1 / 4, stride=1 / 6)(network(), given, [0])
    assert torch.equal(found, Occlusion(patch=3, stride=2)(network(), given, [0]))


def test_a_share_of_less_than_a_pixel_is_one_pixel() -> None:
    found = Occlusion(patch=0.01, stride=0.01)(network(), images(), [0])
    assert torch.equal(found, Occlusion(patch=1, stride=1)(network(), images(), [0]))


def test_an_image_gets_the_same_bits_in_any_batch() -> None:
    together = Occlusion(4, 4)(network(), images(), [0, 2])
    assert torch.equal(together[1:], Occlusion(4, 4)(network(), images()[1:], [0, 2]))


def test_the_size_of_a_pass_changes_nothing_but_rounding() -> None:
    one, all_at_once = (Occlusion(4, 4, batch_size=size)(network(), images(), [0]) for size in (1, 100))
    torch.testing.assert_close(one, all_at_once, rtol=1e-4, atol=1e-6)


def test_all_classes_come_from_the_same_passes() -> None:
    passes = []
    counted = network()
    counted.register_forward_hook(lambda *_: passes.append(1))
    for classes in ([0], range(4)):
        Occlusion(4, 4, batch_size=3)(counted, images(1), classes)
    assert len(passes) == 2 * (1 + 3)


def test_a_network_without_gradients_is_explained() -> None:
    class Detached(nn.Sequential):
        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    assert torch.equal(Occlusion(4, 4)(Detached(*network()), images(), [0]), Occlusion(4, 4)(network(), images(), [0]))


def test_no_class_gives_no_map() -> None:
    assert Occlusion(4, 4)(network(), images(), []).shape == (2, 0, 12, 12)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("occlusion", patch=7) == Occlusion(patch=7)


@pytest.mark.parametrize(
    "settings",
    [{"patch": 0}, {"patch": 1.5}, {"stride": -2}, {"stride": float("nan")}, {"baseline": "white"}, {"batch_size": 0}],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(settings))}` must be"):
        Occlusion(**settings)


@pytest.mark.parametrize(("patch", "stride"), [(13, 1), (2, 3)])
def test_patches_that_do_not_fit_or_leave_gaps_are_refused(patch: int, stride: int) -> None:
    with pytest.raises(InputError, match=f"must not exceed .* got {stride} px, {patch} px and 12 × 12"):
        Occlusion(patch, stride)(network(), images(), [0])
