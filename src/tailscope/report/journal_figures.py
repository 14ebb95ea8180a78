"""The charts of a page as vector figures that stand alone, at the column widths of journals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import vl_convert

from tailscope.core import InputError
from tailscope.report.blocks import Figure, Section

SINGLE_COLUMN_MM, DOUBLE_COLUMN_MM = 89.0, 183.0  # the two widths of Nature's and many other journals' pages
_SINGLE_AT_MOST = 420.0  # px; a wider chart would have type below 6 pt in one column
_POINTS_PER_MM = 72 / 25.4
_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_SIZE = re.compile(r'\b(width|height)="([0-9.]+)(?:px)?"')


@dataclass(frozen=True)
class JournalFigure:
    """One chart of the page.

    Args:
        name: Of its files, without ending: number and section.
        caption: What stands below it on the page.
        svg: The drawing, with its size in millimetres.
        width_mm: How wide it is.
    """

    name: str
    caption: str
    svg: str
    width_mm: float

    def pdf(self) -> bytes:
        """The drawing as PDF of the same width, its type still type."""
        in_points = _resized(self.svg, self.width_mm * _POINTS_PER_MM, "")
        return bytes(vl_convert.svg_to_pdf(in_points))


def journal_figures(sections: Sequence[Section]) -> tuple[JournalFigure, ...]:
    """Every chart of the numbered sections of a page, narrow ones for one column and wide ones for two.

    A figure of several drawings gives a file for each, with a number of its own. Pictures of images are no charts and
    stay out.

    Returns:
        The figures in the order of the page.
    """
    return tuple(one for section in sections for one in _of_section(section))


def _of_section(section: Section) -> Iterator[JournalFigure]:
    for block in section.blocks:
        if not isinstance(block, Figure):
            continue
        drawings = [drawing for drawing in _DRAWING.findall(str(block.picture)) if "<image" not in drawing]
        for number, drawing in enumerate(drawings, start=1):
            part = f".{number:02d}" if len(drawings) > 1 else ""
            name = f"figure-{block.number:02d}{part}-{section.name}"
            width_mm = SINGLE_COLUMN_MM if _size(drawing)[0] <= _SINGLE_AT_MOST else DOUBLE_COLUMN_MM
            yield JournalFigure(name, block.caption, _resized(_alone(drawing), width_mm, "mm"), width_mm)


def _alone(drawing: str) -> str:
    """The drawing with the namespace that it needs outside a page."""
    return drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def _size(drawing: str) -> tuple[float, float]:
    """Width and height as its view box has them, or as stated."""
    start = drawing[: drawing.index(">")]
    if box := re.search(r'viewBox="[0-9.-]+ [0-9.-]+ ([0-9.]+) ([0-9.]+)"', start):
        return float(box[1]), float(box[2])
    found = {name: float(value) for name, value in _SIZE.findall(start)}
    if set(found) != {"width", "height"}:
        raise InputError(f"a drawing must state its view box or its size; got {start[:120]!r}")
    return found["width"], found["height"]


def _resized(drawing: str, width: float, unit: str) -> str:
    """The drawing that wide, its height in proportion."""
    across, down = _size(drawing)
    end = drawing.index(">")
    start = re.sub(r'\s(width|height)="[^"]*"', "", drawing[:end])
    if "viewBox" not in start:
        start += f' viewBox="0 0 {across:g} {down:g}"'
    return f'{start} width="{width:g}{unit}" height="{width * down / across:.2f}{unit}"{drawing[end:]}'
