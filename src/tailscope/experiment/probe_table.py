"""Probes beside the trained heads: AUROC of every arm, differences from control, and what they say."""

from __future__ import annotations

import pandas as pd

from tailscope.representation import (
    HEAD_METRIC,
    PROBE_METRIC,
    REPRESENTATION_VERDICT_COLUMNS,
    representation_verdicts,
)

_KEYS = ["arm", "class", "group"]
PROBE_TABLE_COLUMNS = (
    *_KEYS, "probe_auroc", "probe_lo", "probe_hi", "head_auroc", "head_lo", "head_hi",
    *(name for name in REPRESENTATION_VERDICT_COLUMNS if name not in _KEYS), "reason",
)  # fmt: skip


def probe_table(findings: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """One row per arm and class or mean over classes, control's without a verdict.

    Args:
        findings: From :func:`tailscope.stats.compare`.
        estimates: lens, metric, class, group, arm, value, lo, hi, reason.

    Returns:
        Columns :data:`PROBE_TABLE_COLUMNS`, in the order of the estimates of the probes; empty without probes.
    """
    probes = _values(estimates, "representation", PROBE_METRIC, "probe")
    heads = _values(estimates, "performance", HEAD_METRIC, "head").drop(columns="reason")
    verdicts = representation_verdicts(findings)
    means = verdicts["class"] == verdicts["group"]
    # These stand in a list, apart from the table that says whose they are.
    verdicts.loc[means, "sentence"] = [
        f"{arm}, {'all classes' if group == 'macro' else group}: {sentence[:1].lower()}{sentence[1:]}"
        for arm, group, sentence in verdicts.loc[means, ["arm", "group", "sentence"]].itertuples(index=False)
    ]
    table = probes.merge(heads, on=_KEYS, how="left").merge(verdicts, on=_KEYS, how="left")
    told = {"verdict": "", "sentence": "", "reason": ""}
    return table.fillna(told)[list(PROBE_TABLE_COLUMNS)]


def _values(estimates: pd.DataFrame, lens: str, metric: str, name: str) -> pd.DataFrame:
    chosen = estimates[(estimates["lens"] == lens) & (estimates["metric"] == metric)]
    renamed = {"value": f"{name}_auroc", "lo": f"{name}_lo", "hi": f"{name}_hi"}
    return chosen[[*_KEYS, *renamed, "reason"]].rename(columns=renamed)
