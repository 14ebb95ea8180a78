from __future__ import annotations

import math

import pytest

from tailscope.report import tables


def row(arm: str, lo: float) -> dict[str, object]:
    numbers = {"value": 0.7, "lo": lo, "hi": lo + 0.1, "n": 50, "reason": ""}
    return {"lens": "performance", "metric": "brier", "class": "mass", "arm": arm, **numbers}


@pytest.mark.parametrize(
    ("lo", "expected", "absent"),
    [(0.6, "two arms do not mean equality", "no interval"), (math.nan, "has no interval", "two arms do not mean")],
)
def test_a_table_speaks_of_intervals_only_where_it_has_some(lo, expected, absent):
    table = tables.estimates("brier", [row("control", lo)], ("mass",), ("control",), is_open=True)
    assert expected in table.caption
    assert absent not in table.caption
