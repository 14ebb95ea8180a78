"""Networks of timm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
from torch import nn

from tailscope.core import InputError
from tailscope.models.naming import require_known
from tailscope.models.network import Network
from tailscope.models.preprocessing import Preprocessing
from tailscope.models.registry import MODELS

_OWN_ARGUMENTS = {"model_name", "pretrained", "num_classes", "in_chans"}


@MODELS.register("timm")
@dataclass(frozen=True)
class Timm:
    """A network of timm, with a new linear head.

    Without pretrained weights the network takes as many channels as the images have, scaled by the constants of
    ``Preprocessing.untrained``. Pretrained weights (ImageNet, fetched by timm) keep their three channels, mean and
    standard deviation, and a grey image is repeated, so that the weights see what they were trained on.

    Args:
        name: As in ``timm.list_models()``, with or without a tag (``resnet18``, ``resnet18.a1_in1k``).
        pretrained: Start from timm's weights.
        args: Further arguments of timm's factory, e.g. ``{"output_stride": 8}``.

    Source: Wightman, PyTorch Image Models (timm).

    Example:
        >>> network = Timm("test_resnet")(num_classes=3, channels=1)
        >>> network.module.num_classes, network.preprocessing.channels
        (3, 1)
    """

    name: str
    pretrained: bool = False
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __call__(self, num_classes: int, channels: int) -> Network:
        """Build it.

        Raises:
            UnknownNameError: timm has no such network.
            InputError: timm refuses the arguments, or cannot fetch the weights.
        """
        module = create(self.name, self.pretrained, num_classes, channels, self.args)
        source = {
            "source": "timm",
            "name": self.name,
            "pretrained": self.pretrained,
            "args": dict(self.args),
            "num_classes": num_classes,
            "channels": channels,
            "weights": weights_tag(module) if self.pretrained else None,
        }
        return Network(module, preprocessing_of(module, self.pretrained, channels), source)


def create(name: str, pretrained: bool, num_classes: int, channels: int, args: Mapping[str, Any]) -> nn.Module:
    """Timm's network, its errors turned into ours.

    Raises:
        UnknownNameError: timm has no such network.
        InputError: timm refuses the arguments, or cannot fetch the weights.
    """
    require_known("timm model", name.partition(".")[0], timm.list_models(), "timm.list_models() lists all")
    if clash := sorted(_OWN_ARGUMENTS & set(args)):
        raise InputError(f"`args` must not hold {', '.join(clash)}; tailscope sets these itself")
    inputs = pretrained_channels(channels) if pretrained else channels
    try:
        module: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, in_chans=inputs, **args
        )
    except (TypeError, ValueError, OSError, RuntimeError, AssertionError, NotImplementedError) as error:
        settings = f"pretrained={pretrained} and args={dict(args)}"
        remedy = "; correct them" + (
            ", or set `pretrained: false` where no weights can be fetched" if pretrained else ""
        )
        raise InputError(f"timm cannot build {name!r} with {settings}: {error}{remedy}") from error
    return module


def pretrained_channels(channels: int) -> int:
    """Channels of a network with ImageNet weights: 3, for images of 1 (repeated) or 3.

    Raises:
        InputError: The images have another number.
    """
    if channels not in (1, 3):
        raise InputError(f"pretrained weights take images of 1 or 3 channels; got {channels}: set `pretrained: false`")
    return 3


def preprocessing_of(module: nn.Module, pretrained: bool, channels: int) -> Preprocessing:
    """The scaling of timm's weights, or the constants for untrained ones."""
    if not pretrained:
        return Preprocessing.untrained(channels)
    configuration: Any = module.pretrained_cfg
    return Preprocessing(tuple(configuration["mean"]), tuple(configuration["std"]))


def weights_tag(module: nn.Module) -> str:
    """Which weights timm chose, as ``architecture.tag``: they are not pinned by the name alone."""
    configuration: Any = module.pretrained_cfg
    return f"{configuration.get('architecture')}.{configuration.get('tag')}"
