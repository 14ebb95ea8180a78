"""What was found, in sentences that are linked to their evidence and never say more than the statistics do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from tailscope.report.claims import Claim, Claims, Part, claim, claims_block, enumerated, folded_claims, parts_of
from tailscope.report.compared import COLUMNS, Compared, compared, is_primary
from tailscope.report.content import ReportContent
from tailscope.report.frames import AGGREGATES, ESTIMATE_COLUMNS, GROUPS, filled, float_of, rows_of, text_of
from tailscope.report.hidden_claims import CANDIDATE, HIDDEN, NOT_COUNTED, hidden_claim, short
from tailscope.report.numbers import decimal, interval, listed, plural
from tailscope.report.selection import by_class
from tailscope.report.summary import tally, verdict_kind, why_not_compared
from tailscope.report.telling import item, largest_first
from tailscope.report.undecided import deciding_claim, undecided_by_metric, undecided_claim
from tailscope.report.words import metric_name

Rows = list[dict[str, Any]]

MOST_SEEN = 8
_MOST_NAMED = 3
_NOT_NONE = ", which does not show that there is none."


def headline(content: ReportContent, false_alarms: pd.DataFrame | None = None) -> tuple[Claim, ...]:
    """At most eight sentences: hidden differences, AUROC and AP, lenses, what stays undecided, what would decide it.

    Args:
        content: All inputs of the page.
        false_alarms: What the comparison says of a second control: the columns of ``findings``, and ``kind``.

    Example:
        >>> one = ReportContent(name="demo", created="", version="", arms=("control",), seeds=(0,))
        >>> [each.text for each in headline(one)]
        ['Not compared: there is only one arm (control).']
    """
    why = why_not_compared(content.arms, content.seeds)
    found = compared(content)
    if len(content.arms) < 2 or len(content.seeds) < 2:
        return (claim("Not compared", f"{why}."),)
    others = [
        *([claim("No verdicts", f"{why}.")] if why else []),
        *_candidates(found),
        _performance(found),
        _lenses(found),
        *undecided_claim(found),
        *deciding_claim(found),
        *false_alarm_claim(false_alarms),
    ]
    return (*_hidden(found, content, max(1, MOST_SEEN - len(others))), *others)


def claims_of(content: ReportContent, false_alarms: pd.DataFrame | None = None) -> tuple[Claims, ...]:
    """The sentences that are seen at once, and all findings by arm and class group, folded."""
    found = compared(content)
    blocks = [claims_block(headline(content, false_alarms))]
    if found.rows and len(content.seeds) > 1:
        groups = [(arm, _of_arm(arm, found, content)) for arm in content.arms[1:]]
        groups.append(("What stays undecided", undecided_by_metric(found)))
        folded = folded_claims("Every finding, by arm and class group", groups)
        blocks += [folded] if folded.groups else []
    return tuple(blocks)


def false_alarm_claim(frame: pd.DataFrame | None) -> list[Claim]:
    """How often a second control, which differs in its seeds alone, is said to differ from control."""
    rows = [
        row
        for row in rows_of(filled(frame, (*COLUMNS, "kind")))
        if text_of(row["class"]) not in AGGREGATES and is_primary(row) and verdict_kind(row["verdict"]) != "none"
    ]
    if not rows:
        return []
    false = sum(verdict_kind(row["verdict"]) in {"different", "within"} for row in rows)
    hidden = plural(sum(row["kind"] == HIDDEN for row in rows), HIDDEN)
    told = f"differs from it in {false:,} of {plural(len(rows), 'comparison')} by verdict, with {hidden}"
    return [claim("False alarms", Part("a second control", "hidden"), f" on other seeds {told}; all would be false.")]


def _hidden(found: Compared, content: ReportContent, limit: int) -> list[Claim]:
    rows = found.of_kind(HIDDEN)
    if not rows:
        return [claim("Hidden differences", "none is ", Part("established", "hidden"), _NOT_NONE)]
    shown = rows[: limit if len(rows) <= limit else max(1, limit - 1)]
    claims = [hidden_claim(row, found, len(content.seeds)) for row in shown]
    rest = rows[len(shown) :]
    if rest and limit > 1:
        named = enumerated([short(row) for row in rest], _MOST_NAMED, Part("more", "hidden"))
        claims.append(claim(f"{plural(len(rest), 'further hidden difference')}", named, "."))
    elif rest:
        more = Part(f"{len(rest)} more below", "hidden")
        claims[-1] = replace(claims[-1], parts=parts_of(claims[-1].parts, " (", more, ")"))
    return claims


def _candidates(found: Compared) -> list[Claim]:
    """Candidates, and what an unsound instrument saw, in one sentence."""
    candidates, unsound = found.of_kind(CANDIDATE), found.of_kind(NOT_COUNTED)
    parts: list[Part] = []
    if candidates:
        named = enumerated([short(row) for row in candidates], _MOST_NAMED, Part("more", "hidden"))
        parts += parts_of(f"{plural(len(candidates), 'candidate')} for a hidden difference, not established: ", named)
    if unsound:
        told = plural(len(unsound), "further difference is", "further differences are")
        parts += parts_of("; " if parts else "", f"{told} not counted, because the attribution method ")
        parts += parts_of(Part("failed a check", "instrument"))
    return [claim("Candidates" if candidates else "Not counted", parts, ".")] if parts else []


def _performance(found: Compared) -> Claim:
    return _differences("AUROC and AP", found.performance, found.performance, "AUROC or AP", "performance")


def _lenses(found: Compared) -> Claim:
    told = (HIDDEN, NOT_COUNTED)
    names = dict.fromkeys(metric_name(text_of(row["metric"])) for row in found.lenses)
    further = "a lens" if not found.of_kind(HIDDEN) else "a lens beyond the hidden ones"
    label = f"Lenses ({listed(list(names), limit=4)})" if names else "Lenses"
    return _differences(label, found.beside(told), found.lenses, further, "alignment")


def _differences(label: str, rows: Rows, every: Rows, where: str, place: str) -> Claim:
    """The differences of some findings, the largest first, and the verdicts of all of them."""
    if not every:
        return claim(label, f"nothing is compared, because no comparison of {where} was handed to the report.")
    sure = largest_first([row for row in rows if verdict_kind(row["verdict"]) == "different"])
    signs = largest_first([row for row in rows if verdict_kind(row["verdict"]) == "candidate"])
    if sure:
        named = enumerated([item(row) for row in sure], _MOST_NAMED, Part("more", place))
        start = parts_of(f"{plural(len(sure), 'difference')} from control: ", named)
    elif signs:
        named = enumerated([item(row) for row in signs], _MOST_NAMED, Part("more", place))
        start = parts_of(f"{plural(len(signs), 'candidate')}, not established: ", named)
    else:
        start = parts_of(f"no difference from control in {where} is established")
    return claim(label, start, f". Of {tally(every)}.")


def _of_arm(arm: str, found: Compared, content: ReportContent) -> list[Claim]:
    """All that was found of one arm: hidden first, then by class group, then its verdicts counted."""
    listed_rows = [row for kind in (HIDDEN, CANDIDATE) for row in found.of_kind(kind) if row["arm"] == arm]
    claims = [hidden_claim(row, found, len(content.seeds)) for row in listed_rows]
    mine = [row for row in found.rows if row["arm"] == arm]
    for group in dict.fromkeys((*GROUPS, *(text_of(row["group"]) for row in mine))):
        rows = [row for row in mine if text_of(row["group"]) == group and _is_told(row)]
        if rows:
            items = [item(row, names_arm=False) for row in rows]
            label = f"{group.capitalize()} classes" if group else "Classes"
            claims.append(claim(label, enumerated(items, len(items), Part("")), "."))
    return [*claims, claim("In all", f"{tally(mine)}.")] if mine else claims


def _is_told(row: dict[str, Any]) -> bool:
    return verdict_kind(row["verdict"]) in {"different", "within", "candidate"}


def setting(content: ReportContent) -> str:
    """What the findings rest on, in one sentence, with control's macro AUROC where it is known.

    Example:
        >>> setting(ReportContent(name="demo", created="", version="", arms=("control",), seeds=(0, 1, 2)))
        'On the test images with 3 seeds per arm.'
    """
    classes = {text_of(row["class"]) for row in by_class(content, content.estimates, ESTIMATE_COLUMNS)} - {*AGGREGATES}
    images = plural(content.test_images, "test image") if content.test_images else "the test images"
    of_classes = f" of {plural(len(classes), 'class', 'classes')}" if classes else ""
    return f"On {images}{of_classes} with {plural(len(content.seeds), 'seed')} per arm{_macro(content)}."


def _macro(content: ReportContent) -> str:
    """Control's macro AUROC, and the range of the treatments'."""
    values = {
        text_of(row["arm"]): row
        for row in by_class(content, content.estimates, ESTIMATE_COLUMNS)
        if (row["metric"], row["class"]) == ("auroc", "macro") and math.isfinite(float_of(row["value"]))
    }
    control = values.pop(content.arms[0], None) if content.arms else None
    if control is None:
        return ""
    ends = interval(control["lo"], control["hi"])
    text = f"; macro AUROC is {decimal(control['value'])}{f' {ends}' if ends else ''} for {content.arms[0]}"
    others = sorted(decimal(values[arm]["value"]) for arm in content.arms if arm in values)
    if not others:
        return text
    spread = others[0] if others[0] == others[-1] else f"{others[0]} to {others[-1]}"
    return f"{text} and {spread} for {'the treatments' if len(content.arms) > 2 else content.arms[1]}"
