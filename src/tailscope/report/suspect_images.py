"""One page that shows images which may be one, side by side, for somebody to look at before a split is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from tailscope import __version__
from tailscope.core import write_text
from tailscope.report.blocks import Block, Cell, Paragraph, Section, Table
from tailscope.report.gallery import png_address, png_of
from tailscope.report.numbers import plural

_SIDE = 168


@dataclass(frozen=True)
class SuspectImage:
    """One of the images of a row.

    Args:
        name: Its id.
        where: Its patient and published split, in words.
        pixels: (H, W) or (H, W, 3) uint8; None where it is not shown.
    """

    name: str
    where: str
    pixels: NDArray[Any] | None


@dataclass(frozen=True)
class SuspectRow:
    """Images that may be one.

    Args:
        images: Two or more.
        likeness: Correlation of their details; 1 where the files hold the same.
        splits: Whether they stand in two published splits.
        differing: Classes whose labels differ among them, with the states.
    """

    images: tuple[SuspectImage, ...]
    likeness: float
    splits: bool
    differing: tuple[str, ...]


@dataclass(frozen=True)
class SuspectPage:
    """What the page shows.

    Args:
        name: The data set.
        images: How many images were looked at.
        threshold: From which likeness on a pair is shown.
        identical: Groups of images with the same content.
        alike: Pairs of images of different patients that look alike, most alike first.
        left_out: How many further rows are not shown, identical and alike.
    """

    name: str
    images: int
    threshold: float
    identical: tuple[SuspectRow, ...]
    alike: tuple[SuspectRow, ...]
    left_out: tuple[int, int] = (0, 0)


def render_suspects(page: SuspectPage) -> str:
    """The page as HTML text; equal contents give equal text."""
    environment = Environment(
        loader=PackageLoader("tailscope.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    templates = files("tailscope.report").joinpath("templates")
    style = "".join(templates.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "pairs.css"))
    return environment.get_template("pairs.html").render(
        name=page.name, version=__version__, design=_design(page), sections=_sections(page), style=Markup(style)
    )


def write_suspects(path: Path, page: SuspectPage) -> None:
    """Write the page to ``path``, whole or not at all."""
    write_text(path, render_suspects(page))


def _design(page: SuspectPage) -> str:
    groups, pairs = len(page.identical) + page.left_out[0], len(page.alike) + page.left_out[1]
    return (
        f"{plural(page.images, 'image')} · {plural(groups, 'group')} with the same content · {plural(pairs, 'pair')} "
        f"that look alike (likeness {page.threshold:g} or more)"
    )


def _sections(page: SuspectPage) -> tuple[Section, ...]:
    alike = (
        "Likeness is the correlation of the details of two images at 64 × 64 pixels, after wide structures, which all "
        f"images of a kind share, are taken away. Pairs from {page.threshold:g} on are shown, but none of one patient."
    )
    same = "The files hold the same picture, byte for byte."
    return (
        Section("alike", "Images that look alike", _blocks(page.alike, alike, page.left_out[1], 1)),
        Section("identical", "Identical images", _blocks(page.identical, same, page.left_out[0], 2)),
    )


def _blocks(rows: tuple[SuspectRow, ...], caption: str, left_out: int, number: int) -> tuple[Block, ...]:
    if not rows:
        return (Paragraph("None was found.", is_empty_notice=True),)
    cells = tuple(_row(place, row) for place, row in enumerate(rows, 1))
    columns = ("", "images", "likeness", "published splits", "labels that differ")
    more = (Paragraph(f"{left_out} more are not shown."),) if left_out else ()
    return (Table(caption, columns, cells, number=number), *more)


def _row(place: int, row: SuspectRow) -> tuple[Cell, ...]:
    return (
        Cell(str(place), style="number"),
        Cell("", picture=Markup('<span class="together">{}</span>').format(Markup("").join(map(_shown, row.images)))),
        Cell(f"{row.likeness:.3f}", key=repr(row.likeness), style="number"),
        Cell("two" if row.splits else "one or none", style="strong" if row.splits else "text"),
        Cell("; ".join(row.differing) or "none"),
    )


def _shown(image: SuspectImage) -> Markup:
    picture = Markup("")
    if image.pixels is not None:
        address = png_address(png_of(image.pixels, _SIDE))
        picture = Markup('<img src="{}" alt="{}">').format(address, image.name)
    return Markup("<span>{}<b>{}</b><br>{}</span>").format(picture, image.name, image.where)
