"""What was really done: the resolved configuration and the provenance; what they do not state is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from tailscope.report.content import ReportContent
from tailscope.report.frames import AGGREGATES, CLASS_COLUMNS, filled, float_of, rows_of, text_of
from tailscope.report.numbers import count, plural, setting

Facts = Mapping[str, Any]
MIN_SEEDS = 3  # below, no verdict is possible (METHODS section 7); the frozen plan may say otherwise


@dataclass(frozen=True)
class Conducted:
    """The facts of one experiment.

    Args:
        settings: The resolved configuration; empty where it was not handed over.
        provenance: Nested facts.
        classes: Rows of the class table, without averages.
    """

    settings: Facts
    provenance: Facts
    classes: tuple[dict[str, Any], ...]

    def setting(self, *path: str) -> Any:
        """A value of the configuration; None where it is not stated."""
        return _inside(self.settings, path)

    def fact(self, *path: str) -> Any:
        """A value of the provenance; None where it is not known."""
        return _inside(self.provenance, path)

    @property
    def data_notes(self) -> tuple[str, ...]:
        """What the source and the policies noted about the data."""
        notes = self.fact("data", "notes")
        return tuple(map(str, notes)) if _is_list(notes) else ()

    @property
    def min_seeds(self) -> int:
        """Seeds from which a verdict is possible."""
        return int(self.fact("analysis_plan", "statistics", "min_seeds") or MIN_SEEDS)

    @property
    def min_patients(self) -> int:
        """Positive patients from which a verdict is possible; 0 where the plan is not known."""
        return int(self.fact("analysis_plan", "statistics", "min_patients") or 0)

    @property
    def min_patients_equivalent(self) -> int:
        """Positive patients from which equivalence can be shown; 0 where the plan is not known."""
        return int(self.fact("analysis_plan", "statistics", "min_patients_equivalent") or 0)

    @property
    def is_generated(self) -> bool:
        """Whether the images, or what they show, were made by a program."""
        return self.setting("data", "source") in ("phantom", "pasted")


def conducted(content: ReportContent) -> Conducted:
    """Read the facts of a report's content.

    Example:
        >>> found = conducted(ReportContent("demo", "", "", ("control",), (0,), settings_yaml="data: {source: csv}"))
        >>> found.setting("data", "source"), found.setting("training", "epochs"), found.fact("versions", "torch")
        ('csv', None, None)
    """
    settings = _parsed(content.settings_yaml)
    rows = rows_of(filled(content.class_table, CLASS_COLUMNS))
    classes = tuple(row for row in rows if text_of(row["class"]) and text_of(row["class"]) not in AGGREGATES)
    return Conducted(settings if isinstance(settings, Mapping) else {}, content.provenance, classes)


def has_rows(frame: Any) -> bool:
    """Whether a table was handed over and is not empty."""
    return frame is not None and len(frame) > 0


def has_verdicts(content: ReportContent) -> bool:
    """Whether arms could be compared with verdicts: two arms, enough seeds, and findings."""
    enough = len(content.seeds) >= conducted(content).min_seeds
    return has_rows(content.findings) and len(content.arms) > 1 and enough


def joined(parts: Sequence[str]) -> str:
    """All parts in a sentence.

    >>> joined(["a", "b", "c"]), joined(["a"]), joined([])
    ('a, b and c', 'a', '')
    """
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def percent(value: Any) -> str:
    """A share as a percentage, with the digits that were set.

    >>> percent(0.07), percent(0.005)
    ('7 %', '0.5 %')
    """
    return f"{setting(100 * float_of(value))} %"


def stated(value: Any) -> str:
    """The value of a setting, as one would type it.

    >>> stated(2.0), stated([1, "last"]), stated(True), stated("sigmoid")
    ('2', '1, last', 'yes', 'sigmoid')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return count(value) if isinstance(value, int) else setting(value)
    if _is_list(value):
        return ", ".join(map(stated, value))
    return str(value)


def settings_text(settings: Facts) -> str:
    """Settings in brackets after a name, or nothing.

    >>> settings_text({"gamma": 2.0, "class_weight": "none"}), settings_text({})
    (' (gamma 2, class weight none)', '')
    """
    told = [f"{key.replace('_', ' ')} {stated(value)}" for key, value in settings.items() if value is not None]
    return f" ({', '.join(told)})" if told else ""


def counted(number: Any, one: str, many: str = "") -> str:
    """A counted noun of a number that may come as any type; nothing where it is not known.

    >>> counted(5400, "image"), counted(None, "image")
    ('5,400 images', '')
    """
    return plural(int(float_of(number)), one, many) if float_of(number) >= 0 else ""


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """The configuration; kept, because every sentence of a chapter asks for it."""
    return yaml.safe_load(text) if text else {}


def _inside(facts: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(facts, Mapping) or key not in facts:
            return None
        facts = facts[key]
    return facts


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
