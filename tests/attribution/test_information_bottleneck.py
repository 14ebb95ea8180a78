"""The information bottleneck against torch's KL, a slow version in the paper's notation, and networks of known need."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.information_bottleneck import InformationBottleneck, information
from tailscope.core import InputError, child_seed
from tailscope.models import CoarseGridWarning

PATCH = (slice(1, 3), slice(4, 6))


class ReadsOnePlace(nn.Module):
    """4 channels on 8 × 8 cells, of which the logits read one patch: channel 0 for class 0, 1 for class 1."""

    def __init__(self, gain: float = 4.0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 4, stride=4)
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.layer(x)[:, :2, PATCH[0], PATCH[1]].mean(dim=(2, 3))


class Tokens(nn.Module):
    """Patches behind a class token; the logits read the patches' mean after the layer, and the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, stride=4)
        self.layer = nn.Linear(6, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.layer(torch.cat([tokens[:, :1] * 0 + 1, tokens], dim=1))
        return self.head(tokens.mean(dim=1))


class ChannelsLast(nn.Module):
    """The convolution of :class:`ReadsOnePlace`, whose layer hands on (B, h, w, C)."""

    def __init__(self, like: ReadsOnePlace) -> None:
        super().__init__()
        self.like = like
        self.moved = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        maps = self.moved(self.like.layer(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.like.gain * maps[:, :2, PATCH[0], PATCH[1]].mean(dim=(2, 3))


def network(gain: float = 4.0) -> ReadsOnePlace:
    torch.manual_seed(9)
    return ReadsOnePlace(gain)


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(10))


def shares(maps: Tensor) -> Tensor:
    """Share of each map inside the patch."""
    return maps[..., PATCH[0], PATCH[1]].sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))


def slow_map(module: ReadsOnePlace, image: Tensor, index: int, method: InformationBottleneck) -> Tensor:
    """In the paper's notation, with Adam written out and torch's distributions for the KL."""
    R = module.layer(image).detach()[0]
    mu, sigma = R.mean(dim=(1, 2), keepdim=True), R.std(dim=(1, 2), keepdim=True, correction=0)
    offsets = torch.arange(-4.0, 5.0)
    kernel = torch.exp(-(offsets**2) / 2)
    kernel = (kernel / kernel.sum()).outer(kernel / kernel.sum())[None, None]

    def smooth(values: Tensor) -> Tensor:
        padded = torch.cat([values.flip(-1)[..., -4:], values, values.flip(-1)[..., :4]], dim=-1)
        padded = torch.cat([padded.flip(-2)[..., -4:, :], padded, padded.flip(-2)[..., :4, :]], dim=-2)
        return nn.functional.conv2d(padded.unsqueeze(1), kernel).squeeze(1)

    def divergence(alpha: Tensor) -> tuple[Tensor, Tensor]:
        lam = smooth(torch.sigmoid(alpha))
        given = Normal(lam * R + (1 - lam) * mu, (1 - lam) * sigma)
        return lam, kl_divergence(given, Normal(mu.expand_as(R), sigma.expand_as(R)))

    alpha = torch.full_like(R, 5.0)
    first, second = torch.zeros_like(R), torch.zeros_like(R)
    for step in range(method.steps):
        alpha = alpha.detach().requires_grad_()
        stream = torch.Generator().manual_seed(child_seed(method.seed, "information_bottleneck", step))
        epsilon = mu + sigma * torch.randn(method.samples, *R.shape, generator=stream)
        lam, kl = divergence(alpha)
        Z = lam * R + (1 - lam) * epsilon
        logit = module.gain * Z[:, index, PATCH[0], PATCH[1]].mean(dim=(1, 2))
        loss = -torch.log(torch.sigmoid(logit)).mean() + method.beta * kl.mean()
        (gradient,) = torch.autograd.grad(loss, alpha)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        alpha = alpha - method.learning_rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
    return divergence(alpha.detach())[1].sum(dim=0) / math.log(2)


def test_the_information_is_the_divergence_of_torch():
    standard = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None]
    lost = torch.tensor([1e-6, 0.01, 0.3, 0.9, 1.0], dtype=torch.float64)
    mean = ((1 - lost) * standard).expand(9, 5)
    expected = kl_divergence(Normal(mean, lost.expand(9, 5)), Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    torch.testing.assert_close(information(standard, lost), expected, rtol=1e-12, atol=1e-12)


def test_all_noise_carries_no_information_and_no_noise_does_not_overflow():
    assert information(torch.tensor(5.0), torch.tensor(1.0)) == 0
    assert torch.isfinite(information(torch.tensor(5.0), torch.tensor(0.0)))


@pytest.mark.parametrize("index", [0, 1])
def test_a_slow_version_in_the_notation_of_the_paper_gives_the_same_map(index):
    method = InformationBottleneck("layer", steps=6, samples=5, beta=2.0)
    expected = slow_map(network(), images(1), index, method)
    maps = method(network(), images(1), [index])[0, 0]
    torch.testing.assert_close(maps, expected, rtol=2e-3, atol=2e-4 * float(expected.max()))


def test_information_stays_where_the_network_reads():
    rough, smooth = (InformationBottleneck("layer", beta=0.5, smoothing=s)(network(), images(), [0, 1]) for s in (0, 1))
    assert rough.shape == (2, 2, 8, 8)
    assert bool((shares(rough) > 0.9).all())
    assert bool((shares(smooth) > 3 * 4 / 64).all())


def test_places_that_do_not_matter_lose_their_information_first():
    few, many = (InformationBottleneck("layer", beta=0.5, steps=steps)(network(), images(), [0]) for steps in (4, 8))
    lost = 1 - many / few
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[PATCH] = False
    assert bool((lost[..., outside].mean(dim=-1) > lost[..., ~outside].mean(dim=-1)).all())
    assert bool((shares(many) > shares(few)).all())


def test_at_a_price_beyond_measure_nothing_passes_and_at_none_to_speak_of_much_does():
    dear, cheap = (InformationBottleneck("layer", beta=beta)(network(), images(), [0]) for beta in (1e6, 1e-6))
    assert float(dear.max()) < 0.01
    assert bool((cheap[..., PATCH[0], PATCH[1]].sum(dim=(-2, -1)) > 10 * dear.sum(dim=(-2, -1))).all())


def test_a_constant_channel_lets_nothing_through():
    dead = network()
    with torch.no_grad():
        dead.layer.weight.zero_()
    assert torch.equal(InformationBottleneck("layer")(dead, images(), [0]), torch.zeros(2, 1, 8, 8))


def test_scaling_a_channel_behind_which_the_network_scales_back_changes_nothing():
    scaled = network(gain=0.4)
    with torch.no_grad():
        scaled.layer.weight *= 10
        scaled.layer.bias *= 10
    method = InformationBottleneck("layer")
    maps = method(network(), images(), [0])
    torch.testing.assert_close(method(scaled, images(), [0]), maps, rtol=1e-3, atol=1e-4)


def test_a_map_is_the_same_bits_in_any_batch_and_any_order_of_classes():
    method = InformationBottleneck("layer", steps=4)
    together = method(network(), images(3), [0, 1])
    alone = torch.cat([method(network(), image, [1, 0]) for image in images(3).split(1)])
    assert torch.equal(alone, together[:, [1, 0]])


def test_the_seed_decides():
    first, again, other = (InformationBottleneck("layer", seed=seed)(network(), images(1), [0]) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_channels_last_give_the_map_of_channels_first():
    method = InformationBottleneck("layer", steps=4)
    last = InformationBottleneck("moved", steps=4)(ChannelsLast(network()), images(), [0, 1])
    torch.testing.assert_close(last, method(network(), images(), [0, 1]), rtol=1e-4, atol=1e-5)


def test_of_tokens_the_patches_alone_are_mapped():
    torch.manual_seed(11)
    maps = InformationBottleneck("layer", steps=3)(Tokens(), images(), [0, 1])
    assert maps.shape == (2, 2, 8, 8)
    assert bool((maps > 0).all())


def test_the_network_is_as_before_also_after_an_error():
    module = network().train()
    module.layer.bias.requires_grad_(False)
    state, before = torch.get_rng_state(), module.layer.weight.detach().clone()
    InformationBottleneck("layer", steps=2)(module, images(1), [0])
    with pytest.raises(InputError, match=r"`classes` must lie in 0 … 1; got \[5\]"):
        InformationBottleneck("layer", steps=2)(module, images(1), [5])
    assert not module.layer._forward_hooks
    assert module.training
    assert module.layer.training
    assert (module.layer.weight.requires_grad, module.layer.bias.requires_grad) == (True, False)
    assert module.layer.weight.grad is None
    assert torch.equal(module.layer.weight, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_works_where_autograd_is_off():
    method = InformationBottleneck("layer", steps=2)
    module = network()
    expected = method(module, images(1), [0])
    with torch.inference_mode():
        assert torch.equal(method(module, images(1), [0]), expected)


def test_a_layer_that_runs_twice_is_refused():
    class Twice(ReadsOnePlace):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + super().forward(-x)

    with pytest.raises(InputError, match="layer 'layer' must run once in a pass; it ran 2 times"):
        InformationBottleneck("layer")(Twice(), images(1), [0])


def test_a_layer_beside_the_way_to_the_logits_is_refused():
    class Aside(ReadsOnePlace):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return super().forward(x)

    with pytest.raises(InputError, match="no logit depends on layer 'aside'"):
        InformationBottleneck("aside")(Aside(), images(1), [0])


def test_auto_warns_of_a_coarse_grid():
    module = nn.Sequential(nn.Conv2d(1, 3, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.warns(CoarseGridWarning, match="4 × 4"):
        InformationBottleneck(steps=1, samples=1)(module, images(1), [0])


def test_no_class_gives_no_map():
    assert InformationBottleneck("layer")(network(), images(), []).shape == (2, 0, 8, 8)


def test_it_is_registered_under_its_name():
    assert ATTRIBUTIONS.build("information_bottleneck", beta=1.0) == InformationBottleneck(beta=1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.0}, "`beta` must be a number above 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be a number above 0"),
        ({"steps": 0}, "`steps` must be a whole number, 1 or more"),
        ({"samples": 1.5}, "`samples` must be a whole number, 1 or more"),
        ({"smoothing": -1.0}, "`smoothing` must be a number above 0"),
        ({"seed": -1}, "`seed` must be a whole number, 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        InformationBottleneck(**settings)
