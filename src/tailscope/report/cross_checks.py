"""Do other methods say the same of AUROC? One paragraph, and the numbers cell by cell."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Notes, Paragraph, Table, figure_cell, not_shown, word
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import decimal, interval, listed, p_value, plural, signed, times
from tailscope.report.page_order import PageOrder, Rows, class_cell
from tailscope.report.summary import verdict_kind

CROSS_CHECK_COLUMNS = (
    "class", "arm", "positives", "difference", "bootstrap_se", "formula", "formula_se", "se_ratio", "permutation_p",
    "p_adjusted", "p_bh", "percentile_lo", "percentile_hi", "verdict", "reason",
)  # fmt: skip

_CLOSE = 0.1  # disagreement of standard errors from which cells are named
_ALPHA = 0.05
_HOW = (
    "AUROC of each arm minus control, checked by methods that share no code with the main test. In brackets the 95 % "
    "percentile interval of the patient bootstrap. SE: standard error over patients, by the bootstrap and by formula "
    "(DeLong with one image per patient, Obuchowski with several); the ratio is 1 where they agree. Permutation: "
    "patients exchange the ranks of the two arms. These three hold the seeds fixed. The p values of Holm and of "
    "Benjamini–Hochberg (BH) are the main test's, which knows seed noise too: a small p of the permutation test beside "
    "an undecided verdict is no contradiction."
)


def cross_check_blocks(checks: pd.DataFrame | None, order: PageOrder) -> tuple[Block, ...]:
    """How far the checks agree, in sentences, and a folded table of all cells.

    Args:
        checks: Per class and arm: difference, bootstrap_se, formula, formula_se, se_ratio, permutation_p, p_adjusted,
            p_bh, percentile_lo, percentile_hi, verdict, positives (patients), reason.
        order: Of classes and arms.
    """
    rows = order.rows(checks, CROSS_CHECK_COLUMNS)
    if not rows:
        return (not_shown("no difference in AUROC was checked by another method"),)
    told = (_errors(rows), _reversed(rows), _discoveries(rows))
    return Paragraph(" ".join(filter(None, told))), _table(rows)


def _errors(rows: Rows) -> str:
    """The largest disagreement of the two standard errors."""
    known = [row for row in rows if math.isfinite(float_of(row["se_ratio"]))]
    if not known:
        return "In no cell could the standard error of the AUROC difference be compared with that of a formula."
    names = " or ".join(dict.fromkeys(f"{text_of(row['formula'])}'s" for row in known))
    what = f"the standard errors of the AUROC difference by patient bootstrap and by {names} formula agree within"
    worst = max(known, key=_apart)
    if _apart(worst) <= _CLOSE:
        # rounded up, so that "within" is true; 1.03 − 1 is not quite .03
        return f"In {plural(len(known), 'cell')} {what} {max(math.ceil(100 * _apart(worst) - 1e-9), 1)} %."
    close = sum(_apart(row) <= _CLOSE for row in known)
    patients = plural(round(float_of(worst["positives"])), "positive patient")
    return (
        f"In {close} of {plural(len(known), 'cell')} {what} {round(100 * _CLOSE)} %; the largest disagreement is "
        f"{times(worst['se_ratio'])} for {_named(worst)} ({patients})."
    )


def _apart(row: dict[str, Any]) -> float:
    return abs(float_of(row["se_ratio"]) - 1)


def _named(row: dict[str, Any]) -> str:
    return f"{text_of(row['class'])} under {text_of(row['arm'])}"


def _reversed(rows: Rows) -> str:
    """Verdicts of a difference that a check does not bear out; a check without a number bears out nothing."""
    differ = [row for row in rows if verdict_kind(row["verdict"]) in {"different", "within"}]
    if not differ:
        return "No verdict on AUROC says that an arm differs, so there is none to reverse."
    permuted = [row for row in differ if not float_of(row["permutation_p"]) < _ALPHA]
    inside = [row for row in differ if not float_of(row["percentile_lo"]) * float_of(row["percentile_hi"]) > 0]
    of = "the only verdict" if len(differ) == 1 else f"{len(differ)} verdicts"
    return (
        f"Of {of} that an arm differs in AUROC, the permutation test reverses {_counted(permuted)} and the percentile "
        f"interval {_counted(inside)}."
    )


def _counted(rows: Rows) -> str:
    return f"{len(rows)} ({listed([_named(row) for row in rows])})" if rows else "none"


def _discoveries(rows: Rows) -> str:
    """What a milder adjustment would have said."""
    holm, milder = (
        sum(float_of(row[column]) < _ALPHA for row in rows if math.isfinite(float_of(row["p_bh"])))
        for column in ("p_adjusted", "p_bh")
    )
    if not any(math.isfinite(float_of(row["p_bh"])) for row in rows):
        return ""
    return (
        f"Adjusted by Benjamini–Hochberg instead of Holm, {plural(milder, 'difference')} would have p below {_ALPHA}; "
        f"by Holm {holm if holm else 'none'} {'have' if holm > 1 else 'has'}."
    )


def _table(rows: Rows) -> Table:
    notes = Notes()
    lines = tuple(
        (
            class_cell(text_of(row["class"])),
            word(row["arm"]),
            figure_cell(
                signed(row["difference"]),
                row["difference"],
                row["reason"],
                notes,
                detail=interval(row["percentile_lo"], row["percentile_hi"], is_difference=True),
            ),
            figure_cell(decimal(row["bootstrap_se"], 4), row["bootstrap_se"], row["reason"], notes),
            figure_cell(decimal(row["formula_se"], 4), row["formula_se"], row["reason"], notes),
            figure_cell(times(row["se_ratio"]), row["se_ratio"], row["reason"], notes),
            *(
                figure_cell(p_value(row[column]), row[column], row["reason"], notes)
                for column in ("permutation_p", "p_adjusted", "p_bh")
            ),
            word(row["verdict"]),
        )
        for row in rows
    )
    return Table(
        _HOW,
        ("class", "arm", "difference", "SE, bootstrap", "SE, formula", "ratio", "p, permutation", "p, Holm", "p, BH",
         "verdict"),
        lines,
        title="AUROC by other methods",
        is_open=False,
        notes=notes.lines(),
        is_dense=True,
    )  # fmt: skip
