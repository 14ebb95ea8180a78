"""Refuse settings of a treatment that make no sense."""

from __future__ import annotations

import math

from tailscope.core.errors import InputError


def check_range(name: str, value: float, low: float, high: float = math.inf, *, open_end: bool = False) -> None:
    """Refuse a number outside [low, high], or outside [low, high) if ``open_end``.

    Raises:
        InputError: The setting is named, with the range.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (low <= value < high if open_end else low <= value <= high) or math.isinf(value):
        end = ")" if open_end or math.isinf(high) else "]"
        raise InputError(f"`{name}` must be a number in [{low:g}, {high:g}{end}; got {value!r}")


def check_unused(name: str, value: object, default: object) -> None:
    """Refuse a setting that the published form does not have.

    Raises:
        InputError: The setting differs from its default.
    """
    if value != default:
        raise InputError(f"`{name}` has no effect with variant 'as_published'; got {value!r}: leave it out")
