"""The chapter for the manuscript: methods, limitations and references to paste, what is missing, and checklists."""

from __future__ import annotations

import pandas as pd

from tailscope.report.bibliography import BIBLIOGRAPHY
from tailscope.report.blocks import Block, Listing, Paragraph, Section
from tailscope.report.checklist import checklist_tables
from tailscope.report.content import ReportContent
from tailscope.report.limitations import limitations
from tailscope.report.methods_text import MethodsText, methods_text
from tailscope.report.not_estimable import not_estimable_block
from tailscope.report.references import bibtex

_GUIDELINES = ("tejani2024", "collins2024")


def manuscript_section(content: ReportContent, cross_checks: pd.DataFrame | None = None) -> Section:
    """Text to paste, generated from what was done; without scripts it can be selected and copied.

    Args:
        content: All inputs of the page.
        cross_checks: Of the differences in AUROC by other methods; see
            :func:`tailscope.report.methods_statistics.statistics_sentences`.
    """
    methods, limits = methods_text(content, cross_checks), limitations(content)
    guidelines = [BIBLIOGRAPHY[key] for key in _GUIDELINES]
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Written by a program from the configuration, the provenance and the results of this experiment, so "
            "that what was not done is not mentioned. Check it, shorten it, and add what no artifact knows: setting, "
            "ethics, funding, and what it means for patients."
        ),
        *map(Paragraph, methods.paragraphs),
        *([Listing(limits, "bullets", "Limitations")] if limits else []),
        *([Listing(_listed(methods), "bullets", "References")] if methods.references else []),
        Listing((plain_text(methods, limits),), "typed", "All of it as plain text, to copy"),
        *([Listing((bibtex(methods.references),), "typed", "References as BibTeX")] if methods.references else []),
        not_estimable_block(content),
        *checklist_tables(content),
        Listing(tuple(guideline.text for guideline in guidelines), "folded", "The guidelines"),
    )
    return Section("methods", "For the manuscript", blocks)


def plain_text(methods: MethodsText, limits: tuple[str, ...]) -> str:
    r"""Methods, limitations and numbered references as one text.

    Example:
        >>> plain_text(MethodsText(("We did this.",), ()), ("There is one seed.",)).split("\n\n")
        ['Methods', 'We did this.', 'Limitations', 'There is one seed.']
    """
    parts = ["Methods", *methods.paragraphs, *(("Limitations", " ".join(limits)) if limits else ())]
    references = "\n".join(_listed(methods))
    return "\n\n".join([*parts, *(("References", references) if references else ())])


def _listed(methods: MethodsText) -> tuple[str, ...]:
    return tuple(f"[{number}] {reference.text}" for number, reference in enumerate(methods.references, start=1))
