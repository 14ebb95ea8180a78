"""Changing the density of a real film: what a lesion or a tube adds, on the tone curve of the generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailscope.core.artifacts import digest
from tailscope.core.seeding import child_seed
from tailscope.data._kernels import ABSORPTION, BLACK, SPAN, TOE
from tailscope.data.decoding import DECODER_VERSION
from tailscope.data.frames import fit
from tailscope.data.phantom_body import draw_body
from tailscope.data.phantom_rendering import GENERATOR_VERSION, RenderSettings, draw_parts
from tailscope.data.phantom_scene import Layer, Scene

PASTING_VERSION = "pasted-1"


def change_density(film: NDArray[np.uint8], change: Layer) -> NDArray[np.uint8]:
    """The film as it would look with ``change`` added to the density under each pixel, clipped to 8 bits.

    The grey value is read backwards through the generator's tone curve at its middle exposure, value = 6 + 270 ·
    (1 − exp(−1.55 · density))^1.25; the change is added there, and the sum is filmed again. So a lesion changes a
    middle grey most and bone little, as on a real film. A pixel without a change stays exactly as it is.

    Args:
        film: (H, W) uint8.
        change: (H, W) float32, density to be added; may be negative.

    Returns:
        (H, W) uint8.

    Example:
        >>> import numpy as np
        >>> change_density(np.array([[100, 100, 255]], np.uint8), np.array([[0.0, 0.2, 5.0]], np.float32)).tolist()
        [[100, 143, 255]]
    """
    tone = np.clip((film.astype(np.float64) - BLACK) / SPAN, 0, 1)
    density = -np.log1p(-(tone ** (1 / TOE))) / ABSORPTION
    changed = (1 - np.exp(-ABSORPTION * np.maximum(density + change, 0))) ** TOE
    # The difference of two tones, so that pixels darker than the curve's black do not jump to it.
    return np.asarray(np.clip(np.rint(film + SPAN * (changed - tone)), 0, 255).astype(np.uint8))


def image_number(image_id: str) -> int:
    """The number from which the generator draws for an image of this name, in [0, 2**63).

    >>> image_number("a.png") == image_number("a.png"), image_number("a.png") == image_number("b.png")
    (True, False)
    """
    return child_seed(0, "pasted", image_id)


@dataclass(frozen=True)
class PasteSettings:
    """What the pixels depend on, besides the real image, the image's name and its label row.

    Args:
        rendering: Seed, size, subtlety.
        contrast: What is pasted, as a multiple of what the generator would add.
    """

    rendering: RenderSettings
    contrast: float


def paste(
    settings: PasteSettings, film: NDArray[np.uint8], number: int, label_row: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Put the findings and artifacts of a label row into a real image.

    Args:
        settings: What to draw and how strongly.
        film: (size, size) uint8 grey.
        number: Of the image, from which the generator draws.
        label_row: (12,) bool, in the order of the generator's columns.

    Returns:
        (size, size) uint8.
    """
    if not label_row.any():
        return film
    rendering = settings.rendering
    scene = Scene.of(draw_body(rendering.seed, number), rendering.size, rendering.subtlety)
    change: Layer = np.zeros(film.shape, dtype=np.float32)
    for group in draw_parts(scene, rendering.seed, number, label_row).values():
        for part in group:
            change += part.change
    return change_density(film, np.float32(settings.contrast) * change)


@dataclass(frozen=True)
class PastedPixels:
    """Row number to pixels; as safe to call from several threads as the base's reader.

    Args:
        settings: What to draw and how strongly.
        read: Row of the base to its pixels.
        read_content: The digests of the base's pixels.
        base_rows: N rows of the base.
        numbers: N image numbers.
        rows: (N, 12) bool label rows.
    """

    settings: PasteSettings
    read: Callable[[int], NDArray[np.uint8]]
    read_content: Callable[[], list[str]]
    base_rows: Sequence[int]
    numbers: Sequence[int]
    rows: NDArray[np.bool_]

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """(size, size) uint8."""
        size = self.settings.rendering.size
        film = fit(_grey(self.read(self.base_rows[row])), (size, size), "stretch")
        return paste(self.settings, film, self.numbers[row], self.rows[row])

    def content(self) -> list[str]:
        """One digest per image of everything that its pixels depend on; of what is pasted, where anything is."""
        rendering, real = self.settings.rendering, self.read_content()
        how = [PASTING_VERSION, GENERATOR_VERSION, rendering.seed, rendering.subtlety, self.settings.contrast]
        frame = [DECODER_VERSION, rendering.size]
        return [
            digest(frame, real[base], [*how, number, row.astype(int).tolist()] if row.any() else [])
            for base, number, row in zip(self.base_rows, self.numbers, self.rows, strict=True)
        ]


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
