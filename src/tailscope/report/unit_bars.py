"""The bars of a unit card: what the unit responds to, and what the head makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from tailscope.report.frames import float_of
from tailscope.report.numbers import decimal, signed

_MOST = 5
_SIZE, _ROW, _TOP = (300, 142), 20, 20  # px: the picture, a line, and the heads above the lines
_NAME, _LETTERS = 112, 22  # px of a name, and the letters that fit at the size of the type
_BAR, _WEIGHT = (118, 52), (233, 34)  # (start, length) of the IoU bar; (zero, half length) of the weight
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


@dataclass(frozen=True)
class BarScale:
    """The longest bars of a page, so that cards can be compared.

    Args:
        iou: IoU of the longest bar.
        weight: Absolute weight of the longest bar.
    """

    iou: float
    weight: float


def strongest(ious: Mapping[str, float], own: str) -> tuple[str, ...]:
    """The five concepts of highest IoU, and the unit's own class if it is not among them.

    Example:
        >>> strongest({"a": 0.1, "b": 0.3, "c": float("nan")}, "c")
        ('b', 'a', 'c')
    """
    known = sorted((name for name in ious if math.isfinite(ious[name])), key=lambda name: -ious[name])[:_MOST]
    return tuple(known if own in known else [*known[: _MOST - 1], own])


def bars(ious: Mapping[str, float], weights: Mapping[str, float], own: str, scale: BarScale) -> Markup:
    """SVG with a line per concept: name, IoU as a bar, and the weight in the head to the left or right of zero.

    Args:
        ious: IoU per concept.
        weights: Weight per class.
        own: The class of the card, in bold.
        scale: Of all cards.
    """
    lines = [
        _line(place, name, (float_of(ious.get(name)), float_of(weights.get(name))), scale, is_own=name == own)
        for place, name in enumerate(strongest(ious, own))
    ]
    zero = _WEIGHT[0]
    bottom = _TOP + _ROW * len(lines)
    heads = (
        f'<text x="{_BAR[0]}" y="12" fill="#565b63">IoU</text>'
        f'<text x="{zero}" y="12" fill="#565b63" text-anchor="middle">weight</text>'
        f'<line x1="{zero}" x2="{zero}" y1="{_TOP}" y2="{bottom}" stroke="#777"/>'
    )
    return Markup(
        f'<svg viewBox="0 0 {_SIZE[0]} {_SIZE[1]}" style="display:block;width:100%" role="img" aria-label="IoU with '
        f'each concept, and weight in the head" font-family="{_FONT}" font-size="10.5">{"".join(lines)}{heads}</svg>'
    )


def _line(place: int, name: str, numbers: tuple[float, float], scale: BarScale, *, is_own: bool) -> str:
    iou, weight = numbers
    y = _TOP + _ROW * place
    base, bold = y + 14, ' font-weight="bold"' if is_own else ""
    squeezed = f' textLength="{_NAME}" lengthAdjust="spacingAndGlyphs"' if len(name) > _LETTERS else ""
    parts = [f'<text x="{_NAME}" y="{base}" text-anchor="end"{bold}{squeezed}>{escape(name)}</text>']
    length = _BAR[1] * _share(iou, scale.iou)
    parts.append(f'<rect x="{_BAR[0]}" y="{y + 5}" width="{length:.1f}" height="11" fill="#ff9f1c"/>')
    parts.append(f'<text x="{_BAR[0] + length + 3:.1f}" y="{base}"{bold}>{decimal(iou, 2)}</text>')
    wide = _WEIGHT[1] * _share(abs(weight), scale.weight)
    start = _WEIGHT[0] - (wide if weight < 0 else 0)
    colour = "#a4161a" if weight < 0 else "#0b5394"
    parts.append(f'<rect x="{start:.1f}" y="{y + 5}" width="{wide:.1f}" height="11" fill="{colour}"/>')
    parts.append(f'<text x="{_SIZE[0]}" y="{base}" text-anchor="end"{bold}>{signed(weight, 2)}</text>')
    return "".join(parts)


def _share(value: float, most: float) -> float:
    """Part of the longest bar; nothing for a missing value."""
    return min(max(value / most, 0.0), 1.0) if most > 0 and math.isfinite(value) else 0.0
