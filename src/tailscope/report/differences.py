"""The tables of differences that close a chapter, or why there are none."""

from __future__ import annotations

from tailscope.report import tables
from tailscope.report.blocks import Block, not_shown
from tailscope.report.content import ReportContent
from tailscope.report.frames import FINDING_COLUMNS
from tailscope.report.selection import by_class, metrics_of
from tailscope.report.summary import why_not_compared
from tailscope.report.words import PERFORMANCE_METRICS

MOST_OPEN = 80  # rows; a longer table starts folded, so that the next chapter can be found


def difference_tables(content: ReportContent, lenses: set[str], is_open: tuple[str, ...]) -> tuple[Block, ...]:
    """One table per metric of some lenses; those of ``is_open`` start open unless they are long."""
    rows = [row for row in by_class(content, content.findings, FINDING_COLUMNS) if row["lens"] in lenses]
    if not rows:
        why = why_not_compared(content.arms, content.seeds) or "no comparison of this lens was handed over"
        return (not_shown(f"no arm is compared with control here, because {why}"),)
    by_metric = {
        metric: [row for row in rows if row["metric"] == metric]
        for metric in metrics_of(rows, first=PERFORMANCE_METRICS)
    }
    return tuple(
        tables.differences(
            metric,
            mine,
            content.margin if "performance" in lenses else content.lens_margin,
            is_open=metric in is_open and len(mine) <= MOST_OPEN,
        )
        for metric, mine in by_metric.items()
    )
