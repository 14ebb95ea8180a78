"""Where does the network come from?

Comes in: the name of a source with its settings, the number of classes and of image channels. Goes out: a
``Network`` (module, preprocessing, how it was made); the layer to look at; taps that read activations and leave the
network as it was. May import: ``core``, torch, torchvision, timm, safetensors.
"""

from tailscope.models.attention import AttentionTaps, tap_attention
from tailscope.models.checkpoint import Checkpoint, read_weights, write_weights
from tailscope.models.forms import Layer, form_of
from tailscope.models.from_timm import Timm
from tailscope.models.from_torchvision import TorchVision
from tailscope.models.head import find_head
from tailscope.models.layers import CoarseGridWarning, find_layer
from tailscope.models.network import Network
from tailscope.models.preprocessing import UNTRAINED_MEAN, UNTRAINED_STD, Preprocessing
from tailscope.models.registry import MODELS, ModelSource
from tailscope.models.state import frozen_eval
from tailscope.models.tapping import Taps, tap
from tailscope.models.truncated_densenet import TruncatedDenseNet, TruncatedDenseNetSource

__all__ = [
    "MODELS",
    "UNTRAINED_MEAN",
    "UNTRAINED_STD",
    "AttentionTaps",
    "Checkpoint",
    "CoarseGridWarning",
    "Layer",
    "ModelSource",
    "Network",
    "Preprocessing",
    "Taps",
    "Timm",
    "TorchVision",
    "TruncatedDenseNet",
    "TruncatedDenseNetSource",
    "find_head",
    "find_layer",
    "form_of",
    "frozen_eval",
    "read_weights",
    "tap",
    "tap_attention",
    "write_weights",
]
