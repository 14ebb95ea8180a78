"""Hidden differences, candidates and what is not counted, as sentences with their numbers."""

from __future__ import annotations

import math

from tailscope.report.claims import Claim, Part, claim, hidden_anchor, parts_of
from tailscope.report.compared import Compared, cell_of
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import count, plural, signed
from tailscope.report.telling import Row, address, amount, chance, who
from tailscope.report.words import lens_change, metric_name

HIDDEN, CANDIDATE, NOT_VISIBLE, NOT_COUNTED = "hidden difference", "candidate", "not visible", "not counted"


def hidden_claim(row: Row, found: Compared, seeds: int) -> Claim:
    """One hidden difference or candidate: AUROC and AP, what the lens sees, how sure, of how many patients."""
    is_candidate = row["kind"] == CANDIDATE
    sure = chance(row["p"], "unadjusted p") if is_candidate else chance(row["p_adjusted"])
    facts = [sure, text_of(row["reason"]) if is_candidate else "", *_sizes(row, found), plural(seeds, "seed")]
    metric = text_of(row["metric"])
    return claim(
        "Candidate, not established" if is_candidate else "Hidden difference",
        Part(who(row), _place(row)),
        ": ",
        _performance(row, found),
        f", yet {lens_change(metric, float_of(row['difference']))}: {metric_name(metric)} ",
        Part(amount(row), _lens_place(row, found)),
        f" ({'; '.join(fact for fact in facts if fact)}).",
    )


def short(row: Row) -> tuple[Part, ...]:
    """A cell within a longer sentence: who, in which lens metric, by how much.

    >>> row = {"lens": "alignment", "metric": "iou", "class": "mass", "arm": "focal", "difference": -0.1}
    >>> "".join(part.text for part in short(row))
    'focal on mass (IoU −0.100)'
    """
    return parts_of(Part(who(row), _place(row)), f" ({metric_name(text_of(row['metric']))} {amount(row)})")


def decided_by(row: Row, found: Compared) -> tuple[Part, ...]:
    """What would decide a difference that is not visible."""
    needed = float_of(row["positives_needed"])
    judge = found.find(row["class"], row["arm"], "auroc") or {}
    if not math.isfinite(needed):
        return parts_of(Part(who(row), _place(row)), ": more patients alone would not decide, more seeds may")
    now = float_of(judge.get("positives"))
    has = f", it has {count(now)}" if math.isfinite(now) else ""
    return parts_of(Part(who(row), _place(row)), f": about {count(needed)} positive patients{has}")


def _place(row: Row) -> str:
    return hidden_anchor(*cell_of(row))


def _lens_place(row: Row, found: Compared) -> str:
    finding = found.find(row["class"], row["arm"], row["metric"])
    return address(finding) if finding else ""


def _performance(row: Row, found: Compared) -> tuple[Part, ...]:
    """AUROC and AP, each linked to its row, and what both are."""
    auroc = found.find(row["class"], row["arm"], "auroc")
    ap = found.find(row["class"], row["arm"], "average_precision", "ap")
    said = [text_of(judge["verdict"]) for judge in (auroc, ap) if judge]
    same = "are equivalent to control's" if said == ["equivalent"] * 2 else "lie within the margin"
    return parts_of(_judge("AUROC", auroc, row), " and ", _judge("AP", ap, row), f" {same}")


def _judge(name: str, finding: Row | None, row: Row) -> tuple[Part, ...]:
    if finding is None:
        return parts_of(f"{name} {signed(row[f'{name.lower()}_difference'])}")
    return parts_of(f"{name} ", Part(amount(finding), address(finding)))


def _sizes(row: Row, found: Compared) -> list[str]:
    """Positive patients of AUROC, and annotated ones where the lens knows fewer."""
    judge = found.find(row["class"], row["arm"], "auroc") or {}
    lens = found.find(row["class"], row["arm"], row["metric"]) or {}
    positives, seen = float_of(judge.get("positives")), float_of(lens.get("positives"))
    parts = [plural(round(positives), "positive patient")] if math.isfinite(positives) else []
    if math.isfinite(seen) and seen != positives:
        parts.append(f"{count(seen)} of them annotated" if parts else plural(round(seen), "annotated patient"))
    return parts
