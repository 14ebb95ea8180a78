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


SMALL_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 3}
SMALL_SWIN = {
    "img_size": 64,
    "window_size": 4,
    "depths": (1, 1),
    "embed_dim": 12,
    "num_heads": (1, 2),
    "num_classes": 3,
}


def timm_vit(name: str = "vit_tiny_patch16_224", **settings: object) -> nn.Module:
    return timm.create_model(name, **SMALL_VIT | settings)


def torchvision_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(32, 8, 2, 2, 24, 48, num_classes=3)


def torchvision_swin() -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 12, [1, 1], [1, 2], [4, 4], num_classes=3)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (timm_vit, Layer("blocks.1.norm1", 24, (4, 4), "tokens", 1)),
        (torchvision_vit, Layer("encoder.layers.encoder_layer_1.ln_1", 24, (4, 4), "tokens", 1)),
        (lambda: timm_vit("deit_tiny_distilled_patch16_224"), Layer("blocks.1.norm1", 24, (4, 4), "tokens", 2)),
        (lambda: timm_vit("vit_small_patch14_reg4_dinov2"), Layer("blocks.1.norm1", 24, (4, 4), "tokens", 5)),
        (lambda: timm_vit(global_pool="avg", class_token=False, fc_norm=False), Layer("norm", 24, (4, 4), "tokens", 0)),
        (lambda: timm_vit(global_pool="avg", fc_norm=False), Layer("norm", 24, (4, 4), "tokens", 1)),
        (lambda: timm_vit(global_pool="map"), Layer("norm", 24, (4, 4), "tokens", 1)),
    ],
    ids=[
        "class token",
        "torchvision",
        "distillation token",
        "registers",
        "no class token",
        "mean",
        "attention pooling",
    ],
)
def test_auto_finds_the_last_patch_tokens_that_the_logits_depend_on(module: object, expected: Layer) -> None:
    assert find_layer(module(), (3, 32, 32), coarse=0) == expected


def test_the_grid_of_tokens_follows_the_shape_of_the_image() -> None:
    module = timm_vit(img_size=(32, 64))
    assert find_layer(module, (3, 32, 64), coarse=0) == Layer("blocks.1.norm1", 24, (4, 8), "tokens", 1)


def test_a_token_layer_can_be_named() -> None:
    module = timm_vit(reg_tokens=4)
    assert find_layer(module, (3, 32, 32), "blocks.0", coarse=0) == Layer("blocks.0", 24, (4, 4), "tokens", 5)
    assert find_layer(module, (3, 32, 32), "patch_embed", coarse=0).prefix == 0


def test_a_head_that_starts_at_zero_does_not_hide_the_layer() -> None:
    module = torchvision_vit()
    assert not module.heads.head.weight.any()
    assert find_layer(module, (3, 32, 32), coarse=0).name == "encoder.layers.encoder_layer_1.ln_1"


def test_attention_is_not_taken_for_a_map() -> None:
    module = timm_vit()
    for block in module.blocks:
        block.attn.fused_attn = False
    assert find_layer(module, (3, 32, 32), coarse=0) == Layer("blocks.1.norm1", 24, (4, 4), "tokens", 1)


def test_attention_in_a_window_does_not_give_the_grid_of_tokens() -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", **SMALL_SWIN | {"img_size": 32})
    expected = Layer("layers.1.blocks.0.mlp", 24, (4, 4), "tokens", 0)
    assert find_layer(module, (3, 32, 32), "layers.1.blocks.0.mlp", coarse=0) == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (lambda: timm.create_model("test_mambaout"), Layer("stages", 64, (4, 4), "channels last")),
        (
            lambda: timm.create_model("swin_tiny_patch4_window7_224", **SMALL_SWIN | {"img_size": 128}),
            Layer("norm", 24, (16, 16), "channels last"),
        ),
        (torchvision_swin, Layer("permute", 24, (16, 16))),
    ],
    ids=["mambaout", "timm swin", "torchvision swin"],
)
def test_auto_finds_maps_with_the_channels_last(module: object, expected: Layer) -> None:
    assert find_layer(module(), (3, 128, 128), coarse=0) == expected


@pytest.mark.parametrize("layer", ["head", "fc_norm"])
def test_a_layer_behind_the_pooling_of_tokens_is_refused(layer: str) -> None:
    message = (
        rf"'{layer}' must give maps \(B, C, h, w\) or \(B, h, w, C\), or tokens of the 4 × 4 patches; got the shape"
    )
    with pytest.raises(InputError, match=message):
        find_layer(timm_vit(), (3, 32, 32), layer)


def test_tokens_before_any_map_are_refused() -> None:
    module = nn.Sequential(nn.Flatten(2), nn.Linear(64, 5), nn.Flatten())
    with pytest.raises(
        InputError, match=r"'1' must give maps \(B, C, h, w\) or \(B, h, w, C\); got the shape \(1, 3, 5\)"
    ):
        find_layer(module, (3, 8, 8), "1")


def test_tokens_fewer_than_the_patches_are_refused() -> None:
    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 5, 8, stride=8)
            self.norm = nn.LayerNorm(5)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.embed(x).flatten(2).transpose(1, 2)[:, ::2]).mean(dim=1)

    for layer in ("auto", "norm"):
        with pytest.raises(InputError, match=r"or tokens of the 4 × 4 patches; got the shape \(1, 8, 5\)"):
            find_layer(Halved(), (3, 32, 32), layer)


def test_a_layer_inside_windows_of_attention_is_refused() -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", **SMALL_SWIN)
    with pytest.raises(InputError, match=r"must give one row for each image; got the shape \(16, 16, 12\)"):
        find_layer(module, (3, 64, 64), "layers.0.blocks.0.attn")


def test_tokens_of_a_network_without_gradients_want_a_name() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = timm_vit()

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.inner(x)

    with pytest.raises(InputError, match="autograd cannot see which layer the logits depend on; name a layer"):
        find_layer(Detached(), (3, 32, 32))
    assert find_layer(Detached(), (3, 32, 32), "inner.blocks.1.norm1", coarse=0).form == "tokens"


def test_a_transformer_is_left_as_it_was() -> None:
    module = timm_vit().train()
    module.cls_token.requires_grad_(False)
    find_layer(module, (3, 32, 32), coarse=0)
    assert all(part.training and not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert [name for name, value in module.named_parameters() if not value.requires_grad] == ["cls_token"]
    assert all(value.grad is None for value in module.parameters())


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
