"""From (seed, index, label row) to pixels and masks.

The density of a picture is a sum: anatomy first, then what each finding and artifact adds. Every part has uniform
numbers of its own, so a finding changes the picture in and near its mask and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import InputError
from tailscope.core.seeding import child_seed, uniforms
from tailscope.data._kernels import add_smooth_noise, expose, paint, strokes
from tailscope.data.phantom_body import draw_body
from tailscope.data.phantom_confounders import ARTIFACTS
from tailscope.data.phantom_findings import FINDINGS
from tailscope.data.phantom_scene import Drawn, Draws, Layer, Scene, key_of, on_film

GENERATOR_VERSION = "phantom-1"
COLUMNS = (*FINDINGS, *ARTIFACTS)
SIZES = (64, 512)

Masks = dict[str, list[NDArray[np.bool_]]]
_DRAWS = 48
_PARTS = {**FINDINGS, **ARTIFACTS}


@dataclass(frozen=True)
class RenderSettings:
    """What the pixels depend on, besides index and label row.

    Args:
        seed: Root seed.
        size: Side in pixels, 64 to 512.
        subtlety: In [0, 1]; see :class:`~tailscope.data.phantom_scene.Scene`.

    Raises:
        InputError: A value is out of range; lists every problem.
    """

    seed: int = 0
    size: int = 64
    subtlety: float = 0.7

    def __post_init__(self) -> None:
        problems = []
        if not (isinstance(self.size, int) and SIZES[0] <= self.size <= SIZES[1]):
            problems.append(f"`size` must be a whole number from {SIZES[0]} to {SIZES[1]} pixels; got {self.size!r}")
        if not 0 <= self.subtlety <= 1:
            problems.append(f"`subtlety` must be from 0 (plain) to 1 (faint); got {self.subtlety!r}")
        if problems:
            raise InputError("; ".join(problems))


def render_phantoms(
    settings: RenderSettings, indices: Sequence[int], label_rows: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], list[Masks]]:
    """Pixels and masks of some images; each is a function of (settings, its index, its label row) alone.

    Args:
        settings: Seed, size, subtlety.
        indices: N image numbers.
        label_rows: (N, 12) bool, one column per name in :data:`COLUMNS`: nine findings, three artifacts.

    Returns:
        (N, size, size) uint8, and per image the masks of what is there: one (size, size) bool per lesion.

    Example:
        >>> import numpy as np
        >>> row = np.arange(12) == COLUMNS.index("mass")
        >>> pixels, masks = render_phantoms(RenderSettings(size=64), [7], row[None])
        >>> pixels.shape, list(masks[0])
        ((1, 64, 64), ['mass'])
    """
    pixels = np.empty((len(indices), settings.size, settings.size), dtype=np.uint8)
    masks = []
    for at, index in enumerate(indices):
        scene = Scene.of(draw_body(settings.seed, index), settings.size, settings.subtlety)
        parts = draw_parts(scene, settings.seed, index, label_rows[at])
        pixels[at] = _film(scene, settings.seed, index, [part for group in parts.values() for part in group])
        masks.append(_masks_of(parts))
    return pixels, masks


def render_masks(settings: RenderSettings, index: int, label_row: NDArray[np.bool_]) -> Masks:
    """The masks of :func:`render_phantoms` without the pixels: several times faster."""
    if not label_row.any():
        return {}
    scene = Scene.of(draw_body(settings.seed, index), settings.size, settings.subtlety)
    return _masks_of(draw_parts(scene, settings.seed, index, label_row))


def draw_parts(scene: Scene, seed: int, index: int, label_row: NDArray[np.bool_]) -> dict[str, list[Drawn]]:
    """What is there: per finding and artifact of the label row, its lesions with masks and change of density."""
    present = (name for name, is_there in zip(COLUMNS, label_row, strict=True) if is_there)
    return {name: _visible(scene, seed, index, name) for name in present}


def _visible(scene: Scene, seed: int, index: int, name: str) -> list[Drawn]:
    """What can be seen of a finding; should all of it fall between the pixels or off the film, it is drawn anew."""
    group: list[Drawn] = []
    attempt = 0
    while not group:
        address = name if attempt == 0 else f"{name}, attempt {attempt}"
        group = [part for part in _PARTS[name](scene, _draws(seed, address, index)) if part.mask.any()]
        attempt += 1
    return group


def _masks_of(parts: dict[str, list[Drawn]]) -> Masks:
    return {name: [part.mask for part in group] for name, group in parts.items()}


def _draws(seed: int, name: str, index: int, count: int = _DRAWS) -> Draws:
    return np.asarray(uniforms(child_seed(seed, "phantom", name), np.array([index]), count)[0])


def _film(scene: Scene, seed: int, index: int, parts: list[Drawn]) -> NDArray[np.uint8]:
    keys = _draws(seed, "noise", index, 3)
    texture: Layer = np.zeros((scene.size, scene.size), dtype=np.float32)
    add_smooth_noise(texture, key_of(keys[0]), 6, 0.8)
    add_smooth_noise(texture, key_of(keys[1]), 26, 0.7)
    markings = _vessels(scene, _draws(seed, "vessels", index, 96))
    for part in parts:
        if part.hidden is not None:
            markings *= 1 - part.hidden
    density = paint(scene.body, scene.fields, markings, texture)
    for part in parts:
        density += part.change
    return np.asarray(expose(density, key_of(keys[2]), scene.body.exposure, scene.body.gamma, scene.body.grain))


def _vessels(scene: Scene, draws: Draws) -> Layer:
    """Vessels that fan out from both hila and taper."""
    layer: Layer = np.zeros((scene.size, scene.size), dtype=np.float32)
    own = draws.reshape(2, -1, 4)
    count = own.shape[1]
    t = np.linspace(0, 1, 7)
    side = np.array([-1.0, 1.0])[:, None, None]
    turn = (-1.25 + 2.6 * (np.arange(count) + own[:, :, 0]) / count)[..., None]
    length = (0.14 + 0.16 * own[:, :, 1])[..., None]
    angle = turn + 0.5 * (own[:, :, 2, None] - 0.5) * t
    x = side * (0.075 + length * t * np.cos(angle))
    y = scene.body.hilum - 0.006 * side + 1.15 * length * t * np.sin(angle)
    lines = on_film(scene.body, np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(2 * count, t.size, 2)
    strokes(layer, lines, 0.004 + 0.004 * own[:, :, 3].ravel())
    for s in (-1.0, 1.0):
        hilum = scene.blob((s * 0.075, scene.body.hilum - 0.006 * s), (0.05, 0.08), s * 0.3, 0.0)
        layer = np.maximum(layer, np.minimum(1.6 * hilum, 1))
    return layer
