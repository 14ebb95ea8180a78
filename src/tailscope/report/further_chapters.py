"""The chapters beyond ranking and lenses: calibration and decisions, subgroups, how the treatments stand."""

from __future__ import annotations

from tailscope.report.blocks import Listing, Section
from tailscope.report.calibration import calibration_blocks
from tailscope.report.content import ReportContent
from tailscope.report.cross_checks import cross_check_blocks
from tailscope.report.decision_curves import decision_blocks
from tailscope.report.frames import rows_of
from tailscope.report.selection import page_order
from tailscope.report.standing import standing_blocks
from tailscope.report.subgroups import subgroup_blocks


def calibration(content: ReportContent) -> Section:
    """Do the probabilities mean what they say, and what would acting on them bring?

    Arms that are judged by calibration alone stand beside the others.
    """
    tables = content.performance
    extra = tuple(arm for arm in content.calibrated_only if arm not in content.arms)
    order = page_order(content, (*content.arms, *extra))
    curves = calibration_blocks(tables.calibration_curves, content.estimates, content.findings, order)
    left = [] if tables.uncorrected is None else rows_of(tables.uncorrected)
    notes = tuple(f"{row['arm']} is not corrected: {row['reason']}." for row in left)
    told = (Listing(notes),) if notes else ()
    decisions = decision_blocks(tables.decision_curves, order)
    return Section("calibration", "Calibration and decisions", (*curves, *told, *decisions))


def subgroups(content: ReportContent) -> Section:
    """Does an arm fail some of the patients?"""
    order = page_order(content)
    blocks = subgroup_blocks(content.performance.subgroups, content.performance.subgroup_gaps, order)
    return Section("subgroups", "Subgroups of patients", blocks)


def standing(content: ReportContent) -> Section:
    """How the treatments stand among each other, what could have been found, and the findings by other methods."""
    tables = content.statistics
    order = page_order(content, tuple(arm for arm in content.arms if arm not in content.identical))
    blocks = standing_blocks(tables.ranks, tables.trends, tables.precision, order)
    checks = cross_check_blocks(tables.cross_checks, order)
    return Section("standing", "How the treatments stand", (*blocks, *checks))
