"""Score-CAM against its algorithm, one channel and one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.scorecam import ScoreCam
from tailscope.core import InputError, resize_bilinear

from .cam_cases import K, SignedNet, SmallNet, close, images, small, vit


def by_the_algorithm(network: nn.Module, image: Tensor, activation: Tensor, target: int, baseline: Tensor) -> Tensor:
    """Algorithm 1 of the paper for one image (1, 3, H, W), its activation (C, h, w) and one class."""
    increases = []
    for channel in activation:
        mask = resize_bilinear(channel[None].numpy(), tuple(image.shape[-2:]))[0]
        span = mask.max() - mask.min()
        mask = (mask - mask.min()) / span if span > 0 else np.ones_like(mask)
        masked = image * torch.from_numpy(mask).to(image.dtype)
        increases.append(float(network(masked)[0, target] - network(baseline)[0, target]))
    weights = np.exp(increases) / np.exp(increases).sum()
    return sum(weight * channel for weight, channel in zip(weights, activation, strict=True)).relu()


@torch.no_grad()
def slow(network: nn.Module, given: Tensor, activations: Tensor, classes: list[int], baseline: Tensor) -> Tensor:
    return torch.stack(
        [
            torch.stack([by_the_algorithm(network, image, activation, target, baseline) for target in classes])
            for image, activation in zip(given.split(1), activations, strict=True)
        ]
    )


@pytest.mark.parametrize("build", [SmallNet, SignedNet])
def test_the_algorithm_of_the_paper_gives_the_same_maps(build: type[SmallNet]) -> None:
    network = small(build)
    activations = network.before(images()).detach()
    expected = slow(network, images(), activations, [2, 0], torch.zeros(1, 3, 8, 8))
    close(ScoreCam("second")(network, images(), [2, 0]), expected)


def test_the_baseline_image_cancels() -> None:
    network = small()
    activations = network.before(images()).detach()
    expected = slow(network, images(), activations, [1], torch.ones(1, 3, 8, 8))
    close(ScoreCam("second")(network, images(), [1]), expected)


def test_patch_tokens_mask_the_image_too() -> None:
    network = vit().double()
    given: list[Tensor] = []
    handle = network.blocks[1].norm1.register_forward_hook(lambda _, __, output: given.append(output.detach()))
    network(images(2, 32).double())
    handle.remove()
    patches = given[0][:, 3:].transpose(1, 2).reshape(2, 12, 4, 4)
    expected = slow(network, images(2, 32).double(), patches, [1], torch.zeros(1, 3, 32, 32).double())
    close(ScoreCam("blocks.1.norm1")(network, images(2, 32).double(), [1]), expected)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
def test_the_size_of_a_chunk_does_not_change_the_maps(batch_size: int) -> None:
    network = small()
    expected = ScoreCam("second")(network, images(), range(K))
    close(ScoreCam("second", batch_size=batch_size)(network, images(), range(K)), expected)


def test_a_single_channel_has_all_the_weight() -> None:
    class Single(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(6, 1, 3, padding=1)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(16, K))

    network = small(Single)
    activations = network.before(images()).detach()
    close(ScoreCam("second")(network, images(), [0, 1]), activations.expand(-1, 2, -1, -1))


def test_a_constant_channel_masks_nothing() -> None:
    """Channels x and 1: logits of the masked images 1.5 (of [0, 3]) and 2 (of [1, 3]), A₁ = [1, 3], A₂ = 1."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[0].weight.data.copy_(torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))
    network[0].bias.data.copy_(torch.tensor([0.0, 1.0]))
    first = 1 / (1 + math.exp(0.5))
    maps = ScoreCam("0")(network, torch.tensor([[[[1.0, 3.0]]]]), [0])
    assert maps.flatten().tolist() == pytest.approx([first + (1 - first), 3 * first + (1 - first)], rel=1e-5)


def test_a_constant_channel_costs_no_pass() -> None:
    rows: list[int] = []
    network = small()
    with torch.no_grad():
        network.second.weight[2:] = 0
    network.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    ScoreCam("second")(network, images(), [0])
    assert rows == [1, 2] * 3


def test_all_classes_come_from_the_same_passes() -> None:
    rows: list[int] = []
    network = small()
    network.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    ScoreCam("second", batch_size=2)(network, images(1), range(K))
    varying = int((network.before(images(1)).flatten(2).std(dim=2) > 0).sum())
    assert rows == [1] + [2] * (varying // 2) + [1] * (varying % 2)


def test_negative_values_stay_without_relu() -> None:
    network = small(SignedNet)
    signed = ScoreCam("second", relu=False)(network, images(), [1])
    assert bool((signed < 0).any())
    assert torch.equal(ScoreCam("second")(network, images(), [1]), signed.relu())


def test_large_logits_do_not_overflow() -> None:
    network = small()
    network.head[3].weight.data.mul_(1e4)
    maps = ScoreCam("second")(network, images(), range(K))
    assert bool(torch.isfinite(maps).all())
    assert bool((maps > 0).any())


def test_an_image_has_the_same_bits_in_any_batch() -> None:
    network = small()
    together = ScoreCam("second")(network, images(), range(K))
    assert torch.equal(together[1:2], ScoreCam("second")(network, images()[1:2], range(K)))


def test_no_class_gives_no_map() -> None:
    assert ScoreCam("second")(small(), images(), []).shape == (3, 0, 4, 4)


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="`batch_size` must be a whole number, 1 or more; got 0"):
        ScoreCam(batch_size=0)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("scorecam", batch_size=3) == ScoreCam(batch_size=3)
