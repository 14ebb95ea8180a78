"""Refuse a name that a long list does not hold: the nearest few are proposed, never a thousand printed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from tailscope.core import UnknownNameError


def require_known(kind: str, name: str, known: Iterable[str], remedy: str) -> None:
    """Pass if ``known`` holds ``name``.

    Args:
        kind: What the name stands for; it opens the message.
        name: The name as the user wrote it.
        known: Every name that exists.
        remedy: Where the user finds them all; it ends the message.

    Raises:
        UnknownNameError: It is not there; up to three near names are proposed.

    Example:
        >>> require_known("model", "resnet81", ["resnet18", "vgg11"], "see the list")
        Traceback (most recent call last):
            ...
        tailscope.core.errors.UnknownNameError: no model is named 'resnet81'; nearest: resnet18; see the list
    """
    names = list(known)
    if name in names:
        return
    near = get_close_matches(name, names, n=3)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise UnknownNameError(f"no {kind} is named {name!r}{hint}; {remedy}")
