"""What does the reader see?

One HTML file that works offline and in print: what was found in three sentences, data, treatments and their audit,
performance, alignment, units, hidden differences, a gallery, provenance. Comes in: :class:`ReportContent`, tables of
plain numbers and pseudonymised images. Goes out: the page, and the three sentences. May import: core; no torch.
"""

from tailscope.report.content import GalleryCase, GalleryView, ReportContent
from tailscope.report.page import render, write_report
from tailscope.report.representation_tables import RepresentationTables
from tailscope.report.summary import three_sentences
from tailscope.report.unit_pictures import UnitCardPicture

__all__ = [
    "GalleryCase",
    "GalleryView",
    "ReportContent",
    "RepresentationTables",
    "UnitCardPicture",
    "render",
    "three_sentences",
    "write_report",
]
