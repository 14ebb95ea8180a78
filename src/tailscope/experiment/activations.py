"""Activations of some images on disk, so that memory does not grow with their number; a killed pass goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.core import Advance, GrowingArray, digest
from tailscope.models import Layer, Network, frozen_eval, tap
from tailscope.training import image_batches


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass of a network over some images, of which the activations of layers are kept.

    Args:
        network: The network.
        layers: What is kept of it.
        pixels: (N, H, W, C) of all images.
        rows: (n,) images that are looked at.
        batch_size: Images at a time.
    """

    network: Network
    layers: Sequence[Layer]
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    batch_size: int

    def write(self, places: Sequence[Path], inputs: str, advance: Advance) -> tuple[NDArray[np.float32], ...]:
        """The activations of every layer, in one pass: (n, U, h, w) float32 memory maps on ``places``.

        Rectified where a ReLU follows the layer; tokens as maps. Goes on where it was left; whole files of the same
        inputs are taken as they are.

        Args:
            places: One file per layer.
            inputs: Digest of all that the activations depend on.
            advance: Moves by images.
        """
        stores = [
            GrowingArray(place, self.rows.size, digest(inputs, layer.name, self.rows, self.batch_size))
            for place, layer in zip(places, self.layers, strict=True)
        ]
        if not all(store.is_whole for store in stores):
            self._fill(stores, advance)
            for store in stores:
                store.finish()
        return tuple(np.load(place, mmap_mode="r") for place in places)

    def _fill(self, stores: Sequence[GrowingArray], advance: Advance) -> None:
        module, names = self.network.module, [layer.name for layer in self.layers]
        with torch.no_grad(), frozen_eval(module), tap(module, names) as taps:
            for number, start in enumerate(range(0, self.rows.size, self.batch_size)):
                places = np.arange(start, min(start + self.batch_size, self.rows.size))
                if not all(store.is_finished(number) for store in stores):
                    for _, images in image_batches(self.network, self.pixels, self.rows[places], places.size):
                        module(images)
                    for store, layer in zip(stores, self.layers, strict=True):
                        store.write(number, places, layer.maps(taps[layer.name]).float().cpu().numpy())
                advance(places.size)


def remove_activations(places: Sequence[Path]) -> None:
    """Delete the files of a pass and what notes its state."""
    for place in places:
        for end in ("", ".partial", ".journal", ".inputs"):
            place.with_name(f"{place.name}{end}").unlink(missing_ok=True)
