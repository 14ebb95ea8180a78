"""The tables of the audit: one line per arm, how often each class is drawn, and what a balanced column still tells."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.arms import ArmAudit
from tailscope.report.blocks import Cell, Notes, Table, figure_cell, word
from tailscope.report.frames import float_of, text_of
from tailscope.report.numbers import NONE, count, plural, rate, share, times

Rows = list[dict[str, Any]]

_MOST_OPEN = 40  # rows; a longer table starts folded
_ALLOWED = "went on although it failed, because the configuration names it"


def arm_table(audits: tuple[ArmAudit, ...]) -> Table:
    """One line per arm: verdict and sentence, draws, scales, learning rate."""
    notes = Notes()
    return Table(
        "What the audit of each arm found; of several seeds the worst verdict, and the means of the numbers. Images "
        "drawn: different training images that an epoch shows. Loss and gradient are compared with control's on the "
        "same logits. × control of the gradient is the factor by which a step of plain gradient descent is longer: it "
        "acts as if the learning rate were multiplied by it (effective learning rate). Adam divides each step by the "
        "gradient's own size and largely hides a constant factor, but not one that changes during training: compare "
        "start and last epoch.",
        ("arm", "audit", "what was found", "images drawn", "loss × control", "gradient × control, start",
         "gradient × control, last epoch", "learning rate"),
        tuple(_arm(audit, notes) for audit in audits),
        notes=notes.lines(),
    )  # fmt: skip


def _arm(audit: ArmAudit, notes: Notes) -> tuple[Cell, ...]:
    numbers = audit.numbers
    if audit.weights_from:
        blank = Cell(NONE, title=f"as {audit.weights_from}", style="number")
        sentence = word(
            f"takes the weights of {audit.weights_from} and adjusts its logits: the audit is that arm's",
            style="sentence",
        )
        return (word(audit.arm), _verdict(audit, notes), sentence, *[blank] * 4, _rate(numbers))
    return (
        word(audit.arm),
        _verdict(audit, notes),
        word(audit.sentence, style="sentence"),
        _images(numbers),
        *(figure_cell(times(numbers[name]), numbers[name])
          for name in ("loss_ratio", "gradient_norm_ratio", "trained_norm_ratio")),
        _rate(numbers),
    )  # fmt: skip


def _verdict(audit: ArmAudit, notes: Notes) -> Cell:
    some = audit.worst < len(audit.seeds)
    detail = f"in {audit.worst} of {plural(len(audit.seeds), 'seed')}" if some else ""
    letter = notes.letter(_ALLOWED) if audit.is_allowed else ""
    return Cell(
        audit.verdict or NONE,
        detail=detail,
        note=letter,
        title=_ALLOWED if audit.is_allowed else "",
        style=f"verdict {audit.verdict or 'none'}",
    )


def _images(numbers: Any) -> Cell:
    drawn, images = numbers["images_drawn"], numbers["images"]
    detail = f"of {count(images)}" if math.isfinite(images) else ""
    return figure_cell(count(drawn), drawn, detail=detail)


def _rate(numbers: Any) -> Cell:
    return figure_cell(rate(numbers["lr"]), numbers["lr"])


def draw_table(rows: Rows) -> Table:
    """Per class and sampling arm: share among the images, expected and realised share among the draws."""
    return Table(
        "Positive images of each class: their share of the training images, and of the images that an arm's sampler "
        "draws in an epoch, as expected from its weights and as realised with the first seed. × is expected over the "
        "share of images: above 1 the class is shown more often than it occurs. A class may rise without being meant, "
        "because its images also carry a rarer class.",
        ("class", "arm", "share of images", "expected in draws", "realised in draws", "×"),
        tuple(_drawn(row) for row in rows),
        title="Draws by class",
        is_open=False,
    )


def _drawn(row: dict[str, Any]) -> tuple[Cell, ...]:
    prevalence, expected = float_of(row["prevalence"]), float_of(row["expected"])
    factor = expected / prevalence if prevalence > 0 else math.nan
    return (
        Cell(text_of(row["class"])),
        word(row["arm"]),
        *(figure_cell(share(row[name]), row[name]) for name in ("prevalence", "expected", "realised")),
        figure_cell(times(factor), factor),
    )


def balance_table(rows: Rows) -> Table:
    """Per class, arm and group: its share among positives and negatives, in the images and in the draws."""
    return Table(
        "Does the group still tell the class? For every value of the column that an arm's sampler balances (the "
        "group), its share of the class's positive images and of its negative images, as they are, and as expected "
        "among the draws of an epoch. Where the two shares of the images differ, the group tells something of the "
        "class, and a network can learn the group in its place. Where the two shares of the draws are the same, that "
        "way is closed: after balancing, the group no longer tells the class. Classes that the sampler does not "
        "balance may keep their difference.",
        ("class", "arm", "group", "of positives", "of negatives", "of positives drawn", "of negatives drawn"),
        tuple(_balanced(row) for row in rows),
        title="Does the group still tell the class?",
        is_open=len(rows) <= _MOST_OPEN,
    )


def _balanced(row: dict[str, Any]) -> tuple[Cell, ...]:
    names = ("positives", "negatives", "positives_drawn", "negatives_drawn")
    return (
        Cell(text_of(row["class"])),
        word(row["arm"]),
        Cell(f"{text_of(row['column'])}: {text_of(row['group'])}"),
        *(figure_cell(share(row[name]), row[name]) for name in names),
    )
