"""What stands behind the chapter on units: detectors, fractions, causes, cards, changes, epochs."""

from __future__ import annotations

from tailscope.report.blocks import Block
from tailscope.report.causes import cause_blocks
from tailscope.report.concept_changes import change_blocks
from tailscope.report.content import ReportContent
from tailscope.report.detectors import detector_blocks
from tailscope.report.fraction_curves import curve_blocks
from tailscope.report.selection import page_order
from tailscope.report.trajectory import trajectory_blocks
from tailscope.report.unit_cards import card_blocks


def unit_details(content: ReportContent) -> tuple[Block, ...]:
    """Which units detect what, whether that hangs on the fraction, whether the classes depend on them, who they are."""
    order = page_order(content)
    return (
        *detector_blocks(content.detectors, content.unit_layers, order),
        *curve_blocks(content.curve, order),
        *cause_blocks(content.causes, content.cause_intervals, order),
        *card_blocks(content.unit_cards, order),
        *change_blocks(content.changes, order),
        *trajectory_blocks(content.trajectory, content.first_epochs, order),
    )
