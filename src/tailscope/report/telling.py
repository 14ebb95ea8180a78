"""One difference in words: who differs on which class, by how much, how sure."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.claims import Part, difference_anchor, parts_of
from tailscope.report.compared import cell_of
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import NONE, interval, p_value, signed
from tailscope.report.words import metric_name

Row = dict[str, Any]


def amount(row: Row) -> str:
    """A difference with its 95 % interval, as the tables print them.

    >>> amount({"difference": 0.0312, "lo": 0.01, "hi": 0.05}), amount({"difference": None, "lo": None, "hi": None})
    ('+0.031 [+0.010, +0.050]', '–')
    """
    ends = interval(row.get("lo"), row.get("hi"), is_difference=True)
    return f"{signed(row.get('difference'))} {ends}".strip()


def chance(value: Any, name: str = "Holm p") -> str:
    """A p-value in a sentence, or nothing where there is none.

    >>> chance(1e-6), chance(0.0314), chance(None)
    ('Holm p < 0.001', 'Holm p = 0.031', '')
    """
    text = p_value(value)
    if text == NONE:
        return ""
    return f"{name} < {text[1:]}" if text.startswith("<") else f"{name} = {text}"


def address(row: Row) -> str:
    """Where the row of a finding stands on the page."""
    return difference_anchor(*cell_of(row))


def who(row: Row) -> str:
    """Arm and class.

    >>> who({"arm": "focal", "class": "mass"})
    'focal on mass'
    """
    return f"{text_of(row['arm'])} on {text_of(row['class'])}"


def item(row: Row, *, names_arm: bool = True) -> tuple[Part, ...]:
    """One finding: a link to its row, then metric, amount, direction and adjusted p.

    >>> row = {"lens": "performance", "metric": "auroc", "class": "mass", "arm": "focal", "difference": 0.03,
    ...        "lo": 0.01, "hi": 0.05, "p_adjusted": 0.004, "verdict": "better"}
    >>> "".join(part.text for part in item(row))
    'focal on mass (AUROC +0.030 [+0.010, +0.050], better, Holm p = 0.004)'
    """
    said = text_of(row["verdict"]).removeprefix("candidate: ")
    word = "differs within the margin" if said.startswith("differs") else said
    facts = [f"{metric_name(text_of(row['metric']))} {amount(row)}", word, chance(row["p_adjusted"])]
    told = f" ({', '.join(fact for fact in facts if fact)})"
    return parts_of(Part(who(row) if names_arm else text_of(row["class"]), address(row)), told)


def largest_first(rows: list[Row]) -> list[Row]:
    """The rows by the size of their difference; ties and missing ones as they came."""

    def size(row: Row) -> float:
        number = abs(float_of(row["difference"]))
        return -number if math.isfinite(number) else 0.0

    return sorted(rows, key=size)
