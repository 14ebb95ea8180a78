"""An interval as a picture the size of a word: a line, a dot, and the place of zero."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tailscope.report.frames import float_of

_WIDTH, _HEIGHT, _EDGE = 120, 14, 4


@dataclass(frozen=True)
class Scale:
    """The common axis of a column of intervals.

    >>> Scale(-1.0, 1.0).x(0.0)
    60.0
    """

    low: float
    high: float

    def x(self, value: float) -> float:
        """Place in px, held inside the picture."""
        place = _EDGE + (value - self.low) / (self.high - self.low) * (_WIDTH - 2 * _EDGE)
        return round(min(max(place, 1.0), _WIDTH - 1.0), 1)


def common_scale(values: Iterable[Any], *, around_zero: bool = True) -> Scale:
    """The axis that holds all finite values, and zero if asked for; symmetric axes are not forced.

    >>> common_scale([0.1, 0.4])
    Scale(low=0.0, high=0.4)
    """
    numbers = [number for number in map(float_of, values) if math.isfinite(number)] + [0.0] * around_zero
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    return Scale(low, high) if high > low else Scale(low - 0.5, high + 0.5)


def interval_picture(value: Any, lo: Any, hi: Any, scale: Scale, margin: float = 0.0) -> Markup:
    """Inline SVG of one interval on a common axis; the grey band is ±margin; empty for a missing value."""
    centre, low, high = float_of(value), float_of(lo), float_of(hi)
    if not math.isfinite(centre):
        return Markup("")
    middle = _HEIGHT / 2
    zero = scale.x(0.0)
    left, right = scale.x(-margin), scale.x(margin)
    parts = [f'<rect x="{left}" y="0" width="{right - left:.1f}" height="{_HEIGHT}" class="band"/>'] if margin else []
    parts.append(f'<line x1="{zero}" x2="{zero}" y1="0" y2="{_HEIGHT}" class="zero"/>')
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f'<line x1="{scale.x(low)}" x2="{scale.x(high)}" y1="{middle}" y2="{middle}" class="whisker"/>')
    parts.append(f'<circle cx="{scale.x(centre)}" cy="{middle}" r="3" class="dot"/>')
    body = "".join(parts)
    return Markup(
        f'<svg class="forest" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'aria-hidden="true">{body}</svg>'
    )
