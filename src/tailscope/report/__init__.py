"""What does the reader see?

One HTML file that works offline, without scripts and in print: what was found in sentences that link to their
evidence, what AUROC and AP do not show, data, treatments and their audit, performance, calibration, subgroups,
alignment, units, features, cases, text for the manuscript. Comes in: :class:`ReportContent`, tables of plain numbers
and pseudonymised images. Goes out: the page, its sentences, tables and figures. May import: core; no torch.
"""

from tailscope.report.content import GalleryCase, GalleryView, ReportContent
from tailscope.report.elsewhere import told_elsewhere
from tailscope.report.findings import headline
from tailscope.report.journal_figures import JournalFigure, journal_figures
from tailscope.report.latex import latex_tables
from tailscope.report.page import page_sections, render, write_report
from tailscope.report.performance_tables import PerformanceTables
from tailscope.report.representation_tables import RepresentationTables
from tailscope.report.statistics_tables import StatisticsTables
from tailscope.report.suspect_images import SuspectImage, SuspectPage, SuspectRow, write_suspects
from tailscope.report.unit_pictures import UnitCardPicture

__all__ = [
    "GalleryCase",
    "GalleryView",
    "JournalFigure",
    "PerformanceTables",
    "ReportContent",
    "RepresentationTables",
    "StatisticsTables",
    "SuspectImage",
    "SuspectPage",
    "SuspectRow",
    "UnitCardPicture",
    "headline",
    "journal_figures",
    "latex_tables",
    "page_sections",
    "render",
    "told_elsewhere",
    "write_report",
    "write_suspects",
]
