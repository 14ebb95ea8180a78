"""Taps read what a layer gives and leave the network as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from tailscope.core import InputError, UnknownNameError
from tailscope.models import tap

NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "timm_resnet18": (lambda: timm.create_model("resnet18", num_classes=3), "layer4"),
    "timm_densenet121": (lambda: timm.create_model("densenet121", num_classes=3), "features.norm5"),
    "timm_efficientnet": (lambda: timm.create_model("test_efficientnet", num_classes=3), "bn2"),
    "timm_mobilenetv3": (lambda: timm.create_model("mobilenetv3_small_050", num_classes=3), "blocks"),
    "timm_convnext": (lambda: timm.create_model("test_convnext", num_classes=3), "stages"),
    "timm_test_resnet": (lambda: timm.create_model("test_resnet", num_classes=3, output_stride=8), "layer4"),
    "torchvision_resnet18": (lambda: torchvision.models.resnet18(num_classes=3), "layer4"),
    "torchvision_densenet121": (lambda: torchvision.models.densenet121(num_classes=3), "features.norm5"),
    "torchvision_mobilenetv3": (lambda: torchvision.models.mobilenet_v3_small(num_classes=3), "features.12"),
}


def images(count: int = 2, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def hooks_on(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


class PreActivation(nn.Module):
    """The convolution's output goes through ReLU, and elsewhere as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.head((functional.relu(maps) + 0.5 * maps).mean(dim=(2, 3)))


class DiscardedReturn(nn.Module):
    """Rectifies in place and goes on with its own name for the tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        maps.relu_()
        return self.head(maps.mean(dim=(2, 3)))


class ChangedLater(nn.Module):
    """Doubles the layer's output in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        maps.mul_(2)
        return maps.mean(dim=(2, 3))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("recording", [False, True])
def test_logits_are_bit_identical_with_a_tap_on_every_layer_that_gives_one_tensor(
    network: str, recording: bool
) -> None:
    module = NETWORKS[network][0]().eval()
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.ReLU)]
    with torch.set_grad_enabled(recording):
        plain = module(images())
        with tap(module, [*names, NETWORKS[network][1]]):
            tapped = module(images())
    assert torch.equal(plain, tapped)


@pytest.mark.parametrize("network", ["torchvision_densenet121", "timm_densenet121"])
def test_the_last_densenet_map_is_read_after_its_relu(network: str) -> None:
    module = NETWORKS[network][0]().eval()
    with torch.no_grad():
        with tap(module, ["features", "features.norm5"]) as taps:
            module(images())
            maps, inner, activation = taps["features"], taps["features.norm5"], taps.activation("features")
        expected = functional.relu(module.features(images()))
    assert torch.equal(maps, expected)
    assert torch.equal(inner, expected)
    assert activation == ("pre→post" if network.startswith("torchvision") else "as is")


def test_a_relu_beside_another_use_leaves_the_layer_as_it_is() -> None:
    module = PreActivation()
    with tap(module, ["conv"]) as taps:
        module(images())
        assert torch.equal(taps["conv"], module.conv(images()))
        assert taps.activation("conv") == "as is"


def test_unify_false_reads_the_layer_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    with torch.no_grad(), tap(module, ["0"], unify=False) as taps:
        module(images())
        assert torch.equal(taps["0"], module[0](images()))


def test_asking_for_the_shape_before_the_relu_is_not_another_use() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            maps = self.conv(x)
            return functional.relu(maps).reshape(maps.shape[0], -1)

    module = Asks()
    with tap(module, ["conv"]) as taps:
        module(images())
        assert taps.activation("conv") == "pre→post"


def test_a_later_change_in_place_does_not_reach_what_was_read() -> None:
    module = ChangedLater()
    with torch.no_grad(), tap(module, ["conv"]) as taps:
        module(images())
        assert torch.equal(taps["conv"], module.conv(images()))


@pytest.mark.parametrize("cut", [False, True])
def test_gradients_are_those_behind_an_in_place_relu(cut: bool) -> None:
    module = DiscardedReturn()
    with tap(module, ["conv"], cut=cut) as taps:
        logits = module(images())
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), taps["conv"])
    expected = (module.head.weight[0] / 62**2).view(1, 4, 1, 1).expand(2, 4, 62, 62)
    torch.testing.assert_close(gradient, expected)


def test_a_cut_keeps_autograd_out_of_the_layers_before_it() -> None:
    module = PreActivation()
    with tap(module, ["conv"], cut=True):
        module(images()).sum().backward()
    assert module.conv.weight.grad is None
    assert module.head.weight.grad is not None


def test_without_a_cut_gradients_flow_through_the_tap() -> None:
    module = DiscardedReturn()
    module(images()).sum().backward()
    expected = module.conv.weight.grad.clone()
    module.zero_grad()
    with tap(module, ["conv"]):
        module(images()).sum().backward()
    assert torch.equal(module.conv.weight.grad, expected)


def test_the_input_of_a_layer_is_read_as_it_comes() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    with torch.no_grad(), tap(module, ["1"], at="input") as taps:
        module(images())
        assert torch.equal(taps["1"], module[0](images()))
        assert taps.activation("1") == "as is"


def test_hooks_are_gone_after_success_and_after_an_error() -> None:
    module = PreActivation()
    with tap(module, ["conv"]):
        assert hooks_on(module) == 1
    assert hooks_on(module) == 0
    with pytest.raises(RuntimeError, match="channels"), tap(module, ["conv"]):
        module(torch.rand(1, 2, 8, 8))
    assert hooks_on(module) == 0


def test_flags_and_random_state_are_as_before() -> None:
    module = PreActivation().train()
    module.conv.weight.requires_grad_(False)
    state = torch.get_rng_state()
    with tap(module, ["conv"]):
        module(images())
    assert module.training
    assert (module.conv.weight.requires_grad, module.conv.bias.requires_grad) == (False, True)
    assert torch.equal(torch.get_rng_state(), state)


def test_activations_live_only_inside_the_block() -> None:
    module = PreActivation()
    with tap(module, ["conv"]) as taps:
        with pytest.raises(InputError, match="run the network inside the block"):
            taps["conv"]
        module(images())
        assert list(taps) == ["conv"]
        assert len(taps) == 1
    with pytest.raises(InputError, match="read it there"):
        taps["conv"]


def test_an_unknown_layer_is_refused_with_the_nearest() -> None:
    with (
        pytest.raises(
            UnknownNameError, match="no layer is named 'cnov'; nearest: conv; the outermost layers are: conv"
        ),
        tap(PreActivation(), ["cnov"]),
    ):
        pass


def test_a_layer_that_gives_several_tensors_is_refused() -> None:
    module = nn.Sequential(nn.LSTM(3, 4))
    with pytest.raises(InputError, match="'0' must give one tensor; got tuple"), tap(module, ["0"]):
        module(torch.rand(2, 1, 3))
