"""Small networks of every family, and settings that make every method cheap on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
import torchvision
from timm.models.efficientnet import EfficientNet, decode_arch_def
from timm.models.regnet import RegNet, RegNetCfg
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.regnet import BlockParams

from tailscope.attribution import ATTRIBUTIONS

K = 3
SIZE = 32

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "extremal_perturbation": {"areas": (0.1,), "iterations": 4},
    "information_bottleneck": {"steps": 2, "samples": 2},
    "integrated_gradients": {"steps": 3},
    "occlusion": {"patch": 1 / 4, "stride": 1 / 4},
    "rise": {"masks": 8, "cells": 4},
    "smoothgrad": {"samples": 3},
}
"""Of the methods that are dear by default; the others run with their defaults."""

OF_GLOBAL_ATTENTION = ("attention_rollout", "transformer_attribution")
"""Methods that refuse a network whose tokens do not all attend to all."""


def build(name: str, **settings: object) -> Callable[..., Tensor]:
    return ATTRIBUTIONS.build(name, **SETTINGS.get(name, {}), **settings)


VIT = {"img_size": SIZE, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": K}


def _timm(name: str, **settings: object) -> Callable[[int], nn.Module]:
    return lambda channels: timm.create_model(name, in_chans=channels, **{"num_classes": K} | settings)


def _timm_efficientnet(channels: int) -> nn.Module:
    blocks = decode_arch_def([["ds_r1_k3_s1_e1_c8_se0.25"], ["ir_r1_k3_s2_e2_c16_se0.25"]])
    return EfficientNet(blocks, num_classes=K, num_features=24, stem_size=8, in_chans=channels, act_layer=nn.SiLU)


def _timm_regnet(channels: int) -> nn.Module:
    cfg = RegNetCfg(depth=6, w0=8, wa=8.0, wm=2.0, group_size=8)
    return RegNet(cfg, in_chans=channels, num_classes=K, output_stride=8)


def _torchvision_resnet() -> nn.Module:
    module = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=K)
    module.layer3 = module.layer4 = nn.Identity()  # so many channels make the methods that run once a channel dear
    module.fc = nn.Linear(128, K)
    return module


def _torchvision_efficientnet() -> nn.Module:
    blocks = [MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0), MBConvConfig(2, 3, 2, 8, 16, 1, 1.0, 1.0)]
    return torchvision.models.EfficientNet(blocks, dropout=0.2, num_classes=K, last_channel=24)


def _torchvision_convnext() -> nn.Module:
    stages = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]
    return torchvision.models.ConvNeXt(stages, num_classes=K)


def _torchvision_regnet() -> nn.Module:
    blocks = BlockParams.from_init_params(depth=4, w_0=8, w_a=8.0, w_m=2.0, group_width=8)
    return torchvision.models.RegNet(blocks, num_classes=K, stem_width=8)


@dataclass(frozen=True)
class Family:
    """One way in which networks are built.

    Args:
        make: Image channels to a network.
        layer: What ``auto`` finds.
        global_attention: Every token attends to every token.
        channels: Image channels for which it can be made.
    """

    make: Callable[[int], nn.Module]
    layer: str
    global_attention: bool = False
    channels: tuple[int, ...] = (3,)


FAMILIES: Mapping[str, Family] = {
    "timm resnet": Family(
        _timm("resnet18", layers=(1, 1, 1, 1), channels=(8, 8, 16, 24), output_stride=8), "layer4", channels=(3, 1)
    ),
    "timm densenet": Family(_timm("densenet121", growth_rate=8, block_config=(2, 2)), "features", channels=(3, 1)),
    "timm efficientnet": Family(_timm_efficientnet, "bn2", channels=(3, 1)),
    "timm convnext": Family(
        _timm("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), output_stride=8), "stages", channels=(3, 1)
    ),
    "timm regnet": Family(_timm_regnet, "s4", channels=(3, 1)),
    "timm vit": Family(_timm("vit_tiny_patch16_224", **VIT), "blocks.1.norm1", True, (3, 1)),
    "timm deit, distilled": Family(_timm("deit_tiny_distilled_patch16_224", **VIT), "blocks.1.norm1", True, (3, 1)),
    "timm dinov2, registers": Family(_timm("vit_small_patch14_reg4_dinov2", **VIT), "blocks.1.norm1", True, (3, 1)),
    "timm swin": Family(
        _timm(
            "swin_tiny_patch4_window7_224",
            img_size=SIZE,
            window_size=4,
            depths=(1, 1),
            embed_dim=12,
            num_heads=(1, 2),
        ),
        "norm",
        channels=(3, 1),
    ),
    "torchvision resnet": Family(lambda _: _torchvision_resnet(), "layer2"),
    "torchvision densenet": Family(lambda _: torchvision.models.DenseNet(8, (2, 2), 16, num_classes=K), "features"),
    "torchvision efficientnet": Family(lambda _: _torchvision_efficientnet(), "features"),
    "torchvision convnext": Family(lambda _: _torchvision_convnext(), "features"),
    "torchvision regnet": Family(lambda _: _torchvision_regnet(), "trunk_output"),
    "torchvision vit": Family(
        lambda _: torchvision.models.VisionTransformer(SIZE, 8, 2, 2, 24, 48, num_classes=K),
        "encoder.layers.encoder_layer_1.ln_1",
        True,
    ),
    "torchvision swin": Family(
        lambda _: torchvision.models.SwinTransformer([4, 4], 12, [1, 1], [1, 2], [4, 4], num_classes=K), "permute"
    ),
}


@cache
def network(family: str, channels: int = 3) -> nn.Module:
    """In eval mode, the same one in each call; no parameter is where it starts (zero heads), so no map is empty."""
    torch.manual_seed(3)
    module = FAMILIES[family].make(channels)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def fresh(family: str) -> nn.Module:
    """A copy of the network, to be changed."""
    return copy.deepcopy(network(family))


def suits(method: str, family: str) -> bool:
    return FAMILIES[family].global_attention or method not in OF_GLOBAL_ATTENTION


def images(count: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def hooks_on(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for part in module.modules() for kind in kinds)


def everything_about(module: nn.Module) -> dict[str, Any]:
    """All that a method must leave as it was, by name; values are copies."""
    return {
        "state": {name: value.clone() for name, value in module.state_dict().items()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()},
        "flags": {name: p.requires_grad for name, p in module.named_parameters()},
        "modes": {name: part.training for name, part in module.named_modules()},
        "attributes": {name: sorted(vars(part)) for name, part in module.named_modules()},
        "calls": {name: part.forward.__func__ for name, part in module.named_modules()},
        "hooks": hooks_on(module),
        "random state": torch.get_rng_state(),
    }


def same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return one == other
