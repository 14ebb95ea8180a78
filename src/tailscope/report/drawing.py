"""What all charts share: colours and shapes of arms, sizes of type, and the way to inline SVG."""

from __future__ import annotations

import re
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

# Okabe and Ito (yellow darkened), then three of Tol's muted colours: apart for the common kinds of colour blindness.
COLOURS = (
    "#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#882255", "#999933", "#6A3D9A",
)  # fmt: skip
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left",
)  # fmt: skip
SPARSE = alt.Axis(tickCount=6, labelFlush=False, labelOverlap="greedy")
WIDTH = 760

_DASHES = ([1, 0], [5, 3], [1.5, 2.5])
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
_CONFIG = {
    "aria": False,
    "font": _FONT,
    "axis": {
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridColor": "#e4e4e4",
        "domainColor": "#555", "tickColor": "#555", "labelLimit": 260,
    },
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "labelLimit": 320, "symbolSize": 60},
    "header": {"labelFontSize": 11},
    "title": {"fontSize": 12, "fontWeight": "bold", "anchor": "start"},
    "view": {"stroke": None},
}  # fmt: skip
_LETTER, _SYMBOL = 6.0, 34  # px of a letter at 11 px, and of a symbol with the gaps around it

Rows = list[dict[str, Any]]


def look(number: int) -> tuple[str, str]:
    """Colour and shape of arm ``number``: 63 different pairs for treatments, and one that only control has.

    >>> look(0), look(1)
    (('#222222', 'circle'), ('#0072B2', 'square'))
    """
    if number == 0:
        return COLOURS[0], SHAPES[0]
    return COLOURS[1 + (number - 1) % (len(COLOURS) - 1)], SHAPES[1 + (number - 1) % (len(SHAPES) - 1)]


def dash(number: int) -> list[float]:
    """Dash of the line of arm ``number``: another one for each round of colours, as lines have no shape.

    >>> dash(0), dash(9), dash(10)
    ([1, 0], [1, 0], [5, 3])
    """
    return list(_DASHES[max(number - 1, 0) // (len(COLOURS) - 1) % len(_DASHES)])


def arm_encodings(arms: tuple[str, ...], shown: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Colour and shape of arms: both, so that neither alone carries the meaning.

    Args:
        arms: All arms of the page, control first: an arm looks alike in every chart.
        shown: Those in the legend; all where empty.
    """
    names = list(shown or arms)
    looks = [look(arms.index(name)) for name in names]
    colours, shapes = [colour for colour, _ in looks], [shape for _, shape in looks]
    legend = arm_legend(names)
    return (
        alt.Color("arm:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=colours)),
        alt.Shape("arm:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=shapes)),
    )


def line_encodings(arms: tuple[str, ...]) -> tuple[Any, Any]:
    """Colour and dash of the lines of arms."""
    names, numbers = list(arms), range(len(arms))
    colours, dashes = [look(number)[0] for number in numbers], [dash(number) for number in numbers]
    legend = arm_legend(names, symbolType="stroke", symbolSize=180, symbolStrokeWidth=2)
    return (
        alt.Color("arm:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=colours)),
        alt.StrokeDash("arm:N", title=None, legend=legend, scale=alt.Scale(domain=names, range=dashes)),
    )


def arm_legend(names: list[str], **symbols: Any) -> Any:
    """A legend above the chart with as many columns as its names leave room for."""
    return alt.Legend(orient="top", direction="horizontal", columns=legend_columns(names), **symbols)


def legend_columns(names: list[str], width: float = WIDTH) -> int:
    """Most columns, up to six, whose widest names fit beside each other.

    >>> legend_columns(["control", "focal"] * 6), legend_columns(["x" * 50] * 12)
    (6, 2)
    """
    for columns in range(6, 1, -1):
        needed = sum(_SYMBOL + _LETTER * max(map(len, names[at::columns]), default=0) for at in range(columns))
        if needed <= width:
            return columns
    return 1


def inline(values: Rows) -> Any:
    """Rows as the data of a chart."""
    return alt.InlineData(values=values)


def svg(chart: Any, label: str) -> Markup:
    """Draw, drop the namespaces that HTML does not need, and name the picture for screen readers."""
    spec = chart.configure(**_CONFIG).to_dict()
    drawn = vl_convert.vegalite_to_svg(spec)
    bare = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn)
    return Markup(bare.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))
