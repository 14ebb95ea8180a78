"""The network of the published experiment: DenseNet-121, cut after its second block."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from tailscope.models.from_timm import create, preprocessing_of, weights_tag
from tailscope.models.network import Network
from tailscope.models.registry import MODELS

_KEPT = ("conv0", "norm0", "pool0", "denseblock1", "transition1", "denseblock2")
_WIDTH = 512


class TruncatedDenseNet(nn.Module):
    """``features`` (B, 512, H/8, W/8), rectified, then their mean, then ``classifier``.

    Args:
        features: Named layers, from the input to the tap ``features.norm5``.
        num_classes: Logits, K.
    """

    def __init__(self, features: OrderedDict[str, nn.Module], num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(_WIDTH, num_classes)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to logits (B, K)."""
        maps: Tensor = self.features(images)
        logits: Tensor = self.classifier(maps.mean(dim=(2, 3)))
        return logits


@MODELS.register("truncated_densenet")
@dataclass(frozen=True)
class TruncatedDenseNetSource:
    """timm's DenseNet-121 up to the second dense block, a new batch norm with ReLU, global mean, linear head.

    Its map is 8 times coarser than the image (28 × 28 for 224 pixels) but its receptive field is small: compare its
    saliency only with runs of the same architecture. Parameters and names equal the published ones; the published
    ``drop_rate``, which did nothing, does not exist here. Channels and scaling follow the rules of ``timm``.

    Args:
        pretrained: Start the kept layers from timm's ImageNet weights.

    Source: the published ``classifiers/truncated_densenet.py``; Huang et al., Densely connected convolutional
    networks, CVPR 2017.

    Example:
        >>> network = TruncatedDenseNetSource()(num_classes=15, channels=3)
        >>> sum(parameter.numel() for parameter in network.module.parameters())
        1306255
    """

    pretrained: bool = False

    def __call__(self, num_classes: int, channels: int) -> Network:
        """Build it.

        Raises:
            InputError: timm cannot fetch the weights.
        """
        whole: Any = create("densenet121", self.pretrained, num_classes, channels, {})
        kept = OrderedDict((name, getattr(whole.features, name)) for name in _KEPT)
        kept["norm5"] = BatchNormAct2d(_WIDTH)
        source = {
            "source": "truncated_densenet",
            "pretrained": self.pretrained,
            "num_classes": num_classes,
            "channels": channels,
            "weights": weights_tag(whole) if self.pretrained else None,
        }
        preprocessing = preprocessing_of(whole, self.pretrained, channels)
        return Network(TruncatedDenseNet(kept, num_classes), preprocessing, source)
