"""Put the chapters together and write the page as one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tailscope.core import write_text
from tailscope.report import chapters
from tailscope.report.blocks import Block, Figure, Section, Table
from tailscope.report.content import GalleryCase, ReportContent
from tailscope.report.gallery import montages
from tailscope.report.numbers import decimal, plural, share, signed
from tailscope.report.performance import performance
from tailscope.report.selection import ensemble_names
from tailscope.report.shortcuts import shortcuts
from tailscope.report.soundness import soundness
from tailscope.report.treatments import treatments
from tailscope.report.words import GLOSSARY


@dataclass(frozen=True)
class Seen:
    """One picture of the gallery with the line below it."""

    heading: str
    picture: Markup
    line: str


@dataclass(frozen=True)
class GalleryRow:
    """One case: the plain image, then every arm."""

    heading: str
    seen: tuple[Seen, ...]

    @property
    def columns(self) -> int:
        """Pictures beside each other: all of them up to five, otherwise about half."""
        return len(self.seen) if len(self.seen) <= 5 else -(-len(self.seen) // 2)


def render(content: ReportContent) -> str:
    """The whole page as HTML text; equal contents give equal text.

    Raises:
        InputError: A gallery case has an image or a mask of the wrong kind.
    """
    sections = (
        chapters.summary(content),
        chapters.data(content),
        treatments(content),
        performance(content),
        chapters.alignment(content),
        shortcuts(content),
        soundness(content),
        chapters.units(content),
        chapters.representation(content),
        chapters.hidden(content),
        Section("gallery", "Gallery", ()),
        chapters.provenance(content),
        Section("glossary", "Glossary", ()),
    )
    script = _packaged("report.js")
    environment = Environment(
        loader=PackageLoader("tailscope.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        content=content,
        design=_design(content),
        sections=_numbered(sections),
        gallery=_gallery(content.gallery),
        glossary=GLOSSARY,
        style=Markup(_packaged("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report to ``path``, whole or not at all.

    Raises:
        InputError: A gallery case has an image or a mask of the wrong kind.
    """
    write_text(path, render(content))


def _design(content: ReportContent) -> str:
    """The line below the title: which arms there are and what is compared of them, seeds, test images."""
    first, *others = content.arms
    arms = ", ".join([first if first == "control" else f"{first} (control)", *others])
    parts = [f"{plural(len(content.arms), 'arm')}: {arms}"]
    parts += [f"judged by calibration only: {', '.join(content.calibrated_only)}"] if content.calibrated_only else []
    ensembles = ensemble_names(content)
    parts += [f"ensembles: {', '.join(ensembles)}"] if ensembles else []
    facts = ["; ".join(parts), f"{plural(len(content.seeds), 'seed')} per arm"]
    facts += [plural(content.test_images, "test image")] if content.test_images else []
    return " · ".join(facts)


def _gallery(cases: tuple[GalleryCase, ...]) -> tuple[GalleryRow, ...]:
    rows = []
    for case, montage in zip(cases, montages(cases), strict=True):
        seen = [Seen("image", montage.plain, "outline: annotation")]
        for view, overlay, is_degenerate in zip(case.views, montage.overlays, montage.is_degenerate, strict=True):
            line = f"predicted {decimal(view.probability, 2)}, excess {signed(view.excess, 2)}"
            seen.append(Seen(view.arm, overlay, f"{line}, degenerate map" if is_degenerate else line))
        rows.append(GalleryRow(f"{case.class_name} ({case.group}), {case.pseudonym}, annotated area "
                               f"{share(case.mask.mean())}", tuple(seen)))  # fmt: skip
    return tuple(rows)


def _numbered(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Number tables and figures through the whole page."""
    counts = {"table": 0, "figure": 0}

    def number(block: Block) -> Block:
        if not isinstance(block, (Table, Figure)):
            return block
        counts[block.kind] += 1
        return replace(block, number=counts[block.kind])

    return tuple(replace(section, blocks=tuple(map(number, section.blocks))) for section in sections)


def _packaged(name: str) -> str:
    return files("tailscope.report").joinpath("templates", name).read_text(encoding="utf-8")
