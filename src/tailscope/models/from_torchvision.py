"""Networks of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torchvision
from torch import nn

from tailscope.core import InputError
from tailscope.models.naming import require_known
from tailscope.models.network import Network
from tailscope.models.preprocessing import Preprocessing
from tailscope.models.registry import MODELS

_OWN_ARGUMENTS = {"name", "weights", "num_classes", "progress"}


@MODELS.register("torchvision")
@dataclass(frozen=True)
class TorchVision:
    """A classification network of torchvision, with a head for the classes at hand.

    The network keeps its three input channels, and a grey image is repeated: torchvision's factories have no setting
    for another number. Without weights the factory makes the head; with weights the head, alone, is made anew.

    Args:
        name: As in ``torchvision.models.list_models(module=torchvision.models)``.
        weights: None, or a name of the network's weights (``"IMAGENET1K_V1"``, ``"DEFAULT"``), fetched by torchvision.
        args: Further arguments of torchvision's factory.

    Example:
        >>> network = TorchVision("squeezenet1_1")(num_classes=3, channels=1)
        >>> network.preprocessing.channels, network.module.classifier[1].out_channels
        (3, 3)
    """

    name: str
    weights: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __call__(self, num_classes: int, channels: int) -> Network:
        """Build it.

        Raises:
            UnknownNameError: torchvision has no such network, or the network no such weights.
            InputError: torchvision refuses the arguments or cannot fetch the weights, or the images have neither
                1 nor 3 channels.
        """
        if channels not in (1, 3):
            raise InputError(f"torchvision's networks take images of 1 or 3 channels; got {channels}: use timm's")
        weights = self._find_weights()
        module = self._create(num_classes, weights)
        preprocessing = Preprocessing.untrained(3)
        if weights is not None:
            _renew_head(module, len(weights.meta["categories"]), num_classes)
            scaling = weights.transforms()
            preprocessing = Preprocessing(tuple(scaling.mean), tuple(scaling.std))
        source = {
            "source": "torchvision",
            "name": self.name,
            "args": dict(self.args),
            "num_classes": num_classes,
            "channels": channels,
            "weights": None if weights is None else weights.name,
        }
        return Network(module, preprocessing, source)

    def _find_weights(self) -> Any:
        names = torchvision.models.list_models(module=torchvision.models)
        remedy = "torchvision.models.list_models(module=torchvision.models) lists all"
        require_known("torchvision model", self.name, names, remedy)
        if self.weights is None:
            return None
        choices = torchvision.models.get_model_weights(self.name)
        known = (*choices.__members__, "DEFAULT")
        require_known(f"weights of {self.name}", self.weights, known, f"known are: {', '.join(known)}")
        return choices[self.weights]

    def _create(self, num_classes: int, weights: Any) -> nn.Module:
        if clash := sorted(_OWN_ARGUMENTS & set(self.args)):
            raise InputError(f"`args` must not hold {', '.join(clash)}; tailscope sets these itself")
        own = {"num_classes": num_classes} if weights is None else {"weights": weights, "progress": False}
        try:
            module: nn.Module = torchvision.models.get_model(self.name, **own, **self.args)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            settings = f"weights={self.weights} and args={dict(self.args)}"
            raise InputError(
                f"torchvision cannot build {self.name!r} with {settings}: {error}; correct them"
            ) from error
        return module


def _renew_head(module: nn.Module, categories: int, num_classes: int) -> None:
    """Replace the last layer that gives one number per category of the weights, linear or a 1 × 1 convolution."""
    for name, layer in reversed(list(module.named_modules())):
        parent = module.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, nn.Linear) and layer.out_features == categories:
            head: nn.Module = nn.Linear(layer.in_features, num_classes, bias=layer.bias is not None)
        elif isinstance(layer, nn.Conv2d) and layer.out_channels == categories:
            head = nn.Conv2d(layer.in_channels, num_classes, kernel_size=1)
        else:
            continue
        setattr(parent, name.rpartition(".")[2], head)
        return
    raise InputError(f"{type(module).__name__} has no head with {categories} outputs to replace; load no weights")
