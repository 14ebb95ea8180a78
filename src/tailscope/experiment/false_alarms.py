"""The second control against control (A/A): they differ in their seeds alone, so every difference found is false."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tailscope.stats import ComparisonSettings, MetricSamples, compare, hidden_differences

FALSE_ALARM_COLUMNS = (
    "lens", "metric", "class", "group", "arm", "control", "n", "patients", "seeds", "difference", "lo", "hi", "se",
    "p", "p_adjusted", "verdict", "kind", "reason", "primary",
)  # fmt: skip
_PLACE = ["lens", "metric", "class", "group", "arm"]


def false_alarm_table(
    samples: list[MetricSamples], settings: ComparisonSettings, unsound: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What the comparison says of an arm that is control again.

    The two arms are a comparison of their own: the second control takes no part in the treatments' families, in their
    floor, or in their pooled seed variance, and no treatment takes part in its. So its rate of verdicts is that of the
    same statistics with one treatment; a family of T treatments is adjusted more strictly.

    Args:
        samples: One entry per (lens, metric, class), arms control and the second control; none without one.
        settings: The frozen plan.
        unsound: Primary metrics whose instrument failed its checks, with the reason.

    Returns:
        One row per lens, metric and class, columns :data:`FALSE_ALARM_COLUMNS`; ``kind`` as in
        :func:`tailscope.stats.hidden_differences`, empty where that reports nothing.

    Source: METHODS section 7, A/A arm.

    Example:
        >>> false_alarm_table([], ComparisonSettings()).empty
        True
    """
    findings = compare(samples, settings)
    hidden = hidden_differences(findings, settings, unsound)[[*_PLACE, "kind"]]
    table = findings.merge(hidden, on=_PLACE, how="left")
    table["kind"] = table["kind"].fillna("")
    return table[list(FALSE_ALARM_COLUMNS)]
