"""Images with saliency and annotation: pixels as small PNG data, outlines as vectors that stay sharp in print."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from tailscope.core import InputError, resize_bilinear
from tailscope.report.content import GalleryCase

_SIDES = (512, 384, 256, 192, 128)
_OVERLAY_SIDE = 256
_MOST_BYTES = 5_000_000
_LEVELS = 64
_STRONGEST = 0.78


@dataclass(frozen=True)
class Montage:
    """One case as pictures.

    Args:
        plain: SVG of the image with the annotation's outline.
        overlays: SVG per arm, the saliency above the image.
        is_degenerate: Per arm, whether the map has no positive finite part to show.
    """

    plain: Markup
    overlays: tuple[Markup, ...]
    is_degenerate: tuple[bool, ...]


def montages(cases: tuple[GalleryCase, ...]) -> tuple[Montage, ...]:
    """Pictures of all cases; images shrink until all together stay below 5 MB.

    Raises:
        InputError: An image is not uint8 of (H, W) or (H, W, 3), or its mask has another size.
    """
    for case in cases:
        _check(case)
    drawn: list[_Pixels] = []
    for side in _SIDES:
        drawn = [_pixels(case, side) for case in cases]
        if sum(len(png or b"") for pixels in drawn for png in (pixels.image, *pixels.overlays)) <= _MOST_BYTES:
            break
    return tuple(_montage(case, number, pixels) for number, (case, pixels) in enumerate(zip(cases, drawn, strict=True)))


def outline(mask: NDArray[np.bool_]) -> str:
    """SVG path along the pixel edges between inside and outside of a mask (H, W).

    >>> outline(np.array([[True, True]]))
    'M0 0h2M0 1h2M0 0v1M2 0v1'
    """
    framed = np.pad(np.asarray(mask, dtype=bool), 1)
    across = framed[1:, 1:-1] != framed[:-1, 1:-1]
    upright = (framed[1:-1, 1:] != framed[1:-1, :-1]).T
    lines = [f"M{start} {row}h{length}" for row, start, length in _stretches(across)]
    lines += [f"M{column} {start}v{length}" for column, start, length in _stretches(upright)]
    return "".join(lines)


def _stretches(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(row, first, length) of every stretch of True in the rows of a matrix."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(row), int(a), int(b - a)) for (row, a), b in zip(starts, ends[:, 1], strict=True)]


@dataclass(frozen=True)
class _Pixels:
    """PNG of one case: the image, and per arm the saliency, None for a degenerate map."""

    image: bytes
    overlays: tuple[bytes | None, ...]


def _pixels(case: GalleryCase, side: int) -> _Pixels:
    shrink = min(1.0, min(side, _OVERLAY_SIDE) / max(case.mask.shape))
    size = (max(1, round(case.mask.shape[0] * shrink)), max(1, round(case.mask.shape[1] * shrink)))
    overlays = tuple(_saliency_png(view.saliency, size) for view in case.views)
    return _Pixels(_png(Image.fromarray(case.image), side), overlays)


def _montage(case: GalleryCase, number: int, pixels: _Pixels) -> Montage:
    """Image and outline are written once per case; the arms refer to them."""
    height, width = case.mask.shape
    line = max(height, width) / 180
    path = outline(case.mask)
    drawing = f'width="{width}" height="{height}" preserveAspectRatio="none"'
    define = (
        f'<defs><image id="case-{number}" {drawing} href="{_data(pixels.image)}"/><g id="line-{number}">'
        f'<path d="{path}" fill="none" stroke="#000" stroke-linecap="square" stroke-width="{2.4 * line:.2f}"/>'
        f'<path d="{path}" fill="none" stroke="#56d7ff" stroke-linecap="square" stroke-width="{line:.2f}"/></g></defs>'
    )
    below, above = f'<use href="#case-{number}"/>', f'<use href="#line-{number}"/>'
    plain = _picture((height, width), define + below + above, "image with the outline of the annotation")
    overlays = []
    for png in pixels.overlays:
        layer = f'<image {drawing} href="{_data(png)}"/>' if png else ""
        overlays.append(_picture((height, width), below + layer + above, "saliency over the image, with the outline"))
    return Montage(plain, tuple(overlays), tuple(png is None for png in pixels.overlays))


def _picture(size: tuple[int, int], body: str, label: str) -> Markup:
    return Markup(f'<svg class="scan" viewBox="0 0 {size[1]} {size[0]}" role="img" aria-label="{label}">{body}</svg>')


def _saliency_png(saliency: NDArray[Any], size: tuple[int, int]) -> bytes | None:
    """Palette PNG of the positive part, scaled to its own maximum; None for a map without one."""
    values = np.asarray(saliency, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        return None
    positive = values.clip(min=0)
    top = positive.max(initial=0.0)
    if top <= 0 or positive.min() == top:
        return None
    levels = np.rint(resize_bilinear(positive / top, size).clip(0, 1) * (_LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels, mode="P")
    colours, alphas = _palette()
    picture.putpalette(colours)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, transparency=alphas)
    return stream.getvalue()


@cache
def _palette() -> tuple[bytes, bytes]:
    """Colours and opacities of the levels: the brighter part of inferno, from clear to nearly covering."""
    place = np.linspace(0, 1, _LEVELS)
    colours = (mpl.colormaps["inferno"](0.35 + 0.6 * place)[:, :3] * 255).round().astype(np.uint8)
    alphas = (place**0.8 * _STRONGEST * 255).round().astype(np.uint8)
    return colours.tobytes(), alphas.tobytes()


def _png(image: Image.Image, side: int) -> bytes:
    """PNG without metadata, its longer side at most ``side``."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _check(case: GalleryCase) -> None:
    shape = case.image.shape
    is_picture = case.image.dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
    if not is_picture or shape[:2] != case.mask.shape:
        raise InputError(
            f"gallery case {case.pseudonym!r} must have a uint8 image (H, W) or (H, W, 3) and a mask (H, W); "
            f"got {case.image.dtype} {shape} and {case.mask.shape}"
        )
