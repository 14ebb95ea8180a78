"""Unit cards: the images that activate a detector most, where it is activated, and what the expert drew."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from tailscope.core import InputError
from tailscope.report.blocks import Block, Figure, not_shown
from tailscope.report.folding import folded
from tailscope.report.gallery import outline
from tailscope.report.numbers import decimal, listed, plural, signed
from tailscope.report.page_order import PageOrder
from tailscope.report.unit_bars import BarScale, bars
from tailscope.report.unit_pictures import UnitCardPicture

_MOST_LETTERS = 1_500_000  # of all cards on the page
_REGION, _ANNOTATION = "#ff9f1c", "#56d7ff"
_RANKS = ("strongest", "2nd", "3rd", "4th", "5th", "6th")
_CAPTION = (
    "Unit cards: for each class, the best detector of every arm and the test images that activate it most, the "
    "strongest on the left. Orange is the line around the unit's activated region, blue the line around the expert's "
    "annotation of this class; an image without a blue line has none. The bars show the unit's IoU with each concept, "
    "highest first, and its weight in the head for that class (red is negative; concepts without a class have none); "
    "bars of all cards share one scale. Images are chosen by activation alone. Cards illustrate; they prove nothing."
)


@dataclass(frozen=True)
class _Fineness:
    """How large the pictures of a card are.

    Args:
        side: px of the longer side.
        images: Most images of a card.
        quality: Of JPEG, in percent.
    """

    side: int
    images: int
    quality: int


_STEPS = tuple(
    _Fineness(*step)
    for step in ((208, 6, 80), (176, 6, 76), (144, 6, 72), (112, 5, 70), (96, 4, 66), (80, 3, 62), (64, 2, 60))
)


def card_blocks(cards: tuple[UnitCardPicture, ...], order: PageOrder) -> tuple[Block, ...]:
    """One figure with a folded part per class, a row per arm; pictures shrink until all stay below 1.5 MB.

    Args:
        cards: The best detectors; several of one class and arm stand below each other, as they come.
        order: Of classes and arms; concepts that are no class come last.

    Raises:
        InputError: Images are not uint8, or masks or captions do not fit them.
    """
    for card in cards:
        _check(card)
    if not cards:
        return (not_shown("no unit is a detector of a class, or no unit cards were made"),)
    by_class, scale = _by_class(cards, order), _scale(cards)
    parts: dict[str, Markup] = {}
    for step in _STEPS:
        parts = {name: _part(number, mine, step, scale) for number, (name, mine) in enumerate(by_class.items())}
        if sum(map(len, parts.values())) <= _MOST_LETTERS:
            break
    shown, left_out = _fitting(parts)
    figure = Figure(_CAPTION, Markup("").join(shown))
    note = f"the cards of {listed(left_out, limit=len(left_out))}, for which this page has no room"
    return (figure, not_shown(note)) if left_out else (figure,)


def _by_class(cards: tuple[UnitCardPicture, ...], order: PageOrder) -> dict[str, list[UnitCardPicture]]:
    names = list(dict.fromkeys((*order.classes, *(card.class_name for card in cards))))
    arms = list(dict.fromkeys((*order.arms, *(card.arm for card in cards))))
    placed = sorted(cards, key=lambda card: (names.index(card.class_name), arms.index(card.arm)))
    groups: dict[str, list[UnitCardPicture]] = {}
    for card in placed:
        groups.setdefault(card.class_name, []).append(card)
    return groups


def _fitting(parts: dict[str, Markup]) -> tuple[list[Markup], list[str]]:
    """The parts that fit the page together, and the names of the classes that do not."""
    shown, left_out, letters = [], [], 0
    for name, part in parts.items():
        if letters + len(part) <= _MOST_LETTERS:
            shown.append(part)
            letters += len(part)
        else:
            left_out.append(name)
    return shown, left_out


def _scale(cards: tuple[UnitCardPicture, ...]) -> BarScale:
    ious = [value for card in cards for value in card.concept_ious.values() if math.isfinite(value)]
    weights = [abs(value) for card in cards for value in card.head_weights.values() if math.isfinite(value)]
    return BarScale(max(ious, default=1.0), max(weights, default=1.0))


def _part(number: int, cards: list[UnitCardPicture], step: _Fineness, scale: BarScale) -> Markup:
    """All cards of one class; an image that several units share is written once."""
    pictures = _Pictures(f"unit-{number}", step)
    columns = 2 + max(min(step.images, len(card.images)) for card in cards)
    rows = Markup("").join(_row(card, columns, pictures, scale) for card in cards)
    arms = list(dict.fromkeys(card.arm for card in cards))
    title = f"{cards[0].class_name}: {plural(len(cards), 'unit')} of {listed(arms, limit=5)}"
    return folded(title, rows)


def _row(card: UnitCardPicture, columns: int, pictures: _Pictures, scale: BarScale) -> Markup:
    iou, weight = (values.get(card.class_name, math.nan) for values in (card.concept_ious, card.head_weights))
    facts = [f"unit {card.unit} of {card.layer}", f"IoU with {card.class_name} {decimal(iou, 2)}"]
    facts += [f"weight {signed(weight, 2)}"] if math.isfinite(weight) else []
    facts += [card.note] if card.note else []
    shown = Markup("").join(
        Markup('<div class="seen"><p class="arm">{}</p>{}<p>{}</p></div>').format(rank, pictures.scan(card, k), told)
        for k, (rank, told) in enumerate(zip(_RANKS[: columns - 2], card.captions, strict=False))
    )
    drawn = bars(card.concept_ious, card.head_weights, card.class_name, scale)
    return Markup(
        '<h3>{}: {}</h3><div class="strip" style="--columns: {}">{}<div class="seen" style="grid-column: span 2">'
        '<p class="arm">what it responds to</p>{}<p></p></div></div>'
    ).format(card.arm, ", ".join(facts), columns, shown, drawn)


class _Pictures:
    """Draws the scans of one class and remembers which images have been written.

    Args:
        prefix: Start of the names of its images.
        step: How large they are.
    """

    def __init__(self, prefix: str, step: _Fineness) -> None:
        self._prefix = prefix
        self._step = step
        self._names: dict[str, str] = {}

    def scan(self, card: UnitCardPicture, k: int) -> Markup:
        """SVG of image ``k`` of a card: the pixels and the two outlines, which stay sharp in print."""
        height, width = card.regions.shape[1:]
        shrink = min(1.0, self._step.side / max(height, width))
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        lines = _line(card.annotations[k], size, _ANNOTATION) + _line(card.regions[k], size, _REGION)
        return Markup(
            f'<svg class="scan" viewBox="0 0 {size[1]} {size[0]}" role="img" aria-label="image with the lines around '
            f'the activated region and the annotation">{self._pixels(card.images[k], size)}{lines}</svg>'
        )

    def _pixels(self, image: NDArray[Any], size: tuple[int, int]) -> str:
        key = hashlib.sha256(image.tobytes()).hexdigest()
        if key in self._names:
            return f'<use href="#{self._names[key]}"/>'
        self._names[key] = name = f"{self._prefix}-{len(self._names)}"
        small = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=self._step.quality, optimize=True)
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        return f'<image id="{name}" width="{size[1]}" height="{size[0]}" href="data:image/jpeg;base64,{data}"/>'


def _line(mask: NDArray[np.bool_], size: tuple[int, int], colour: str) -> str:
    """Outline of a mask on the grid of the picture, dark below and coloured above."""
    path = outline(_shrunk(mask, size))
    if not path:
        return ""
    wide = max(size) / 80
    common = f'<path d="{path}" fill="none" stroke-linecap="square"'
    return (
        f'<g opacity="0.95">{common} stroke="#000" stroke-width="{2 * wide:.2f}"/>'
        f'{common} stroke="{colour}" stroke-width="{wide:.2f}"/></g>'
    )


def _shrunk(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask on a coarser grid: cells that are half inside, or any that is touched if none is."""
    covered = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size[::-1], Image.Resampling.BOX))
    half = covered >= 128
    return half if half.any() else covered > 0


def _check(card: UnitCardPicture) -> None:
    shape = card.images.shape
    is_picture = card.images.dtype == np.uint8 and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3))
    masks = (card.regions.shape, card.annotations.shape)
    if not is_picture or masks != (shape[:3], shape[:3]) or len(card.captions) != shape[0]:
        raise InputError(
            f"the card of unit {card.unit} ({card.arm}, {card.class_name}) must have uint8 images (k, H, W) or "
            f"(k, H, W, 3), regions and annotations (k, H, W) and k captions; got {card.images.dtype} {shape}, "
            f"{masks[0]}, {masks[1]} and {len(card.captions)} captions"
        )
