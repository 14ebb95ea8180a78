"""Activations of some images on disk, so that memory does not grow with their number; a killed pass goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

        def maps(rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
            _, images = next(image_batches(self.network, self.pixels, rows, rows.size))
            module(images)
            return [layer.maps(taps[layer.name]).float().cpu().numpy() for layer in self.layers]

        with torch.no_grad(), frozen_eval(module), tap(module, names) as taps:
            fill_in_batches(stores, self.rows, self.batch_size, maps, advance)


def fill_in_batches(
    stores: Sequence[GrowingArray],
    rows: NDArray[np.int64],
    batch_size: int,
    ask: Callable[[NDArray[np.int64]], Sequence[NDArray[np.float32]]],
    advance: Advance,
) -> None:
    """Write what is asked of some images, batch by batch; batches that every store holds are not asked for again.

    Args:
        stores: One per answer.
        rows: (n,) image rows.
        batch_size: Images at a time.
        ask: Some of the rows to one array (b, …) per store.
        advance: Moves by images.
    """
    for number, start in enumerate(range(0, rows.size, batch_size)):
        places = np.arange(start, min(start + batch_size, rows.size))
        if not all(store.is_finished(number) for store in stores):
            for store, values in zip(stores, ask(rows[places]), strict=True):
                store.write(number, places, values)
        advance(places.size)


def remove_activations(places: Sequence[Path]) -> None:
    """Delete the files of a pass and what notes its state."""
    for place in places:
        for end in ("", ".partial", ".journal", ".inputs"):
            place.with_name(f"{place.name}{end}").unlink(missing_ok=True)
