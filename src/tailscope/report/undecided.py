"""What stays undecided, and what would decide it: patients, seeds, and the smallest effect that would be found."""

from __future__ import annotations

import math
import re
from statistics import median
from typing import Any

from tailscope.report.claims import Claim, Part, claim, enumerated, parts_of
from tailscope.report.compared import Compared
from tailscope.report.frames import float_of, text_of
from tailscope.report.hidden_claims import NOT_VISIBLE, decided_by
from tailscope.report.numbers import count, decimal, listed, plural
from tailscope.report.selection import metrics_of
from tailscope.report.summary import verdict_kind
from tailscope.report.telling import address
from tailscope.report.words import PERFORMANCE_METRICS, capital, metric_name

Rows = list[dict[str, Any]]

_SECTIONS = {"alignment": "alignment", "dissection": "units", "representation": "representation"}


def undecided_rows(rows: Rows) -> Rows:
    """The findings that show neither a difference nor equivalence."""
    return [row for row in rows if verdict_kind(row["verdict"]) == "undecided"]


def undecided_claim(found: Compared) -> list[Claim]:
    """How much stays undecided and why; nothing where everything is decided."""
    rows = undecided_rows(found.rows)
    if not rows:
        return []
    few = sum(_is_few(row) for row in rows)
    wide = len(rows) - few
    reasons = [f"{few} for too few patients"] if few else []
    reasons += [f"{wide} because the interval allows both a difference and none"] if wide else []
    verb = "stays" if len(rows) == 1 else "stay"
    told = f"{len(rows):,} of {plural(len(found.rows), 'comparison')} {verb} undecided"
    return [claim("Undecided", f"{told}, which does not mean no difference ({'; '.join(reasons)}).")]


def deciding_claim(found: Compared, limit: int = 2) -> list[Claim]:
    """What would decide the undecided: for cells that are not visible, for classes with few patients, and overall."""
    items = [decided_by(row, found) for row in found.of_kind(NOT_VISIBLE)[:limit]]
    rows = undecided_rows(found.rows)
    items += _few_classes(rows, limit)
    wide = [row for row in rows if not _is_few(row)]
    for metric in _metrics(wide):
        if metric in PERFORMANCE_METRICS:
            items += _detectable([row for row in wide if text_of(row["metric"]) == metric])
    items += _shares(wide)
    return [claim("What would decide", enumerated(items, len(items), Part("")), ".")] if items else []


def undecided_by_metric(found: Compared) -> list[Claim]:
    """Each metric with its undecided classes, and what would decide them."""
    claims = [
        claim("Not visible", decided_by(row, found), ". The lens differs while AUROC or AP is undecided.")
        for row in found.of_kind(NOT_VISIBLE)
    ]
    rows = undecided_rows(found.rows)
    for metric in _metrics(rows):
        mine = [row for row in rows if text_of(row["metric"]) == metric]
        items = [*_detectable([row for row in mine if not _is_few(row)]), *(_one(row) for row in mine)]
        label = f"{capital(metric_name(metric))}, {len(mine)} undecided"
        claims.append(claim(label, enumerated(items, len(items), Part("")), "."))
    return claims


def _one(row: dict[str, Any]) -> tuple[Part, ...]:
    """A finding with what it could have shown, or the number of patients that it lacks."""
    name = Part(f"{row['arm']} on {row['class']}", address(row))
    needed, mde = float_of(row["positives_needed"]), float_of(row["mde"])
    if _is_few(row):
        why = _why_few(row)
    elif math.isfinite(needed):
        why = f"about {count(needed)} positive patients would decide"
    else:
        why = f"detectable {decimal(mde)}" if math.isfinite(mde) else ""
    return parts_of(name, f" ({why})" if why else "")


def _few_classes(rows: Rows, limit: int) -> list[tuple[Part, ...]]:
    """Classes with too few patients, once each, in the words of the finding."""
    classes = {text_of(row["class"]): row for row in reversed(rows) if _is_few(row)}
    named = [parts_of(Part(name, address(row)), f" has {_why_few(row)}") for name, row in reversed(classes.items())]
    more = len(named) - limit
    rest = parts_of(f"{plural(more, 'more class', 'more classes')} with too few patients")
    return [*named[:limit], rest] if more > 0 else named


def _detectable(rows: Rows) -> list[tuple[Part, ...]]:
    """The difference that a metric would find four times out of five, in the middle one of its undecided classes."""
    sizes = [float_of(row["mde"]) for row in rows]
    finite = [size for size in sizes if math.isfinite(size)]
    if not finite:
        return []
    place = _SECTIONS.get(text_of(rows[0]["lens"]), "performance")
    metric = Part(capital(metric_name(text_of(rows[0]["metric"]))), place)
    size = decimal(median(finite))
    return [parts_of(metric, f" would show differences of {size} or more (median) four times out of five")]


def _shares(rows: Rows) -> list[tuple[Part, ...]]:
    """Whether seeds or patients make the intervals wide."""
    shares = [float_of(row["seed_share"]) for row in rows]
    finite = [share for share in shares if math.isfinite(share)]
    if not finite:
        return []
    of_seeds = sum(share > 0.5 for share in finite)
    parts = [f"more seeds would help most in {of_seeds}"] if of_seeds else []
    parts += [f"more patients in {len(finite) - of_seeds}"] if of_seeds < len(finite) else []
    text = listed(parts) if of_seeds else f"more patients would help most in {len(finite)}"
    return [parts_of(f"{text} of {plural(len(finite), 'wide interval')}")]


def _is_few(row: dict[str, Any]) -> bool:
    """Whether the verdict names a number of patients."""
    return bool(re.search(r"\d", text_of(row["verdict"])))


def _why_few(row: dict[str, Any]) -> str:
    """How many patients there are, and how many are expected where the finding says so."""
    return text_of(row["reason"]) or text_of(row["verdict"]).removeprefix("undecided (").removesuffix(")")


def _metrics(rows: Rows) -> list[str]:
    return metrics_of(rows, first=PERFORMANCE_METRICS)
