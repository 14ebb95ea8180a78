"""The analysis plan is frozen before the first test prediction; a later change of it stays on record with its date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tailscope.core import canonical_json, read_json, write_json
from tailscope.experiment.folder import ExperimentFolder

Plan = Mapping[str, Any]


def freeze_plan(folder: ExperimentFolder, now: dict[str, Any]) -> None:
    """Write ``provenance.json`` with the analysis plan and its history, unless this very plan is frozen already.

    To be called before anything is trained: the entry of a plan counts the runs whose test predictions were there.

    Args:
        folder: The experiment's.
        now: From :func:`tailscope.experiment.provenance.provenance`.
    """
    before = read_json(folder.provenance) if folder.provenance.exists() else None
    if before is not None and before["analysis_plan"]["hash"] == now["analysis_plan"]["hash"]:
        return
    predicted = len(list(folder.path.glob("runs/*/predictions.parquet")))
    write_json(folder.provenance, with_history(before, now, datetime.now(UTC), predicted))


def with_history(before: Plan | None, now: dict[str, Any], when: datetime, predicted: int) -> dict[str, Any]:
    """The provenance of a new plan, with what was planned before.

    Args:
        before: The provenance as it was; None at the start.
        now: The provenance of the new plan.
        when: The time of the change.
        predicted: Runs whose test predictions existed by then.

    Returns:
        ``now`` with ``earlier_plans``, whole, the oldest first, and ``plan_history``: hash, date (ISO 8601, None where
        it was not kept), ``predicted`` (as above) and ``changed`` (dotted names of the settings that differ from the
        plan before) of every plan, the present one last. It stands beside the plan, whose hash covers the plan alone.
    """
    earlier = [] if before is None else _each_once([*before.get("earlier_plans", []), before["analysis_plan"]])
    known = [] if before is None else before.get("plan_history") or _without_dates(earlier)
    plan = now["analysis_plan"]
    entry = {
        "hash": plan["hash"],
        "date": when.isoformat(timespec="seconds"),
        "predicted": predicted,
        "changed": changed_settings(earlier[-1], plan) if earlier else [],
    }
    return {**now, "plan_history": [*known, entry], "earlier_plans": earlier}


def changed_settings(before: Plan, now: Plan) -> list[str]:
    """Dotted names of the settings of two plans that differ, in the order of the plans.

    >>> changed_settings({"hash": "a", "compare": {"seed": 0, "control": "c"}}, {"hash": "b", "compare": {"seed": 1}})
    ['compare.seed', 'compare.control']
    """
    return [name for name in _differing(now, before) if name != "hash"]


def _differing(now: Plan, before: Plan, above: str = "") -> list[str]:
    names: list[str] = []
    for key in dict.fromkeys((*now, *before)):
        one, other = now.get(key), before.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names += _differing(one, other, f"{above}{key}.")
        elif canonical_json(one) != canonical_json(other):  # a list that was a tuple before it was written
            names.append(f"{above}{key}")
    return names


def _each_once(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Plans without those that only repeat the one before; older folders kept one for every visit."""
    return [plan for number, plan in enumerate(plans) if not number or plan["hash"] != plans[number - 1]["hash"]]


def _without_dates(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history of a folder that kept plans and no dates."""
    changes = [[], *(changed_settings(one, other) for one, other in pairwise(plans))]
    return [
        {"hash": plan["hash"], "date": None, "predicted": None, "changed": changed}
        for plan, changed in zip(plans, changes, strict=True)
    ]
