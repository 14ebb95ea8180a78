"""Pixels decoded once, at working resolution, into one memory-mapped file that is found by its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import digest
from tailscope.data.cache_building import Work, build_cache
from tailscope.data.cache_files import CacheFiles, Checksums, damage
from tailscope.data.decoding import DECODER_VERSION
from tailscope.data.settings import DataSettings

Progress = Callable[[int, int], None]
ReadPixels = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True)
class PixelCache:
    """Decoded images.

    Args:
        pixels: (N, H, W, C) uint8, memory-mapped, read-only.
        sizes: (N, 2) int32 height and width of each stored raster.
        key: Digest of everything that the pixels depend on.
        notes: What happened to the file, one sentence each.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    key: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadingPlan:
    """How the pixels of a cache are read.

    Args:
        order: Rows in the order in which they are read fastest; None: as they are numbered.
        progress: Called with (images done, images in all) while decoding.
        threads: How many decode at once; None: one per core. The pixels do not depend on it.
        whole: Check every row of a file that is there, instead of a sample.
    """

    order: Sequence[int] | None = None
    progress: Progress | None = None
    threads: int | None = None
    whole: bool = False


def open_pixels(
    read: ReadPixels, content: Sequence[str], settings: DataSettings, folder: Path, plan: ReadingPlan | None = None
) -> PixelCache:
    """Open the decoded images, decoding them first if this folder does not hold them, whole and undamaged.

    Of a file that is there, its size and 64 rows are compared with checksums, and all rows where it was written to or
    copied since it was last checked; a damaged one is decoded again. Several processes may ask at once: the first one
    decodes, the others wait for it. Killed at any moment, the next one goes on where it was.

    Args:
        read: Row number to pixels.
        content: One digest per row.
        settings: Image size, resizing and channels.
        folder: Where caches lie.
        plan: How to read; None: with the defaults.

    Raises:
        DataError: Lists every image that cannot be read.
    """
    plan = plan or ReadingPlan()
    height, width = settings.image_size
    key = digest(list(content), [height, width], settings.resize, settings.channels, DECODER_VERSION)
    files = CacheFiles(folder, key[:24])
    notes = []
    found = damage(files, (len(content), height, width), whole=plan.whole) if files.exist() else None
    if found is not None:
        notes.append(f"the cache of pixels {found} and was made anew")
        files.remove()
    if not files.exist():
        work = Work(read, tuple(plan.order or range(len(content))), settings, plan.threads)
        build_cache(work, files, plan.progress)
    elif not files.checksums.exists():
        Checksums.of(files).write(files)  # made by a version that kept none
    return PixelCache(np.load(files.pixels, mmap_mode="r"), np.load(files.sizes), key, tuple(notes))
