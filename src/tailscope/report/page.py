"""Put the chapters together and write the page as one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tailscope.core import write_text
from tailscope.report import chapters
from tailscope.report.blocks import Block, Figure, Section, Table
from tailscope.report.case_browser import case_browser
from tailscope.report.content import ReportContent
from tailscope.report.elsewhere import elsewhere
from tailscope.report.further_chapters import calibration, standing, subgroups
from tailscope.report.hidden import hidden
from tailscope.report.label_views import label_views
from tailscope.report.manuscript import manuscript_section
from tailscope.report.numbers import plural
from tailscope.report.performance import performance
from tailscope.report.selection import ensemble_names
from tailscope.report.shortcuts import shortcuts
from tailscope.report.soundness import soundness
from tailscope.report.treatments import treatments
from tailscope.report.words import GLOSSARY


def render(content: ReportContent) -> str:
    """The whole page as HTML text; equal contents give equal text.

    Raises:
        InputError: A gallery case has an image or a mask of the wrong kind.
    """
    script = _packaged("report.js") + _packaged("cases.js")
    environment = Environment(
        loader=PackageLoader("tailscope.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        content=content,
        design=_design(content),
        sections=page_sections(content),
        cases=case_browser(content.gallery),
        glossary=GLOSSARY,
        style=Markup(_packaged("report.css") + _packaged("cases.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def page_sections(content: ReportContent) -> tuple[Section, ...]:
    """The chapters of the page in order, tables and figures numbered; gallery and glossary are empty here."""
    sections = (
        chapters.summary(content, content.statistics.false_alarms),
        hidden(content, content.statistics.false_alarms),
        chapters.data(content),
        treatments(content),
        performance(content),
        calibration(content),
        subgroups(content),
        standing(content),
        *label_views(content),
        chapters.alignment(content),
        shortcuts(content),
        soundness(content),
        chapters.units(content),
        chapters.representation(content),
        *elsewhere(content),
        Section("gallery", "Gallery", ()),
        manuscript_section(content, content.statistics.cross_checks),
        chapters.provenance(content),
        Section("glossary", "Glossary", ()),
    )
    return _numbered(sections)


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
    where = f" of {content.tested_on}" if content.tested_on else ""
    facts += [f"{plural(content.test_images, 'test image')}{where}"] if content.test_images else []
    return " · ".join(facts)


def _numbered(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Number tables and figures through the whole page."""
    counts = {"table": 0, "figure": 0}

    def number(block: Block) -> Block:
        if not isinstance(block, (Table, Figure)):
            return block
        counts[block.kind] += 1
        numbered = replace(block, number=counts[block.kind])
        return replace(numbered, picture=_named(numbered)) if isinstance(numbered, Figure) else numbered

    return tuple(replace(section, blocks=tuple(map(number, section.blocks))) for section in sections)


def _named(figure: Figure) -> Markup:
    """The pictures of a figure, each named by its number and described by the caption for those who cannot see it."""
    start = f'<svg role="img" aria-describedby="figure-{figure.number}" aria-label="Figure {figure.number}. '
    return Markup(str(figure.picture).replace('<svg role="img" aria-label="', start))


def _packaged(name: str) -> str:
    return files("tailscope.report").joinpath("templates", name).read_text(encoding="utf-8")
