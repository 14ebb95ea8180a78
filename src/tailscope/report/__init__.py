"""What does the reader see?

One HTML file that works offline and in print: what was found in three sentences, data, treatments and their audit,
performance, alignment, units, hidden differences, a gallery, provenance. Comes in: :class:`ReportContent`, tables of
plain numbers and pseudonymised images. Goes out: the page, and the three sentences. May import: core; no torch.
"""

from tailscope.report.content import GalleryCase, GalleryView, ReportContent
from tailscope.report.journal_figures import JournalFigure, journal_figures
from tailscope.report.latex import latex_tables
from tailscope.report.page import page_sections, render, write_report
from tailscope.report.performance_tables import PerformanceTables
from tailscope.report.representation_tables import RepresentationTables
from tailscope.report.statistics_tables import StatisticsTables
from tailscope.report.summary import three_sentences
from tailscope.report.unit_pictures import UnitCardPicture

__all__ = [
    "GalleryCase",
    "GalleryView",
    "JournalFigure",
    "PerformanceTables",
    "ReportContent",
    "RepresentationTables",
    "StatisticsTables",
    "UnitCardPicture",
    "journal_figures",
    "latex_tables",
    "page_sections",
    "render",
    "three_sentences",
    "write_report",
]
