"""The case browser: all cases as small data, from which the page's script draws image, saliency and outline."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from tailscope.core import digest
from tailscope.report.content import GalleryCase, GalleryView
from tailscope.report.gallery import (
    FADING,
    STRONGEST,
    Still,
    check_case,
    colour_scale,
    outline,
    png_address,
    png_of,
    scaled_positive,
    still_places,
    stills,
)
from tailscope.report.numbers import plural, share

LEVELS = 256
_IMAGE_SIDES = (512, 384, 256, 192, 128, 96, 64)
_IMAGE_BYTES = 3_500_000
_MAP_SIDES = (64, 48, 32, 24, 16)
_MAP_BYTES = 2_000_000


@dataclass(frozen=True)
class CaseBrowser:
    """What the section of cases shows.

    Args:
        stills: A few cases as pictures that need no script.
        data: All cases for the script, JSON that is safe inside an HTML element.
        counts: How many cases there are, how many of them stills, and how they were chosen, in sentences.
    """

    stills: tuple[Still, ...]
    data: Markup
    counts: str


def case_browser(cases: tuple[GalleryCase, ...]) -> CaseBrowser:
    """Stills and data of all cases; images and maps shrink until the section stays below 11 MB.

    A map is kept on its own grid, its positive part in 256 levels up to its maximum; a grid with more than 64 points
    along a side, as of maps of single pixels, is averaged to at most 64.

    Raises:
        InputError: A case has an image or a mask of the wrong kind.
    """
    for case in cases:
        check_case(case)
    side = _map_side(cases)
    arms = list(dict.fromkeys(view.arm for case in cases for view in case.views))
    methods = list(dict.fromkeys(view.method for case in cases for view in case.views))
    classes = list({case.class_name: _class_of(case) for case in cases}.values())
    names = [one["name"] for one in classes]
    images, image_of = _images(cases)
    content = {
        "arms": arms,
        "methods": methods,
        "classes": classes,
        "colours": _text(colour_scale(LEVELS)),
        "fading": FADING,
        "strongest": STRONGEST,
        "images": images,
        "cases": [
            {
                "class": names.index(case.class_name),
                "name": case.pseudonym,
                "image": image,
                "size": case.mask.shape,
                "outline": outline(case.mask),
                "area": share(case.mask.mean()),
                "labels": case.labels,
                "chosen": case.chosen_for,
                "views": [
                    {"arm": arms.index(view.arm), "method": methods.index(view.method), **_look(view, side)}
                    for view in case.views
                ],
            }
            for case, image in zip(cases, image_of, strict=True)
        ],
    }
    return CaseBrowser(stills(cases), Markup(json_in_html(content)), _counts(cases, side))


def json_in_html(content: Any) -> str:
    r"""Compact JSON without a character that could end the element it stands in.

    >>> json_in_html({"name": "</script>&"})
    '{"name":"\\u003c/script\\u003e\\u0026"}'
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def levels_of(saliency: NDArray[Any], side: int) -> NDArray[np.uint8] | None:
    """(h, w) positive part in 256 levels, 255 at its maximum; averaged to at most ``side``; None if degenerate.

    >>> levels_of(np.array([[-1.0, 1.0, 5.0]]), 64).tolist()
    [[0, 51, 255]]
    """
    scaled = scaled_positive(saliency)
    if scaled is None:
        return None
    if max(scaled.shape) > side:
        averaged = Image.fromarray(scaled.astype(np.float32)).resize(_grid(scaled, side)[::-1], Image.Resampling.BOX)
        scaled = np.asarray(averaged, dtype=np.float64)
        scaled = scaled / scaled.max()
    return np.rint(scaled * (LEVELS - 1)).clip(0, LEVELS - 1).astype(np.uint8)


def why_degenerate(saliency: NDArray[Any]) -> str:
    """What is wrong with a map that cannot be shown.

    >>> why_degenerate(np.zeros((2, 2))), why_degenerate(np.ones((2, 2))), why_degenerate(np.array([[np.nan]]))
    ('it is positive nowhere', 'it has one value everywhere', 'it is not finite everywhere')
    """
    if not np.isfinite(saliency).all():
        return "it is not finite everywhere"
    return "it has one value everywhere" if np.min(saliency) > 0 else "it is positive nowhere"


def _look(view: GalleryView, side: int) -> dict[str, Any]:
    levels = levels_of(view.saliency, side)
    look: dict[str, Any] = {"probability": _number(view.probability), "excess": _number(view.excess)}
    if levels is None:
        return {**look, "degenerate": why_degenerate(view.saliency)}
    return {**look, "grid": levels.shape, "levels": _text(levels.tobytes())}


def _grid(saliency: NDArray[Any], side: int) -> tuple[int, int]:
    """Rows and columns of a map once its longer side is at most ``side``."""
    shrink = min(1.0, side / max(saliency.shape))
    return max(1, round(saliency.shape[0] * shrink)), max(1, round(saliency.shape[1] * shrink))


def _map_side(cases: tuple[GalleryCase, ...]) -> int:
    """The finest of the allowed sides with which the maps of all cases fit."""
    maps = [view.saliency for case in cases for view in case.views if np.ndim(view.saliency) == 2]
    fitting = (side for side in _MAP_SIDES if sum(math.prod(_grid(one, side)) for one in maps) <= _MAP_BYTES)
    return next(fitting, _MAP_SIDES[-1])


def _images(cases: tuple[GalleryCase, ...]) -> tuple[list[str], list[int]]:
    """Each picture once, as the still that holds it (``#case-0``) or as data; and which of them each case shows."""
    keys = [digest(case.image, case.image.shape) for case in cases]
    held = {keys[place]: f"#case-{number}" for number, place in enumerate(still_places(cases))}
    further = {key: case.image for key, case in zip(keys, cases, strict=True) if key not in held}
    pngs = _fitting(list(further.values()))
    addresses = held | dict(zip(further, map(png_address, pngs), strict=True))
    order = list(addresses)
    return list(addresses.values()), [order.index(key) for key in keys]


def _fitting(images: list[NDArray[Any]]) -> list[bytes]:
    """The images as PNG, on the largest of the allowed sides with which all of them fit."""
    pngs: list[bytes] = []
    for side in _IMAGE_SIDES:
        left = _IMAGE_BYTES
        pngs = []
        for image in images:
            pngs.append(png_of(image, side))
            left -= len(pngs[-1])
            if left < 0 and side != _IMAGE_SIDES[-1]:
                break
        else:
            break
    return pngs


def _class_of(case: GalleryCase) -> dict[str, str]:
    return {"name": case.class_name, "group": case.group, "prevalence": _share_or_none(case.prevalence)}


def _share_or_none(value: float) -> str:
    return share(value) if math.isfinite(value) else ""


def _counts(cases: tuple[GalleryCase, ...], side: int) -> str:
    """How the cases were chosen."""
    picked = sum(bool(case.chosen_for) for case in cases)
    text = f"{plural(len(cases) - picked, 'case')} drawn by a hash of the image's id, so that no arm is favoured"
    if picked:
        text += f"; {picked} more picked because the arms differ on them: extremes, not what is typical"
    if any(max(np.shape(view.saliency), default=0) > side for case in cases for view in case.views):
        text += f". Maps finer than {side} points a side are averaged to that in the browser"
    return f"{text}."


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
