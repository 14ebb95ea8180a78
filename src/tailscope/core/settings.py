"""Refuse settings that make no sense."""

from __future__ import annotations

from tailscope.core.errors import InputError


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        InputError: The setting is named, with the choices.
    """
    if value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(map(repr, choices))}; got {value!r}")
