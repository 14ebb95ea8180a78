"""Was the analysis fixed before the results were seen? The sentences that say so, or say what was changed when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tailscope.report.frames import text_of
from tailscope.report.numbers import listed, plural

_SHOWN = 6  # settings that are named; a new version can bring many


def plan_sentences(history: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the history of the analysis plan says, one sentence per plan.

    Args:
        history: ``plan_history`` of ``provenance.json``: hash, date, predicted, changed; the oldest first.

    Example:
        >>> plan_sentences([{"hash": "c0ffee1234", "date": "2026-01-02T03:04:05+00:00", "predicted": 0, "changed": []}])
        ('The analysis plan (c0ffee12) was frozen on 2026-01-02, before the first test prediction.',)
        >>> plan_sentences([])
        ('It is not on record when the analysis plan was frozen.',)
    """
    if not history:
        return ("It is not on record when the analysis plan was frozen.",)
    return (_first(history[0]), *(_change(entry) for entry in history[1:]))


def _first(entry: Mapping[str, Any]) -> str:
    plan = f"The analysis plan ({text_of(entry['hash'])[:8]})"
    if not text_of(entry["date"]):
        return f"{plan} was frozen on a day that is not on record."
    frozen = f"{plan} was frozen on {_day(entry)},"
    predicted = int(entry["predicted"])
    if not predicted:
        return f"{frozen} before the first test prediction."
    return f"{frozen} when test predictions of {plural(predicted, 'run')} were there already: not beforehand."


def _change(entry: Mapping[str, Any]) -> str:
    changed = listed([str(name) for name in entry["changed"]], limit=_SHOWN)
    plan = f"replaced by {text_of(entry['hash'])[:8]} (changed: {changed})"
    if not text_of(entry["date"]):
        return f"It was {plan} on a day that is not on record; whether results were known by then is unknown."
    predicted = int(entry["predicted"])
    if not predicted:
        return f"On {_day(entry)} it was {plan}, before the first test prediction."
    return (
        f"On {_day(entry)} it was {plan}, when test predictions of {plural(predicted, 'run')} were there: what "
        "follows from the change was decided with results at hand and is not confirmatory."
    )


def _day(entry: Mapping[str, Any]) -> str:
    return text_of(entry["date"])[:10]
