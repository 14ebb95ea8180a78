"""One check of an audit: its verdict, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "warning", "failed"]
SEVERITY: dict[Verdict, int] = {"ok": 0, "warning": 1, "failed": 2}
_NAMED = 3  # a user reads so many classes in one sentence; audit.json has the numbers of all


@dataclass(frozen=True)
class Check:
    """A check that was run.

    Args:
        check: What was checked, in a word or two.
        verdict: How it came out.
        sentence: What was found: class, number, expectation.
    """

    check: str
    verdict: Verdict
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """Plain values for ``audit.json``."""
        return {"check": self.check, "verdict": self.verdict, "sentence": self.sentence}


def outcome(check: str, problems: Sequence[str], fine: str, otherwise: Verdict = "failed") -> Check:
    """The check's result: ``fine`` without problems, else their sentence.

    Example:
        >>> outcome("labels", ["class 'mass': 3", "class 'hernia': 1"], "all labels agree").sentence
        "class 'mass': 3; class 'hernia': 1"
        >>> outcome("labels", ["a", "b", "c", "d", "e"], "all labels agree").sentence
        'a; b; c; and 2 more like these'
    """
    if not problems:
        return Check(check, "ok", fine)
    rest = len(problems) - _NAMED
    return Check(
        check, otherwise, "; ".join([*problems[:_NAMED], *([f"and {rest} more like these"] if rest > 0 else [])])
    )


def merged(by_moment: Mapping[str, Sequence[Check]]) -> list[Check]:
    """One result per check over several moments: the worst, at the first moment that has it.

    Args:
        by_moment: Results by the name of the moment, e.g. ``"epoch 3"``; an empty name is not said.

    Example:
        >>> ok, bad = Check("loss", "ok", "the loss is finite"), Check("loss", "failed", "the loss is nan")
        >>> merged({"epoch 0": [ok], "epoch 1": [bad], "epoch 2": [bad]})[0].sentence
        'epoch 1: the loss is nan (at 2 of 3 times looked at)'
    """
    names = dict.fromkeys(check.check for checks in by_moment.values() for check in checks)
    return [_worst(name, by_moment) for name in names]


def _worst(name: str, by_moment: Mapping[str, Sequence[Check]]) -> Check:
    found = [(moment, check) for moment, checks in by_moment.items() for check in checks if check.check == name]
    moment, worst = max(found, key=lambda item: SEVERITY[item[1].verdict])
    if worst.verdict == "ok":
        return found[0][1]
    alike = sum(check.verdict == worst.verdict for _, check in found)
    often = f" (at {alike} of {len(found)} times looked at)" if len(found) > 1 else ""
    return Check(name, worst.verdict, f"{moment}: {worst.sentence}{often}" if moment else worst.sentence)
