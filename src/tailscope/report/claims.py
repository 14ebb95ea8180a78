"""Sentences that are linked to their evidence, and the places on the page that they link to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from tailscope.report.blocks import Listing, Table

_SENTENCE_STYLE = "claims"


@dataclass(frozen=True)
class Part:
    """A piece of a sentence; with an ``anchor`` it links to that place of the page."""

    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Claim:
    """One sentence on what was found, in parts, below a ``label`` that says of which kind it is.

    Example:
        >>> Claim("Lenses", (Part("focal on mass", "hidden"), Part(" differs."))).text
        'Lenses: focal on mass differs.'
    """

    label: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The sentence without its links."""
        return f"{self.label}: {''.join(part.text for part in self.parts)}"


@dataclass(frozen=True)
class Claims(Listing):
    """Linked sentences: those of ``claims`` are seen at once, those of ``groups`` fold under ``title``, by heading."""

    claims: tuple[Claim, ...] = ()
    groups: tuple[tuple[str, tuple[Claim, ...]], ...] = ()


@dataclass(frozen=True)
class LinkedTable(Table):
    """A table whose rows can be linked to: one of ``anchors`` per row, empty for none."""

    anchors: tuple[str, ...] = ()


def parts_of(*pieces: str | Part | Sequence[Part]) -> tuple[Part, ...]:
    """Texts, parts and runs of parts as one run of parts.

    Example:
        >>> parts_of("seen in ", Part("Performance", "performance"))
        (Part(text='seen in ', anchor=''), Part(text='Performance', anchor='performance'))
    """
    flat: list[Part] = []
    for piece in pieces:
        flat += [Part(piece)] if isinstance(piece, str) else [piece] if isinstance(piece, Part) else piece
    return tuple(flat)


def claim(label: str, *pieces: str | Part | Sequence[Part]) -> Claim:
    """A sentence from texts, parts and runs of parts.

    Example:
        >>> claim("Lenses", "see ", Part("Units", "units"), ".").text
        'Lenses: see Units.'
    """
    return Claim(label, parts_of(*pieces))


def enumerated(items: Sequence[Sequence[Part]], limit: int, rest: Part) -> tuple[Part, ...]:
    """Items of a sentence; those beyond ``limit`` are counted, and ``rest`` links to where they stand.

    Example:
        >>> items = [[Part("a")], [Part("b")], [Part("c")]]
        >>> "".join(part.text for part in enumerated(items, 2, Part("more", "units")))
        'a; b; and 1 more'
    """
    shown = [parts_of(*item) for item in items[:limit]]
    if len(items) > limit:
        shown.append(parts_of("and ", Part(f"{len(items) - limit} {rest.text}", rest.anchor)))
    pieces: list[Part] = []
    for number, item in enumerate(shown):
        pieces += parts_of("; " if number else "", item)
    return tuple(part for part in pieces if part.text)


def claims_block(claims: Sequence[Claim]) -> Claims:
    """Sentences that are seen at once."""
    return Claims(tuple(each.text for each in claims), _SENTENCE_STYLE, claims=tuple(claims))


def folded_claims(title: str, groups: Sequence[tuple[str, Sequence[Claim]]]) -> Claims:
    """Sentences that fold under a title, by heading; groups without a sentence are left out."""
    kept = tuple((heading, tuple(claims)) for heading, claims in groups if claims)
    texts = tuple(each.text for _, claims in kept for each in claims)
    return Claims(texts, _SENTENCE_STYLE, title, groups=kept)


def linked(table: Table, anchors: Sequence[str]) -> LinkedTable:
    """The same table with a place to link to per row."""
    return LinkedTable(**{each.name: getattr(table, each.name) for each in fields(table)}, anchors=tuple(anchors))


def described(table: Table, details: Sequence[str], remark: str) -> Table:
    """The same table with a smaller text below the name of each row, and a caption that ends with ``remark``."""
    rows = tuple((replace(row[0], detail=detail), *row[1:]) for row, detail in zip(table.rows, details, strict=True))
    return replace(table, rows=rows, caption=f"{table.caption} {remark}")


def anchor(*names: str) -> str:
    """The name of a place on the page, from the names of what stands there; different names, different places.

    Letters, digits, dots and underscores stay; where anything else had to go, four bytes of a digest tell names apart.

    Example:
        >>> anchor("auroc", "mass", "focal")
        'auroc-mass-focal'
        >>> anchor("auroc", "mass", "focal γ=2") == anchor("auroc", "mass", "focal γ=3")
        False
    """
    readable = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-") for name in names)
    if all(re.fullmatch(r"[A-Za-z0-9_.]+", name) for name in names):
        return readable
    return f"{readable}-{hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:8]}"


def difference_anchor(lens: str, metric: str, class_name: str, arm: str) -> str:
    """Where the row of one difference stands."""
    return anchor(lens, metric, class_name, arm)


def hidden_anchor(lens: str, metric: str, class_name: str, arm: str) -> str:
    """Where the row of one hidden difference, candidate or invisible difference stands."""
    return anchor("hidden", lens, metric, class_name, arm)
