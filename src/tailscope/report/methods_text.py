"""The methods section: what was done, in the past tense, with exact numbers and numbered references."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tailscope.report.bibliography import BIBLIOGRAPHY
from tailscope.report.content import ReportContent
from tailscope.report.methods_data import data_sentences
from tailscope.report.methods_lenses import lens_paragraphs
from tailscope.report.methods_statistics import software_sentences, statistics_sentences
from tailscope.report.methods_training import training_sentences, treatment_sentences
from tailscope.report.references import Reference, numbered


@dataclass(frozen=True)
class MethodsText:
    """A methods section.

    Args:
        paragraphs: With markers such as [1].
        references: In the order of citation; the first is [1].
    """

    paragraphs: tuple[str, ...]
    references: tuple[Reference, ...]


def methods_text(content: ReportContent, cross_checks: pd.DataFrame | None = None) -> MethodsText:
    """Data, network and training, treatments, lenses, statistics, software; what was not done has no sentence.

    Args:
        content: All inputs of the page.
        cross_checks: Of the differences in AUROC by other methods; see
            :func:`tailscope.report.methods_statistics.statistics_sentences`.

    Example:
        >>> methods_text(ReportContent("demo", "", "0.1.0", ("control",), (0,))).paragraphs
        ('Software: tailscope 0.1.0.',)
    """
    found = (
        " ".join(data_sentences(content)),
        " ".join(training_sentences(content)),
        " ".join(treatment_sentences(content)),
        *lens_paragraphs(content),
        " ".join(statistics_sentences(content, cross_checks)),
        " ".join(software_sentences(content)),
    )
    return MethodsText(*numbered([text for text in found if text], BIBLIOGRAPHY))


def methods_paragraphs(content: ReportContent) -> tuple[str, ...]:
    """The paragraphs alone."""
    return methods_text(content).paragraphs
