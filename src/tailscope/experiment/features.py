"""What the head of a run is given, for all images, and the head itself; a killed pass goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tailscope import __version__
from tailscope.core import (
    SPLITS,
    ExperimentData,
    GrowingArray,
    InputError,
    Progress,
    digest,
    write_arrays,
)
from tailscope.experiment.activations import fill_in_batches
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run
from tailscope.models import Network, find_head, frozen_eval, tap
from tailscope.representation import Head, LabelledFeatures
from tailscope.training import image_batches


def features_path(folder: ExperimentFolder, run: str, split: str) -> Path:
    """Where the features of one split lie: (n, D) float32, in the order of the data's rows."""
    return folder.evidence_file("representation", f"features-{run}-{split}.npy")


def head_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the head of a run lies, or the reason why it has no features; written after all features."""
    return folder.evidence_file("representation", f"head-{run}.npz")


def write_features(
    folder: ExperimentFolder, run: Run, network: Network, data: ExperimentData, batch_size: int, progress: Progress
) -> None:
    """Write the input of the head for the images of every split, and the head's weights.

    A network whose head is no linear layer on one vector per image has no such features; the reason is written instead,
    and :func:`why_no_features` gives it.

    Args:
        folder: Where they go.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        batch_size: Images at a time.
        progress: Moves by images.

    Raises:
        InputError: A feature is not finite.
    """
    try:
        head = _HeadInput.of(network, data)
    except InputError as error:
        write_arrays(head_path(folder, run.name), {"reason": np.array(str(error))})
        return
    weights = digest(folder.run(run.name) / "weights.safetensors", data.fingerprint, __version__)
    for split in SPLITS:
        rows = data.rows(split)
        store = GrowingArray(features_path(folder, run.name, split), rows.size, digest(weights, split, batch_size))
        if store.is_whole or not rows.size:
            continue
        with progress.task(f"{run.name}: features, {split}", rows.size) as advance:
            fill_in_batches([store], rows, batch_size, lambda some: [head.features(some)], advance)
        store.finish()
    layer = head.layer
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    arrays = {"weight": layer.weight, "bias": bias}
    stored = {name: value.detach().float().cpu().numpy() for name, value in arrays.items()}
    write_arrays(head_path(folder, run.name), {**stored, "reason": np.array("")})


def why_no_features(folder: ExperimentFolder, run: str) -> str:
    """Why the representation of a run is not measured; empty where it is."""
    with np.load(head_path(folder, run), allow_pickle=False) as stored:
        return str(stored["reason"])


def read_head(folder: ExperimentFolder, run: str) -> Head:
    """The head of a run that has features."""
    with np.load(head_path(folder, run), allow_pickle=False) as stored:
        return Head(stored["weight"], stored["bias"])


def read_features(folder: ExperimentFolder, run: str, split: str, data: ExperimentData) -> LabelledFeatures:
    """The features of one split with the labels; on a memory map.

    Raises:
        InputError: A feature is not finite.
    """
    rows = data.rows(split)
    width = read_head(folder, run).weight.shape[1]
    empty = np.zeros((0, width), dtype=np.float32)
    features = np.load(features_path(folder, run, split), mmap_mode="r") if rows.size else empty
    return LabelledFeatures(features, data.targets[rows])


@dataclass(frozen=True, eq=False)
class _HeadInput:
    """A network's head and the images that it can be asked about."""

    network: Network
    data: ExperimentData
    name: str
    layer: nn.Linear

    @classmethod
    def of(cls, network: Network, data: ExperimentData) -> _HeadInput:
        """The head, once two images have shown that the logits are what it makes of one vector per image."""
        layer = find_head(network.module, len(data.classes))
        name = next(name for name, part in network.module.named_modules() if part is layer)
        found = cls(network, data, name, layer)
        given, logits = found._asked(np.arange(min(2, len(data.pixels))))
        if given.ndim != 2:
            raise InputError(
                f"the head {name!r} must be given one vector per image (N, D); it is given {tuple(given.shape)}: "
                "choose a model that pools before its head"
            )
        with torch.no_grad():
            expected = layer(given)
        if not torch.allclose(expected, logits, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise InputError(
                f"the logits must be what the head {name!r} gives; the network changes them behind it: choose a model "
                "that ends with its head"
            )
        return found

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(b, D) of some images."""
        features: NDArray[np.float32] = self._asked(rows)[0].float().cpu().numpy()
        if not np.isfinite(features).all():
            raise InputError(
                f"what the head {self.name!r} is given must be finite; found NaN or infinity: train with a lower "
                "learning rate"
            )
        return features

    def _asked(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the head is given for some images, and the logits."""
        module = self.network.module
        _, images = next(iter(image_batches(self.network, self.data.pixels, rows, rows.size)))
        with torch.no_grad(), frozen_eval(module), tap(module, [self.name], at="input") as taps:
            logits = module(images)
            return taps[self.name], logits
