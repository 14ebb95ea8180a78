"""Still pictures of cases: pixels as small PNG data, outlines as vectors that stay sharp in print."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from tailscope.core import InputError, resize_bilinear
from tailscope.report.content import GalleryCase, GalleryView
from tailscope.report.numbers import decimal, share, signed

_SIDES = (512, 384, 256, 192, 128)
_OVERLAY_SIDE = 256
_MOST_BYTES = 2_000_000
_MOST_STILLS = 18
_STILLS_PER_CLASS = 2
_LEVELS = 64
STRONGEST = 0.78
FADING = 0.8


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


@dataclass(frozen=True)
class Seen:
    """One picture of a still with the line below it."""

    heading: str
    picture: Markup
    line: str


@dataclass(frozen=True)
class Still:
    """One case in print, and for readers without scripts: the plain image, then every arm.

    Args:
        number: Its place among all cases, from 1.
        heading: Class, group, pseudonym, annotated area.
        seen: The pictures.
    """

    number: int
    heading: str
    seen: tuple[Seen, ...]

    @property
    def columns(self) -> int:
        """Pictures beside each other: all of them up to five, otherwise about half."""
        return len(self.seen) if len(self.seen) <= 5 else -(-len(self.seen) // 2)


def stills(cases: tuple[GalleryCase, ...]) -> tuple[Still, ...]:
    """Up to two cases of a class and 18 in all, under the first method; none that was chosen for what arms do on it.

    Raises:
        InputError: A case has an image or a mask of the wrong kind.
    """
    places = still_places(cases)
    shown = [replace(cases[place], views=first_method(cases[place])) for place in places]
    return tuple(
        Still(place + 1, heading_of(case), _seen(case, montage))
        for place, case, montage in zip(places, shown, montages(tuple(shown)), strict=True)
    )


def still_places(cases: tuple[GalleryCase, ...]) -> list[int]:
    """Which of the cases are stills."""
    by_class: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        if not case.chosen_for:
            by_class.setdefault(case.class_name, []).append(place)
    each = max(1, min(_STILLS_PER_CLASS, _MOST_STILLS // max(len(by_class), 1)))
    return sorted(place for places in list(by_class.values())[:_MOST_STILLS] for place in places[:each])


def first_method(case: GalleryCase) -> tuple[GalleryView, ...]:
    """The views of a case by its first method, one per arm."""
    return tuple(view for view in case.views if view.method == case.views[0].method)


def heading_of(case: GalleryCase) -> str:
    """What a case is, in words."""
    return f"{case.class_name} ({case.group}), {case.pseudonym}, annotated area {share(case.mask.mean())}"


def _seen(case: GalleryCase, montage: Montage) -> tuple[Seen, ...]:
    seen = [Seen("image", montage.plain, "outline: annotation")]
    for view, overlay, is_degenerate in zip(case.views, montage.overlays, montage.is_degenerate, strict=True):
        line = f"predicted {decimal(view.probability, 2)}, excess {signed(view.excess, 2)}"
        seen.append(Seen(view.arm, overlay, f"{line}, degenerate map" if is_degenerate else line))
    return tuple(seen)


def montages(cases: tuple[GalleryCase, ...]) -> tuple[Montage, ...]:
    """Pictures of all cases; images shrink until all together stay below 2 MB.

    Raises:
        InputError: An image is not uint8 of (H, W) or (H, W, 3), or its mask has another size.
    """
    for case in cases:
        check_case(case)
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
    return _Pixels(png_of(case.image, side), overlays)


def _montage(case: GalleryCase, number: int, pixels: _Pixels) -> Montage:
    """Image and outline are written once per case; the arms refer to them."""
    height, width = case.mask.shape
    line = max(height, width) / 180
    path = outline(case.mask)
    drawing = f'width="{width}" height="{height}" preserveAspectRatio="none"'
    define = (
        f'<defs><image id="case-{number}" {drawing} href="{png_address(pixels.image)}"/><g id="line-{number}">'
        f'<path d="{path}" fill="none" stroke="#000" stroke-linecap="square" stroke-width="{2.4 * line:.2f}"/>'
        f'<path d="{path}" fill="none" stroke="#56d7ff" stroke-linecap="square" stroke-width="{line:.2f}"/></g></defs>'
    )
    below, above = f'<use href="#case-{number}"/>', f'<use href="#line-{number}"/>'
    plain = _picture((height, width), define + below + above, "image with the outline of the annotation")
    overlays = []
    for png in pixels.overlays:
        layer = f'<image {drawing} href="{png_address(png)}"/>' if png else ""
        overlays.append(_picture((height, width), below + layer + above, "saliency over the image, with the outline"))
    return Montage(plain, tuple(overlays), tuple(png is None for png in pixels.overlays))


def _picture(size: tuple[int, int], body: str, label: str) -> Markup:
    return Markup(f'<svg class="scan" viewBox="0 0 {size[1]} {size[0]}" role="img" aria-label="{label}">{body}</svg>')


def _saliency_png(saliency: NDArray[Any], size: tuple[int, int]) -> bytes | None:
    """Palette PNG of the positive part, scaled to its own maximum; None for a map without one."""
    scaled = scaled_positive(saliency)
    if scaled is None:
        return None
    levels = np.rint(resize_bilinear(scaled, size).clip(0, 1) * (_LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels, mode="P")
    colours, alphas = _palette()
    picture.putpalette(colours)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, transparency=alphas)
    return stream.getvalue()


def scaled_positive(saliency: NDArray[Any]) -> NDArray[np.float64] | None:
    """(h, w) positive part of a map divided by its maximum, in [0, 1]; None for a degenerate map.

    >>> scaled_positive(np.array([[-1.0, 2.0, 4.0]])).tolist(), scaled_positive(np.ones((2, 2)))
    ([[0.0, 0.5, 1.0]], None)
    """
    values = np.asarray(saliency, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        return None
    positive = values.clip(min=0)
    top = positive.max(initial=0.0)
    return None if top <= 0 or positive.min() == top else positive / top


@cache
def colour_scale(levels: int) -> bytes:
    """Red, green, blue of each level, ascending in brightness, so that it is safe for the colour-blind: of inferno."""
    shades = mpl.colormaps["inferno"](0.35 + 0.6 * np.linspace(0, 1, levels))[:, :3]
    return (shades * 255).round().astype(np.uint8).tobytes()


@cache
def _palette() -> tuple[bytes, bytes]:
    """Colours and opacities of the levels, from clear to nearly covering."""
    alphas = np.linspace(0, 1, _LEVELS) ** FADING * STRONGEST * 255
    return colour_scale(_LEVELS), alphas.round().astype(np.uint8).tobytes()


def png_of(pixels: NDArray[Any], side: int) -> bytes:
    """PNG of (H, W) or (H, W, 3) uint8 pixels, without metadata, its longer side at most ``side``."""
    small = Image.fromarray(pixels)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def png_address(png: bytes) -> str:
    """The PNG as an address that a page can show without loading anything."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def check_case(case: GalleryCase) -> None:
    """Refuse what cannot be drawn.

    Raises:
        InputError: The image is not uint8 of (H, W) or (H, W, 3), or the mask has another size.
    """
    shape = case.image.shape
    is_picture = case.image.dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
    if not is_picture or shape[:2] != case.mask.shape:
        raise InputError(
            f"gallery case {case.pseudonym!r} must have a uint8 image (H, W) or (H, W, 3) and a mask (H, W); "
            f"got {case.image.dtype} {shape} and {case.mask.shape}"
        )
