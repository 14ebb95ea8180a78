"""Networks that the user brings: a file of weights, and the network that it fills."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tailscope.core import InputError, atomic_write
from tailscope.models.network import Network
from tailscope.models.preprocessing import Preprocessing
from tailscope.models.registry import MODELS

_SCALING = "preprocessing"
_WRAPPERS = ("state_dict", "model_state_dict", "model")


@MODELS.register("checkpoint")
@dataclass(frozen=True)
class Checkpoint:
    """Weights from a file, filled into a network of another source.

    A torch file is read with ``weights_only``, so that it can run no code; it may hold the state dict itself or under
    ``state_dict``, ``model_state_dict`` or ``model``, and names may begin with ``module.`` (distributed training).
    The scaling of pixels is, in this order: ``preprocessing`` below, what :func:`write_weights` put into the file,
    that of the filled network.

    Args:
        path: A ``.safetensors`` file, or what ``torch.save`` wrote.
        network: The network to fill: ``source`` and its settings, e.g. ``{"source": "timm", "name": "resnet18"}``.
        preprocessing: ``{"mean": […], "std": […]}`` per input channel, on the scale 0 to 1.
        strict: Refuse missing and unexpected names; False reports them in the result.
        training_list: What the weights were trained on: a text file with the name of an image on each line, or a CSV
            with the column below. An experiment refuses to test on what stands there.
        image_column: Column of the list with names of images.
        patient_column: Column of the list with patients.

    Raises:
        InputError: A column without a list.
    """

    path: str | Path
    network: Mapping[str, Any] = field(hash=False)
    preprocessing: Mapping[str, Any] | None = field(default=None, hash=False)
    strict: bool = True
    training_list: str | Path | None = None
    image_column: str | None = None
    patient_column: str | None = None

    def __post_init__(self) -> None:
        columns = {"image_column": self.image_column, "patient_column": self.patient_column}
        if self.training_list is None and (stated := [name for name, value in columns.items() if value is not None]):
            raise InputError(f"`{stated[0]}` is a column of `training_list`; state that file as well")

    def __call__(self, num_classes: int, channels: int) -> Network:
        """Build the network and fill it.

        Raises:
            UnknownNameError: No such source.
            InputError: The file is absent or no file of weights; names or shapes do not fit; the settings are wrong.
        """
        path = Path(self.path)
        weights, stored = read_weights(path)
        empty = _build(self.network, num_classes, channels)
        missing, unexpected = _fill(empty.module, weights, path, self.strict)
        scaling = self.preprocessing or stored
        preprocessing = Preprocessing.from_dict(scaling) if scaling else empty.preprocessing
        source = {
            "source": "checkpoint",
            "path": path.as_posix(),
            "network": empty.source,
            "strict": self.strict,
            "num_classes": num_classes,
            "channels": channels,
        }
        return Network(empty.module, preprocessing, source, missing, unexpected)


def write_weights(path: Path, module: nn.Module, preprocessing: Preprocessing) -> None:
    """Write parameters and buffers as safetensors, atomically, with the scaling of pixels in the header."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(weights, temporary, metadata={_SCALING: json.dumps(preprocessing.as_dict())})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Names to tensors, on the CPU, and the scaling that the file carries (None where it carries none).

    Raises:
        InputError: The file is absent or no file of weights.
    """
    if not path.is_file():
        raise InputError(f"expected a file of weights; there is none at {path}: correct `path`")
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_torch(path), None)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is no file of weights that can be read safely: {error}; "
            "save the state dict alone, with safetensors or torch.save(model.state_dict(), …)"
        ) from error


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    with safe_open(path, framework="pt") as stream:
        header = stream.metadata() or {}
        weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (it is no mapping)
    return weights, json.loads(header[_SCALING]) if _SCALING in header else None


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("it holds no mapping of names to tensors")
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    return {name.removeprefix(prefix): value for name, value in content.items()}


def _build(settings: Mapping[str, Any], num_classes: int, channels: int) -> Network:
    if "source" not in settings:
        raise InputError(
            f"`network` must say which source the weights fill; got {dict(settings)}: "
            "e.g. {source: timm, name: resnet18}"
        )
    name = settings["source"]
    others = {setting: value for setting, value in settings.items() if setting != "source"}
    return MODELS.build(name, **others)(num_classes, channels)


def _fill(
    module: nn.Module, weights: Mapping[str, Tensor], path: Path, strict: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    wanted = module.state_dict()
    missing = tuple(name for name in wanted if name not in weights)
    unexpected = tuple(name for name in weights if name not in wanted)
    misfits = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in weights and weights[name].shape != value.shape
    ]
    problems = [f"other shapes: {'; '.join(misfits)}"] if misfits else []
    if strict and (missing or unexpected):
        problems += [f"missing: {', '.join(missing) or 'none'}", f"unexpected: {', '.join(unexpected) or 'none'}"]
    if problems:
        raise InputError(f"{path} does not fit the network. {'. '.join(problems)}. Correct `network` or `path`")
    module.load_state_dict(weights, strict=False)
    return missing, unexpected
