"""References of a manuscript: numbered as they are cited, as a list and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tailscope.core import InputError

_MARKER = re.compile(r"\[@([a-z0-9]+(?:; ?@[a-z0-9]+)*)\]")
_LATEX = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#"})


@dataclass(frozen=True)
class Reference:
    """A published work.

    Args:
        key: Name in markers, lower-case letters and digits.
        authors: "Family A; Family B" with initials; three or more after the last one named are "et al.".
        year: Of publication.
        title: In sentence case.
        venue: Journal with volume and pages, proceedings, or publisher.
        doi: Empty where there is none or it is not known for certain.
        kind: BibTeX type: article, inproceedings, book or misc.
    """

    key: str
    authors: str
    year: int
    title: str
    venue: str
    doi: str = ""
    kind: str = "article"

    @property
    def text(self) -> str:
        """One line of a list of references.

        >>> Reference("holm1979", "Holm S", 1979, "A simple procedure", "Scand J Stat 6").text
        'Holm S. A simple procedure. Scand J Stat 6, 1979.'
        """
        ended = "" if self.title.endswith(("?", "!")) else "."
        authors = self.authors.replace("; ", ", ")
        doi = f" doi:{self.doi}" if self.doi else ""
        return f"{authors}{'' if authors.endswith('.') else '.'} {self.title}{ended} {self.venue}, {self.year}.{doi}"

    @property
    def bibtex(self) -> str:
        r"""One entry of a BibTeX file.

        >>> print(Reference("holm1979", "Holm S; Fall A", 1979, "A & B", "Scand J Stat").bibtex)
        @article{holm1979,
          author = {Holm, S. and Fall, A.},
          title = {{A \& B}},
          journal = {Scand J Stat},
          year = {1979},
        }
        """
        place = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}.get(self.kind, "howpublished")
        fields = {
            "author": " and ".join(_bibtex_name(name) for name in self.authors.split("; ")),
            "title": f"{{{self.title.translate(_LATEX)}}}",
            place: self.venue.translate(_LATEX),
            "year": str(self.year),
            **({"doi": self.doi} if self.doi else {}),
        }
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}}}"


def numbered(texts: Sequence[str], known: Mapping[str, Reference]) -> tuple[tuple[str, ...], tuple[Reference, ...]]:
    """Texts whose markers became numbers in the order of citation, and the references cited, in that order.

    Args:
        texts: With markers such as ``[@holm1979]`` or ``[@holm1979; @delong1988]``.
        known: References by key.

    Returns:
        The texts with ``[1]`` or ``[1, 2]``, and the references; those that no text cites are left out.

    Raises:
        InputError: A marker names no known reference.

    Example:
        >>> known = {"holm1979": Reference("holm1979", "Holm S", 1979, "A simple procedure", "Scand J Stat")}
        >>> numbered(["Holm's method [@holm1979].", "Again [@holm1979]."], known)[0]
        ("Holm's method [1].", 'Again [1].')
    """
    order: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        keys = [key.strip().removeprefix("@") for key in match[1].split(";")]
        for key in keys:
            if key not in known:
                raise InputError(f"a text cites `{key}`, which is no known reference; known: {', '.join(known)}")
            order.setdefault(key, len(order) + 1)
        return f"[{', '.join(map(str, sorted(order[key] for key in keys)))}]"

    told = tuple(_MARKER.sub(number, text) for text in texts)
    return told, tuple(known[key] for key in order)


def marker(keys: Sequence[str]) -> str:
    """The marker of some references with a space before it, or nothing.

    >>> marker(("holm1979", "delong1988")), marker(())
    (' [@holm1979; @delong1988]', '')
    """
    return f" [{'; '.join(f'@{key}' for key in dict.fromkeys(keys))}]" if keys else ""


def bibtex(references: Sequence[Reference]) -> str:
    """All entries of a BibTeX file."""
    return "\n\n".join(reference.bibtex for reference in references)


def _bibtex_name(name: str) -> str:
    """``Family AB`` as ``Family, A. B.``; "et al." as BibTeX's others; a name without initials as it is."""
    if name == "et al.":
        return "others"
    family, _, initials = name.rpartition(" ")
    if not family or not initials.isupper():
        return f"{{{name}}}"
    return f"{family}, {' '.join(f'{letter}.' for letter in initials)}"
