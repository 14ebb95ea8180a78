"""Pixels decoded once, at working resolution, into one memory-mapped file that is found by its content."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailscope.core.artifacts import atomic_write, digest, write_array
from tailscope.core.errors import DataError
from tailscope.core.geometry import Placement, Resize, Size
from tailscope.data.decoding import DECODER_VERSION
from tailscope.data.settings import DataSettings
from tailscope.data.validation import raise_problems

Progress = Callable[[int, int], None]
ReadPixels = Callable[[int], NDArray[np.uint8]]

_CHUNK = 64  # images in flight: bounds the memory to a few hundred MB of full-size radiographs
_THREADS = 2  # Pillow decodes without the interpreter's lock; more threads starve the disk


@dataclass(frozen=True)
class PixelCache:
    """Decoded images.

    Args:
        pixels: (N, H, W, C) uint8, memory-mapped, read-only.
        sizes: (N, 2) int32 height and width of each stored raster.
        key: Digest of everything that the pixels depend on.
    """

    pixels: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    key: str


def open_pixels(
    read: ReadPixels, content: Sequence[str], settings: DataSettings, folder: Path, progress: Progress | None = None
) -> PixelCache:
    """Open the decoded images, decoding them first if this folder does not hold them.

    Several processes may do so at once: each writes under a name of its own, and the last rename wins with equal bytes.

    Args:
        read: Row number to pixels.
        content: One digest per row.
        settings: Image size, resizing and channels.
        folder: Where caches lie.
        progress: Called with (images done, images in all) while decoding.

    Raises:
        DataError: Lists every image that cannot be read.
    """
    height, width = settings.image_size
    key = digest(list(content), [height, width], settings.resize, settings.channels, DECODER_VERSION)
    pixels_path, sizes_path = folder / f"pixels-{key[:24]}.npy", folder / f"sizes-{key[:24]}.npy"
    if not (pixels_path.exists() and sizes_path.exists()):
        _build(_Decoder(read, len(content), settings), pixels_path, sizes_path, progress)
    return PixelCache(np.load(pixels_path, mmap_mode="r"), np.load(sizes_path), key)


def fit(pixels: NDArray[np.uint8], frame: Size, resize: Resize) -> NDArray[np.uint8]:
    """Put an image into the frame, exactly where :class:`~tailscope.core.Placement` says.

    Pillow's antialiased bilinear filter (a triangle as wide as the reduction) averages over area, does not ring, and
    has half-pixel centres as the masks have. An image of the frame's size stays as it is.

    Args:
        pixels: (h, w) or (h, w, 3) uint8.
        frame: (H, W).
        resize: ``stretch``, or ``pad`` with black.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Example:
        >>> import numpy as np
        >>> fit(np.full((2, 2), 9, np.uint8), (1, 2), "pad").shape
        (1, 2)
    """
    if pixels.shape[:2] == tuple(frame):
        return pixels
    image = Image.fromarray(pixels)
    height, width = frame
    if resize == "stretch":
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    place = Placement.of((image.height, image.width), frame, "pad")
    left, top = place.offset_x / place.scale_x, place.offset_y / place.scale_y
    margin_x, margin_y = math.ceil(left), math.ceil(top)
    canvas = Image.new(image.mode, (image.width + 2 * margin_x, image.height + 2 * margin_y))
    canvas.paste(image, (margin_x, margin_y))
    x0, y0 = margin_x - left, margin_y - top
    box = (x0, y0, min(x0 + width / place.scale_x, canvas.width), min(y0 + height / place.scale_y, canvas.height))
    return np.asarray(canvas.resize((width, height), Image.Resampling.BILINEAR, box=box))


class _ColourFoundError(Exception):
    """A colour image among images taken for grey."""


@dataclass(frozen=True)
class _Decoder:
    read: ReadPixels
    count: int
    settings: DataSettings

    def images(self, channels: int) -> Iterator[tuple[int, Size, NDArray[np.uint8]] | str]:
        """Row, stored size and (H, W, C) pixels, in order; or the problem of a row."""
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, self.count, _CHUNK):
                rows = range(start, min(start + _CHUNK, self.count))
                yield from pool.map(lambda row: self._one(row, channels), rows)

    def _one(self, row: int, channels: int) -> tuple[int, Size, NDArray[np.uint8]] | str:
        try:
            pixels = self.read(row)
        except DataError as error:
            return str(error)
        size = (pixels.shape[0], pixels.shape[1])
        if channels == 1 and pixels.ndim == 3:
            if self.settings.channels is None:
                raise _ColourFoundError
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))
        fitted = fit(pixels, self.settings.image_size, self.settings.resize)
        if fitted.ndim == 2:
            fitted = np.repeat(fitted[..., None], channels, axis=2)
        return row, size, fitted


def _build(decoder: _Decoder, pixels_path: Path, sizes_path: Path, progress: Progress | None) -> None:
    furthest = 0

    def forward(done: int, total: int) -> None:
        nonlocal furthest  # the second attempt reports nothing until it has caught up
        if progress and done > furthest:
            furthest = done
            progress(done, total)

    try:
        _write(decoder, decoder.settings.channels or 1, (pixels_path, sizes_path), forward)
    except _ColourFoundError:
        _write(decoder, 3, (pixels_path, sizes_path), forward)


def _write(decoder: _Decoder, channels: int, paths: tuple[Path, Path], progress: Progress) -> None:
    pixels_path, sizes_path = paths
    shape = (decoder.count, *decoder.settings.image_size, channels)
    sizes = np.zeros((decoder.count, 2), dtype=np.int32)
    problems = []
    with atomic_write(pixels_path) as temporary:
        pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for done, result in enumerate(decoder.images(channels), 1):
            if isinstance(result, str):
                problems.append(result)
            else:
                row, size, fitted = result
                pixels[row], sizes[row] = fitted, size
            progress(done, decoder.count)
        raise_problems(problems)
        pixels.flush()
        del pixels
        write_array(sizes_path, sizes)
