"""SmoothGrad against a slow loop and its limit case."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.channels import Channels
from tailscope.attribution.input_gradient import InputGradient
from tailscope.attribution.smoothgrad import SmoothGrad
from tailscope.core import InputError, generator


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 8 * 8, 4)
    return nn.Sequential(*parts).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("squared", [False, True])
def test_a_slow_loop_gives_the_same_maps(squared: bool) -> None:
    noise = torch.from_numpy(generator(3, "smoothgrad").standard_normal((5, 3, 12, 12), dtype="float32"))
    expected = torch.zeros(2, 2, 12, 12)
    for row, image in enumerate(images()):
        for column, index in enumerate((3, 1)):
            total = torch.zeros(3, 12, 12)
            for one in noise:
                point = (image + 0.2 * (image.max() - image.min()) * one).requires_grad_()
                network()(point[None])[0, index].backward()
                total += point.grad**2 if squared else point.grad
            expected[row, column] = (total / 5).abs().max(dim=0).values
    found = SmoothGrad(noise=0.2, samples=5, squared=squared, seed=3, batch_size=2)(network(), images(), [3, 1])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("channels", ["sum", "absolute", "largest"])
def test_without_noise_it_is_the_input_gradient(channels: Channels) -> None:
    found = SmoothGrad(noise=0.0, samples=4, channels=channels)(network(), images(), range(4))
    expected = InputGradient(channels=channels)(network(), images(), range(4))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_equal_seeds_give_equal_bits_and_another_seed_gives_another_map() -> None:
    first, again, other = (SmoothGrad(samples=3, seed=seed)(network(), images(), [0]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_an_image_gets_the_same_bits_in_any_batch() -> None:
    method = SmoothGrad(samples=3)
    together = method(network(), images(), [0, 2])
    assert torch.equal(together[1:], method(network(), images()[1:], [0, 2]))


def test_the_size_of_a_pass_changes_nothing_but_rounding() -> None:
    one, all_at_once = (SmoothGrad(samples=6, batch_size=size)(network(), images(), [0]) for size in (1, 6))
    torch.testing.assert_close(one, all_at_once, rtol=1e-4, atol=1e-7)


def test_no_class_gives_no_map() -> None:
    assert SmoothGrad(samples=2)(network(), images(), []).shape == (2, 0, 12, 12)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("smoothgrad", samples=7) == SmoothGrad(samples=7)


@pytest.mark.parametrize(
    "settings",
    [{"noise": -0.1}, {"noise": float("nan")}, {"samples": 0}, {"batch_size": 0}, {"channels": "mean"}],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(settings))}` must be"):
        SmoothGrad(**settings)
