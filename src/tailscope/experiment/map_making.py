"""Saliency maps of many (image, class) pairs, streamed to disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.attribution import Attribution
from tailscope.core import Advance, ExperimentData, GrowingArray, InputError, digest
from tailscope.models import Network
from tailscope.training import image_batches


@dataclass(frozen=True, eq=False)
class Question:
    """Where does a network look for the classes of some pairs?

    Args:
        method: The attribution method.
        network: The network that is asked.
        data: The experiment's data.
        pairs: (M, 2) image row and class index.
        batch_size: Images at a time.
    """

    method: Attribution
    network: Network
    data: ExperimentData
    pairs: NDArray[np.int64]
    batch_size: int


def write_maps(path: Path, question: Question, inputs: str, advance: Advance) -> None:
    """Write the maps of the pairs, (M, h, w) float32 on the method's own grid, in their order.

    Goes on where it was left, and leaves a whole file of the same inputs as it is. A method whose classes share a pass
    sees each image once, with all classes that are asked of the images beside it; any other sees one class at a time,
    and only the images for which it is asked.

    Args:
        path: Where they go.
        question: What is asked.
        inputs: Digest of all that the maps depend on.
        advance: Moves by maps.

    Raises:
        InputError: The method gave maps of a wrong shape or that are not finite.
    """
    store = GrowingArray(path, len(question.pairs), inputs)
    if store.is_whole:
        advance(len(question.pairs))
        return
    for number, places in enumerate(_chunks(question)):
        if not store.is_finished(number):
            store.write(number, places, _maps(question, question.pairs[places]))
        advance(places.size)
    store.finish()


def maps_of(question: Question) -> NDArray[np.float32]:
    """The same maps in memory, for a few pairs: (M, h, w)."""
    parts = [(places, _maps(question, question.pairs[places])) for places in _chunks(question)]
    if not parts:
        return np.zeros((0, 1, 1), dtype=np.float32)
    maps = np.empty((len(question.pairs), *parts[0][1].shape[1:]), dtype=np.float32)
    for places, some in parts:
        maps[places] = some
    return maps


def other_class(data: ExperimentData, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same images with another class each, drawn by a hash of image id and class: (M, 2), or (0, 2) with one class.

    Its map on the pair's annotation is a reference of the same image, area and network.
    """
    count = len(data.classes)
    if count < 2:
        return np.zeros((0, 2), dtype=np.int64)
    steps = [int(digest(str(data.image_ids[row]), data.classes[number])[:8], 16) for row, number in pairs.tolist()]
    shift = 1 + np.array(steps, dtype=np.int64) % (count - 1)
    return np.stack([pairs[:, 0], (pairs[:, 1] + shift) % count], axis=1)


def _chunks(question: Question) -> Iterator[NDArray[np.int64]]:
    """Places in the pairs, chunk by chunk."""
    pairs, size = question.pairs, question.batch_size
    if question.method.shares_passes:
        order = np.argsort(pairs[:, 0], kind="stable")
        first = np.flatnonzero(np.diff(pairs[order, 0], prepend=-1))  # of each image
        yield from (part for part in np.split(order, first[size::size]) if part.size)
        return
    for number in np.unique(pairs[:, 1]).tolist():
        places = np.flatnonzero(pairs[:, 1] == number)
        yield from np.split(places, np.arange(size, places.size, size))


def _maps(question: Question, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    rows, image = np.unique(pairs[:, 0], return_inverse=True)
    classes, number = np.unique(pairs[:, 1], return_inverse=True)
    _, images = next(iter(image_batches(question.network, question.data.pixels, rows, rows.size)))
    maps = question.method(question.network.module, images, classes.tolist()).cpu().numpy()
    if maps.ndim != 4 or maps.shape[:2] != (rows.size, classes.size) or not np.isfinite(maps).all():
        raise InputError(
            f"{type(question.method).__name__} must give finite maps ({rows.size}, {classes.size}, h, w); got "
            f"{maps.shape}{'' if np.isfinite(maps).all() else ' with NaN or infinity'}; mend the method"
        )
    return np.asarray(maps[image, number], dtype=np.float32)
