"""Refuse settings of a method that make no sense."""

from __future__ import annotations

from tailscope.core import InputError


def require_whole(name: str, value: object, least: int = 1) -> None:
    """Pass if the value is a whole number, ``least`` or more.

    Raises:
        InputError: It is not; the setting is named.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"`{name}` must be a whole number, {least} or more; got {value!r}")


def require_between(name: str, value: object, low: float, high: float) -> None:
    """Pass if the value is a number above ``low`` and below ``high``.

    Raises:
        InputError: It is not; the setting is named.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
        raise InputError(f"`{name}` must be a number above {low:g} and below {high:g}; got {value!r}")
