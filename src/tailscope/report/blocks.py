"""What a page is made of: sections of paragraphs, tables and figures, ready for the template."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from markupsafe import Markup

from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import NONE

_NOTHING = Markup("")


@dataclass(frozen=True)
class Cell:
    """One table cell.

    Args:
        text: What is printed; escaped by the template.
        key: What the column sorts by; the text where empty.
        detail: A second, smaller part (an interval).
        title: A longer explanation, shown on hover and repeated in the notes.
        note: Letter of the note below the table.
        style: CSS class: number, text, strong or picture.
        picture: Inline SVG made by this package.
    """

    text: str
    key: str = ""
    detail: str = ""
    title: str = ""
    note: str = ""
    style: str = "text"
    picture: Markup = _NOTHING


class Notes:
    """Collects the reasons of missing values and hands out their letters."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, reason: str) -> str:
        """The letter of a reason: a to z, then a2, b2 and so on."""
        number = len(self._letters)
        new = "abcdefghijklmnopqrstuvwxyz"[number % 26] + (str(number // 26 + 1) if number >= 26 else "")
        return self._letters.setdefault(reason, new)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(letter, reason), in the order of appearance."""
        return tuple((letter, reason) for reason, letter in self._letters.items())


@dataclass(frozen=True)
class Table:
    """A table with a caption that says how to read it.

    With a ``title`` it folds, and starts folded unless ``is_open``; ``is_dense`` puts intervals below their values.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    is_open: bool = True
    notes: tuple[tuple[str, str], ...] = ()
    is_dense: bool = False
    number: int = 0


@dataclass(frozen=True)
class Figure:
    """Pictures made by this package, and a caption that says how to read them."""

    kind: ClassVar[str] = "figure"
    caption: str
    picture: Markup
    number: int = 0


@dataclass(frozen=True)
class Paragraph:
    """A sentence or two; ``is_empty_notice`` where it stands for something that could not be shown."""

    kind: ClassVar[str] = "paragraph"
    text: str
    is_empty_notice: bool = False


@dataclass(frozen=True)
class Listing:
    """Items of a list: bullets, or folded away under the title; or typed, text as it is, folded too.

    Bullets may have lines ``below`` them, one tuple per item.
    """

    kind: ClassVar[str] = "listing"
    items: tuple[str, ...]
    style: str = "bullets"
    title: str = ""
    below: tuple[tuple[str, ...], ...] = ()


Block = Table | Figure | Paragraph | Listing


@dataclass(frozen=True)
class Section:
    """One chapter of the page; ``name`` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def not_shown(why: str) -> Paragraph:
    """What is said in the place of something that could not be shown."""
    return Paragraph(f"Not shown: {why}.", is_empty_notice=True)


def word(value: Any, style: str = "text") -> Cell:
    """A cell of text; missing is a dash."""
    return Cell(text_of(value) or NONE, style=style)


def figure_cell(shown: str, value: Any, reason: Any = "", notes: Notes | None = None, *, detail: str = "") -> Cell:
    """A cell of a number that sorts by its value; a missing one carries its reason as a note."""
    number = float_of(value)
    why = text_of(reason)
    if math.isfinite(number):
        return Cell(shown, key=repr(number), detail=detail, style="number")
    letter = notes.letter(why) if why and notes is not None else ""
    return Cell(NONE, title=why, note=letter, style="number")
