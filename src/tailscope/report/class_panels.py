"""Small panels, one per class: which stand open, which fold, and how they lie beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
from markupsafe import Markup

from tailscope.report.drawing import Rows, arm_legend, inline, line_encodings
from tailscope.report.folding import folded
from tailscope.report.frames import GROUPS, text_of
from tailscope.report.numbers import listed
from tailscope.report.page_order import PageOrder, names_in

ACROSS = 4
PANEL = 160  # px of a side
_LABEL = 11
_TURNED: dict[str, Any] = {"labelAngle": -90, "labelAnchor": "middle", "labelFontSize": _LABEL}


def first_of_each_group(rows: Rows) -> tuple[str, ...]:
    """The most frequent class of head, medium and tail, then the rarest of all others, until there are four.

    Args:
        rows: class, group; classes from head to tail.

    Example:
        >>> groups = {"a": "head", "b": "head", "c": "medium", "d": "tail", "e": "tail", "f": "tail"}
        >>> first_of_each_group([{"class": name, "group": group} for name, group in groups.items()])
        ('a', 'c', 'd', 'f')
    """
    groups = {text_of(row["class"]): text_of(row["group"]) for row in rows}
    names = names_in(rows, "class")
    leaders = [next((name for name in names if groups[name] == group), "") for group in GROUPS]
    return tuple(dict.fromkeys(name for name in (*leaders, *reversed(names)) if name))[:ACROSS]


def paged(rows: Rows, first: tuple[str, ...], drawn: Callable[[tuple[str, ...]], Markup]) -> Markup:
    """The panels of some classes, and those of the others folded below, four at a time.

    Args:
        rows: class; classes from head to tail.
        first: Up to four classes that stand open; the first four where empty.
        drawn: Classes to their picture.
    """
    names = names_in(rows, "class")
    shown = tuple(name for name in names if name in first)[:ACROSS] or names[:ACROSS]
    others = [name for name in names if name not in shown]
    pages = [tuple(others[at : at + ACROSS]) for at in range(0, len(others), ACROSS)]
    more = (folded(f"The same for {listed(list(page), limit=ACROSS)}", drawn(page)) for page in pages)
    return drawn(shown) + Markup("").join(more)


def panels(layers: list[Any], rows: Rows, names: tuple[str, ...], versions: tuple[str, ...] = ("",)) -> Any:
    """One panel per class (across) and version (down), from one set of rows: many charts of one would draw slowly.

    Args:
        layers: Charts without data, each with a filter of its own.
        rows: class, version and what the layers read.
        names: Classes from left to right.
        versions: From top to bottom.
    """
    style: dict[str, Any] = {"labelAnchor": "start", "labelFontSize": _LABEL, "labelLimit": PANEL, "labelPadding": 4}
    across = alt.Column("class:N", sort=list(names), title=None, header=alt.Header(**style))
    down = alt.Row("version:N", sort=list(versions), title=None, header=alt.Header(labelOrient="left", **_TURNED))
    panel = alt.layer(*layers, data=inline(rows)).properties(width=PANEL, height=PANEL)
    return panel.facet(column=across, row=down if len(versions) > 1 else alt.Undefined, spacing=16)


def line_looks(order: PageOrder) -> tuple[Any, Any]:
    """Colour and dash of the arms, with full colour in the legend whatever the panel does to its marks."""
    legend = arm_legend(list(order.arms), symbolType="stroke", symbolSize=180, symbolStrokeWidth=2, symbolOpacity=1)
    colour, dashes = (encoding.legend(legend) for encoding in line_encodings(order.arms))
    return colour, dashes
