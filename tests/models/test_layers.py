"""The layer to look at."""

from __future__ import annotations

import warnings

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from tailscope.core import InputError, UnknownNameError
from tailscope.models import CoarseGridWarning, Layer, find_layer


class Dropping(nn.Module):
    """Draws random numbers in every pass, eval mode or not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) * torch.rand(1)).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (lambda: timm.create_model("resnet18"), Layer("layer4", 512, (3, 2))),
        (lambda: timm.create_model("resnet18", output_stride=8), Layer("layer4", 512, (12, 8))),
        (lambda: timm.create_model("test_resnet", output_stride=8), Layer("layer4", 96, (12, 8))),
        (lambda: timm.create_model("densenet121"), Layer("features", 1024, (3, 2))),
        (lambda: timm.create_model("test_efficientnet"), Layer("bn2", 256, (3, 2))),
        (lambda: timm.create_model("mobilenetv3_small_050"), Layer("blocks", 288, (3, 2))),
        (lambda: timm.create_model("test_convnext"), Layer("stages", 64, (3, 2))),
        (lambda: torchvision.models.resnet18(), Layer("layer4", 512, (3, 2))),
        (lambda: torchvision.models.densenet121(), Layer("features", 1024, (3, 2))),
        (lambda: torchvision.models.mobilenet_v3_small(), Layer("features", 576, (3, 2))),
        (lambda: torchvision.models.squeezenet1_1(), Layer("classifier.1", 1000, (5, 3))),
    ],
)
def test_auto_finds_the_last_map_before_pooling(module: object, expected: Layer) -> None:
    assert find_layer(module(), (3, 96, 64), coarse=0) == expected


def test_a_layer_can_be_named() -> None:
    module = timm.create_model("test_resnet")
    assert find_layer(module, torch.zeros(2, 3, 64, 64), "layer1.0") == Layer("layer1.0", 32, (16, 16))


def test_a_coarse_grid_is_warned_of_where_it_was_asked_for() -> None:
    with pytest.warns(CoarseGridWarning, match="'layer4' is 2 × 2, coarser than 8 × 8: use larger images") as caught:
        find_layer(timm.create_model("resnet18"), (3, 64, 64))
    assert caught[0].filename == __file__


def test_an_eight_by_eight_grid_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_layer(timm.create_model("resnet18", output_stride=8), (3, 64, 64)).grid == (8, 8)


def test_an_unknown_layer_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no layer is named 'layer5'; nearest: layer4"):
        find_layer(timm.create_model("test_resnet"), (3, 64, 64), "layer5")


@pytest.mark.parametrize("layer", ["auto", "blocks", "norm"])
def test_token_layers_are_refused(layer: str) -> None:
    module = timm.create_model("test_vit")
    with pytest.raises(InputError, match=r"tokens"):
        find_layer(module, (3, 160, 160), layer)


def test_maps_with_the_channels_last_are_refused() -> None:
    with pytest.raises(InputError, match=r"'stages' must give maps .* got \(1, 4, 4, 64\) with the channels last"):
        find_layer(timm.create_model("test_mambaout"), (3, 128, 128))


def test_a_layer_that_does_not_run_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1))
    module.spare = nn.Module()
    module[0].unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match=r"'0.unused' gives no tensor in a forward pass"):
        find_layer(module[0:1], (1, 8, 8), "0.unused")


def test_images_too_small_for_any_map_are_refused() -> None:
    with pytest.raises(InputError, match="no map"):
        find_layer(nn.Sequential(nn.Conv2d(1, 1, 1)), (1, 1, 1))


def test_an_example_that_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"must be images \(B, C, H, W\) or the shape \(C, H, W\); got \(1, 8\)"):
        find_layer(nn.Sequential(nn.Conv2d(1, 1, 1)), (8,))


def test_the_module_and_the_random_state_are_left_as_they_were() -> None:
    module = Dropping().train()
    module.conv.bias.requires_grad_(False)
    state = torch.get_rng_state()
    find_layer(module, (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert (module.training, module.conv.training) == (True, True)
    assert (module.conv.weight.requires_grad, module.conv.bias.requires_grad) == (True, False)
    assert not module.conv._forward_hooks


def test_batch_statistics_are_left_as_they_were() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    find_layer(module, torch.rand(2, 1, 8, 8))
    assert module[1].num_batches_tracked == 0


def test_hooks_are_gone_after_an_error() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1))
    with pytest.raises(RuntimeError, match="channels"):
        find_layer(module, (3, 8, 8))
    assert not module[0]._forward_hooks
