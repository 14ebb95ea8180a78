"""The chapter on the treatments: what each really did, by its audit, and with which settings."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tailscope.report import audit_figures, audit_tables
from tailscope.report.arms import VERDICTS, ArmAudit, Problem, arm_audits
from tailscope.report.blocks import Block, Figure, Listing, Paragraph, Section, not_shown
from tailscope.report.content import ReportContent
from tailscope.report.frames import (
    BALANCE_COLUMNS,
    DRAW_COLUMNS,
    SHARE_COLUMNS,
    filled,
    float_of,
    ranked,
    rows_of,
    text_of,
)
from tailscope.report.identical import identical_blocks
from tailscope.report.numbers import listed, plural
from tailscope.report.selection import by_class, class_names
from tailscope.report.tuning import tuning_blocks

Rows = list[dict[str, Any]]

_ROUNDING = 1e-6
_PHRASES = {"ok": ("is ok", "are ok"), "warning": ("has warnings", "have warnings"), "failed": ("failed", "failed")}


def treatments(content: ReportContent) -> Section:
    """What each arm really did: audit, gradient, draws, what is identical by construction, settings."""
    audits = arm_audits(content.audit, content.arms)
    return Section(
        "treatments",
        "Treatments: what was really done",
        (
            *_audit(audits),
            *_gradient(content),
            *_draws(content),
            *_balance(content),
            *identical_blocks(content, audits),
            *tuning_blocks(content.tuning, content.arms, audits),
        ),
    )


def failed_audits(content: ReportContent) -> tuple[Block, ...]:
    """A line for those who read the first chapter only, if an arm does not do what it says."""
    failed = [audit.arm for audit in arm_audits(content.audit, content.arms) if _has_failed(audit)]
    if not failed:
        return ()
    names = listed(failed, limit=len(failed))
    verb = "does" if len(failed) == 1 else "do"
    return (
        Paragraph(
            f"{names} {verb} not do what the name says: the audit failed (see Treatments). What is said of "
            f"{'this arm' if len(failed) == 1 else 'these arms'} holds for what was really done, not for the method."
        ),
    )


def _has_failed(audit: ArmAudit) -> bool:
    return audit.verdict == "failed" and not audit.weights_from


def _audit(audits: tuple[ArmAudit, ...]) -> tuple[Block, ...]:
    if not audits:
        return (not_shown("no treatment audit was handed over"),)
    failed = tuple(_failure(audit) for audit in audits if _has_failed(audit))
    problems = tuple(
        _problem(audit, problem) for audit in audits if not audit.weights_from for problem in audit.problems
    )
    return (
        Paragraph(_tally(audits)),
        *([Listing(failed, "bullets", "Failed, and trained all the same")] if failed else []),
        audit_tables.arm_table(audits),
        *([Listing(problems, "folded", f"{plural(len(problems), 'check')} did not pass")] if problems else []),
    )


def _tally(audits: tuple[ArmAudit, ...]) -> str:
    """How the audits of trained arms came out, in a sentence.

    An arm that adjusts the logits of another has no training of its own to be audited.
    """
    trained = [audit for audit in audits if not audit.weights_from]
    kinds = Counter(audit.verdict for audit in trained)
    parts = [f"{kinds[kind]} {_PHRASES[kind][kinds[kind] > 1]}" for kind in VERDICTS if kinds[kind]]
    unknown = len(trained) - sum(kinds[kind] for kind in VERDICTS)
    parts += [f"{unknown} without a verdict"] if unknown else []
    return (
        "Every arm is audited before its training and after each epoch: whether it draws, weighs and pulls as its "
        f"name says. Of {plural(len(trained), 'trained arm')}, {listed(parts, limit=4)}."
    )


def _failure(audit: ArmAudit) -> str:
    why = "It went on because the configuration names it" if audit.is_allowed else "It is shown all the same"
    return f"{audit.arm}: {audit.sentence}. {why}: read its results as those of what it did, not of the method."


def _problem(audit: ArmAudit, problem: Problem) -> str:
    many = len(audit.seeds) > 1
    all_seeds = many and len(problem.seeds) == len(audit.seeds)
    seeds = f"seed{'s' if len(problem.seeds) > 1 else ''} {', '.join(map(str, problem.seeds))}"
    where = f" (all seeds; numbers of seed {problem.seeds[0]})" if all_seeds else f" ({seeds})" if many else ""
    return f"{audit.arm}, {problem.check}: {problem.verdict}: {problem.sentence}{where}"


def _gradient(content: ReportContent) -> tuple[Block, ...]:
    rows = rows_of(filled(content.gradient_shares, SHARE_COLUMNS))
    if not rows:
        return (not_shown("no gradient was handed over"),)
    caption = (
        "Who gets the gradient: share of the loss's pull at the logits (summed |∂L/∂x|) that falls to the classes of "
        "each group. Hollow marks are before training, filled marks in the last epoch; means over seeds. The black "
        "tick is the share that control's loss would give on the same logits and images, so the line from tick to "
        "mark is what the loss does: right of the tick it gives the group more than control would. A sampler leaves "
        "the loss alone, and its marks lie on their ticks; what it does stands below. Each panel has its own axis."
    )
    return (Figure(caption, audit_figures.gradient_chart(rows, content.arms)),)


def _draws(content: ReportContent) -> tuple[Block, ...]:
    table = filled(content.draws, DRAW_COLUMNS)
    if table.empty:
        return (not_shown("no draws were handed over"),)
    order = class_names(content)
    rows = rows_of(ranked(ranked(table, "arm", content.arms), "class", order))
    sampling = tuple(arm for arm in content.arms if any(row["arm"] == arm and _is_shifted(row) for row in rows))
    if not sampling:
        return (Paragraph("No arm draws by weight: each shows every class as often as it occurs."),)
    mine = [row for row in rows if row["arm"] in sampling]
    caption = (
        "How often each class is shown: arms that draw by weight, with the first seed. The black tick is the share of "
        "the class among the training images, the mark its share among the images drawn in an epoch, the ring what "
        "the weights promise. A mark right of its tick: shown more often than it occurs. Chance moves a mark within or "
        "near its ring, the more the rarer the class; whether it is more than chance, the audit judges."
    )
    names = tuple(name for name in order if any(row["class"] == name for row in mine))
    if not any(audit_figures.has_mark(row) for row in mine):
        return (*(_never(mine, "No figure") or (not_shown("no class is drawn"),)), audit_tables.draw_table(mine))
    chart = audit_figures.draw_chart(mine, names, content.arms, sampling)
    return (Figure(caption, chart), *_never(mine, "Not in the figure"), audit_tables.draw_table(mine))


def _is_shifted(row: dict[str, Any]) -> bool:
    prevalence, expected = float_of(row["prevalence"]), float_of(row["expected"])
    return prevalence > 0 and abs(expected / prevalence - 1) > _ROUNDING


def _never(rows: Rows, where: str) -> tuple[Block, ...]:
    """What a logarithmic axis cannot show: classes that an arm does not draw at all."""
    missed: dict[str, list[str]] = {}
    for row in rows:
        if float_of(row["prevalence"]) > 0 and float_of(row["realised"]) == 0:
            missed.setdefault(text_of(row["arm"]), []).append(text_of(row["class"]))
    items = [f"{arm} draws no image of {listed(names, limit=len(names))}" for arm, names in missed.items()]
    return (Paragraph(f"{where}: {'; '.join(items)}."),) if items else ()


def _balance(content: ReportContent) -> tuple[Block, ...]:
    """What samplers that balance a further column do to it; nothing where there is none."""
    rows = by_class(content, content.balance, BALANCE_COLUMNS)
    return (audit_tables.balance_table(rows),) if rows else ()
