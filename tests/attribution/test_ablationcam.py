"""Ablation-CAM against removing one channel of one image at a time."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from tailscope.attribution.ablationcam import AblationCam
from tailscope.attribution.gradcam import GradCam
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.core import InputError

from .cam_cases import K, PooledNet, SignedNet, SmallNet, close, images, small, vit


@torch.no_grad()
def slow(network: SmallNet, classes: list[int], *, relative: bool = False) -> Tensor:
    """From the paper: every weight by a pass of its own."""
    every = []
    for image in images().split(1):
        activation = network.before(image)
        whole = network.after(activation)[0]
        for target in classes:
            result = torch.zeros(activation.shape[2:])
            for channel in range(activation.shape[1]):
                without = activation.clone()
                without[:, channel] = 0
                weight = whole[target] - network.after(without)[0, target]
                result += (weight / whole[target] if relative else weight) * activation[0, channel]
            every.append(result.relu())
    return torch.stack(every).unflatten(0, (3, len(classes)))


def one_channel_at_a_time(network: nn.Module, given: Tensor, name: str, prefix: int, target: int) -> Tensor:
    """The map of patch tokens (B, h, w), each channel taken out by a pass of its own."""
    layer = network.get_submodule(name)
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        whole = network(given)[:, target]
        handle.remove()
        total = torch.zeros(len(given), seen[0].shape[1] - prefix)
        for channel in range(seen[0].shape[2]):
            without = seen[0].clone()
            without[:, prefix:, channel] = 0
            handle = layer.register_forward_hook(lambda _, __, ___, without=without: without)
            total += (whole - network(given)[:, target])[:, None] * seen[0][:, prefix:, channel]
            handle.remove()
    return total.reshape(len(given), 4, 4).relu()


@pytest.mark.parametrize("build", [SmallNet, SignedNet, PooledNet])
def test_one_channel_and_one_class_at_a_time_give_the_same_maps(build: type[SmallNet]) -> None:
    network = small(build)
    close(AblationCam("second")(network, images(), [2, 0]), slow(network, [2, 0]))


def test_the_published_weights_are_a_setting() -> None:
    network = small()
    expected = slow(network, [2, 0], relative=True)
    close(AblationCam("second", divide_by_logit=True)(network, images(), [2, 0]), expected)


def test_where_the_logit_is_positive_the_division_only_scales() -> None:
    network = small()
    network.head[3].bias.data.fill_(3.0)
    logits = network(images()).detach()
    assert bool((logits > 0).all())
    divided = AblationCam("second", divide_by_logit=True)(network, images(), range(K))
    close(divided * logits[:, :, None, None], AblationCam("second")(network, images(), range(K)))


def test_where_the_logit_is_negative_the_division_turns_the_map_around() -> None:
    network = small()
    network.head[3].bias.data.fill_(-3.0)
    logits = network(images()).detach()
    assert bool((logits < 0).all())
    divided = AblationCam("second", relu=False, divide_by_logit=True)(network, images(), range(K))
    close(divided * logits[:, :, None, None], AblationCam("second", relu=False)(network, images(), range(K)))


def test_a_bias_of_the_head_does_not_change_the_map() -> None:
    network = small()
    before = AblationCam("second")(network, images(), range(K))
    network.head[3].bias.data.sub_(3.0)
    after = AblationCam("second")(network, images(), range(K))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-5 * float(before.max()))


def test_a_global_mean_and_a_linear_head_give_the_closed_form() -> None:
    """The fall is W_ck · mean(A_k)."""
    network = small(PooledNet)
    activations = network.before(images()).detach()
    falls = network.head[2].weight.detach() * activations.mean(dim=(2, 3))[:, None]
    expected = torch.einsum("bkc,bchw->bkhw", falls, activations)
    close(AblationCam("second", relu=False)(network, images(), range(K)), expected)


def test_patch_tokens_lose_their_channel_and_prefix_tokens_keep_it() -> None:
    network = vit()
    expected = one_channel_at_a_time(network, images(2, 32), "blocks.1.norm1", 3, 1)
    close(AblationCam("blocks.1.norm1")(network, images(2, 32), [1])[:, 0], expected)


def concatenating() -> nn.Module:
    torch.manual_seed(5)
    return torchvision.models.DenseNet(2, (2, 2), 4, num_classes=2).eval()


@torch.no_grad()
def test_layers_before_a_concatenation_are_run_for_every_channel() -> None:
    network = concatenating()
    layer = network.features.denseblock2.denselayer1.conv2
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: seen.append(output))
    given = images(2, 32)
    whole = network(given)
    handle.remove()
    total = torch.zeros_like(seen[0][:, 0])
    for channel in range(seen[0].shape[1]):
        without = seen[0].clone()
        without[:, channel] = 0
        handle = layer.register_forward_hook(lambda _, __, ___, without=without: without)
        total += (whole - network(given))[:, 1, None, None] * seen[0][:, channel]
        handle.remove()
    method = AblationCam("features.denseblock2.denselayer1.conv2", relu=False)
    torch.testing.assert_close(
        method(network, given, [1])[:, 0], total, rtol=1e-3, atol=1e-4 * float(total.abs().max())
    )


@pytest.mark.parametrize("residual", [True, False])
def test_layers_before_run_once_for_a_chunk_where_the_network_lets_them(residual: bool) -> None:
    class Joined(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(6, 6, 3, padding=1)
            width = 6 if residual else 12
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, K))

        def forward(self, x: Tensor) -> Tensor:
            first = self.first(x).relu()
            second = self.second(first).relu()
            return self.head(first + second if residual else torch.cat([first, second], dim=1))

    network = small(Joined)
    rows: list[int] = []
    network.first.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    AblationCam("second")(network, images(1), [0])
    assert rows[-1] == (1 if residual else 7)


def test_a_network_that_would_mix_the_rows_runs_copies() -> None:
    """The second factor takes the batch size of the first layer: one run of it would fold channels into one row."""

    class Folding(PooledNet):
        def forward(self, x: Tensor) -> Tensor:
            first = self.first(x).relu()
            second = self.second(first).relu()
            return self.head(second.reshape(len(first), -1, 5, 4, 4).mean(dim=1))

    close(AblationCam("second")(small(Folding), images(), [2, 0]), slow(small(PooledNet), [2, 0]))


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_the_size_of_a_chunk_does_not_change_the_maps(batch_size: int) -> None:
    network = small()
    expected = AblationCam("second")(network, images(), range(K))
    close(AblationCam("second", batch_size=batch_size)(network, images(), range(K)), expected)


def test_a_silent_channel_costs_no_pass() -> None:
    network = small()
    with torch.no_grad():
        network.second.weight[1:] = 0
        network.second.bias[1:] = -1
    rows: list[int] = []
    network.head.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    maps = AblationCam("second")(network, images(1), [0])
    assert rows[-1] == 2
    close(maps, slow(network, [0])[:1])


def test_silent_activations_give_a_map_of_zeros() -> None:
    network = small()
    network.second.weight.data.zero_()
    network.second.bias.data.fill_(-1.0)
    maps = AblationCam("second")(network, images(), [0, 1])
    assert torch.equal(maps, torch.zeros(3, 2, 4, 4))


def test_it_ranks_channels_as_grad_cam_does_where_all_is_linear_and_there_is_one_channel() -> None:
    class Single(PooledNet):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(6, 1, 3, padding=1)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, K))

    network = small(Single)
    ours = AblationCam("second", relu=False)(network, images(), range(K))
    theirs = GradCam("second", relu=False)(network, images(), range(K))
    sums = network.before(images()).detach().sum(dim=(2, 3))[:, :, None, None]
    close(ours, theirs * sums)


def test_a_network_without_gradients_has_a_map() -> None:
    class Detached(SmallNet):
        def after(self, activations: Tensor) -> Tensor:
            return self.head(activations.detach()).detach()

    assert torch.equal(
        AblationCam("second")(small(Detached), images(), [0]), AblationCam("second")(small(), images(), [0])
    )


def test_a_logit_of_0_cannot_be_divided_by() -> None:
    network = small()
    network.head[3].weight.data[2] = 0
    network.head[3].bias.data[2] = 0
    with pytest.raises(InputError, match="`divide_by_logit` needs logits other than 0; got 0; set it to false"):
        AblationCam("second", divide_by_logit=True)(network, images(), [1, 2])


def test_hooks_are_gone_after_an_error() -> None:
    class Failing(SmallNet):
        def after(self, activations: Tensor) -> Tensor:
            if not activations[-1, 0].any():
                raise KeyError("broken")
            return self.head(activations)

    network = small(Failing)
    with pytest.raises(KeyError, match="broken"):
        AblationCam("second", batch_size=1)(network, images(), [0])
    assert not network.second._forward_hooks


def test_an_image_has_the_same_bits_in_any_batch() -> None:
    network = small()
    together = AblationCam("second")(network, images(), range(K))
    assert torch.equal(together[1:2], AblationCam("second")(network, images()[1:2], range(K)))


def test_no_class_gives_no_map() -> None:
    assert AblationCam("second")(small(), images(), []).shape == (3, 0, 4, 4)


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="`batch_size` must be a whole number, 1 or more; got 0"):
        AblationCam(batch_size=0)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("ablationcam", batch_size=3) == AblationCam(batch_size=3)
