"""Pictures that fold: what is long starts closed, and opens in print."""

from __future__ import annotations

from markupsafe import Markup, escape


def folded(title: str, inner: Markup, *, is_open: bool = False) -> Markup:
    """A part of a figure that folds under its title.

    Example:
        >>> str(folded("a < b", Markup("<svg></svg>")))
        '<details><summary>a &lt; b</summary><svg></svg></details>'
    """
    state = " open" if is_open else ""
    return Markup(f"<details{state}><summary>{escape(title)}</summary>{inner}</details>")
