"""Did a treatment change the features of a class, or only what the head makes of them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

FEATURES_CHANGED = "features changed"
ONLY_THE_HEAD = "only the head"
NOTHING_CHANGED = "nothing changed"
UNDECIDED = "undecided"
PROBE_METRIC, HEAD_METRIC = "probe_auroc", "auroc"
REPRESENTATION_VERDICT_COLUMNS = (
    "arm", "class", "group", "verdict", "probe_difference", "probe_difference_lo", "probe_difference_hi",
    "head_difference", "head_difference_lo", "head_difference_hi", "sentence",
)  # fmt: skip
_SAME = ("equivalent", "differs, within the margin", "identical by construction")
_DIFFERS = ("better", "worse")
_ORDER = (FEATURES_CHANGED, ONLY_THE_HEAD, NOTHING_CHANGED, UNDECIDED)
_Row = dict[str, Any]


def representation_verdicts(findings: pd.DataFrame) -> pd.DataFrame:
    """What each treatment changed, per class, then per group of classes.

    A class: ``features changed`` if the AUROC of its linear probe differs from control's; ``only the head`` if the
    probe's is equivalent and the trained head's AUROC differs; ``nothing changed`` if both are equivalent; else
    ``undecided``, with what was not decided. A difference within the margin counts as equivalent, and what is undecided
    never counts as a difference. A group takes the first of ``features changed`` and ``only the head`` that one of its
    classes has, which is sound because the verdicts of the classes are adjusted over all of them; ``nothing changed``
    only if that holds for each of its classes.

    Args:
        findings: From :func:`tailscope.stats.compare`, with ``probe_auroc`` of lens representation and ``auroc`` of
            lens performance; ``probe_auroc`` must have been declared as a primary metric, or there are no verdicts.

    Returns:
        Columns :data:`REPRESENTATION_VERDICT_COLUMNS`: the rows of the classes of all arms, then those of the groups
        and of all classes, ``macro``, with ``class`` equal to ``group``. Differences are treatment minus control, with
        their 95 % intervals; those of a group are of the mean over its classes.

    Source:
        METHODS section 6.

    Example:
        >>> shared = {"class": "mass", "group": "tail", "arm": "focal", "lo": 0.0, "hi": 0.1, "reason": ""}
        >>> probe = {**shared, "lens": "representation", "metric": "probe_auroc"}
        >>> head = {**shared, "lens": "performance", "metric": "auroc"}
        >>> probe |= {"difference": 0.0, "verdict": "equivalent"}
        >>> head |= {"difference": 0.05, "verdict": "better"}
        >>> found = representation_verdicts(pd.DataFrame([probe, head]))
        >>> found[["class", "verdict"]].values.tolist()
        [['mass', 'only the head'], ['tail', 'only the head'], ['macro', 'only the head']]
    """
    probes = _by_cell(findings, "representation", PROBE_METRIC)
    heads = _by_cell(findings, "performance", HEAD_METRIC)
    rows = [
        _record(cell, *_class_verdict(probe, heads.get(cell)), probe, heads.get(cell))
        for cell, probe in probes.items()
        if cell[1] != cell[2]  # a mean over classes bears its group's name, and has no verdict
    ]
    groups = list(_groups(rows, probes, heads))
    return pd.DataFrame([*rows, *groups], columns=list(REPRESENTATION_VERDICT_COLUMNS))


def _by_cell(findings: pd.DataFrame, lens: str, metric: str) -> dict[tuple[str, str, str], _Row]:
    """(arm, class, group) to its finding, in the order of the table."""
    chosen = findings[(findings["lens"] == lens) & (findings["metric"] == metric)]
    rows: list[_Row] = [{str(key): value for key, value in row.items()} for row in chosen.to_dict("records")]
    return {(row["arm"], row["class"], row["group"]): row for row in rows}


def _class_verdict(probe: _Row, head: _Row | None) -> tuple[str, str]:
    """The verdict of one class, and a sentence on what it rests on."""
    if head is None:
        return UNDECIDED, "Undecided: the head's AUROC was not compared."
    probed, headed = _said("probe", probe), _said("head", head)
    if probe["verdict"] in _DIFFERS:
        return FEATURES_CHANGED, f"The features changed: {probed}; {headed}."
    if probe["verdict"] not in _SAME:
        return UNDECIDED, f"Undecided: {probed}; {headed}."
    if head["verdict"] in _DIFFERS:
        return ONLY_THE_HEAD, f"Only the head changed: {probed}; {headed}."
    if head["verdict"] in _SAME:
        return NOTHING_CHANGED, f"Nothing changed: {probed}; {headed}."
    return UNDECIDED, f"Undecided: {probed}, but {headed}."


def _said(name: str, row: _Row) -> str:
    if row["difference"] != row["difference"]:
        return f"the {name}'s AUROC has no difference ({row['reason'] or 'no value'})"
    said = row["verdict"] or f"without a verdict ({row['reason']})"
    numbers = f"{row['difference']:+.3f} [{row['lo']:+.3f}, {row['hi']:+.3f}]"
    return f"the {name}'s AUROC is {said}, {numbers}"


def _groups(
    rows: list[_Row], probes: dict[tuple[str, str, str], _Row], heads: dict[tuple[str, str, str], _Row]
) -> Iterator[_Row]:
    """The rows of every arm's groups, and of all its classes."""
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        for group in (*dict.fromkeys(row["group"] for row in own), "macro"):
            cell = (arm, group, group)
            members = [row for row in own if group in ("macro", row["group"])]
            yield _record(cell, *_group_verdict(members), probes.get(cell), heads.get(cell))


def _group_verdict(members: list[_Row]) -> tuple[str, str]:
    """The verdict of some classes, and the count of each verdict among them."""
    names = {verdict: [row["class"] for row in members if row["verdict"] == verdict] for verdict in _ORDER}
    count = len(members)
    if len(names[NOTHING_CHANGED]) == count:
        return NOTHING_CHANGED, f"Nothing changed in any of the {count} classes."
    found = next((verdict for verdict in _ORDER[:2] if names[verdict]), UNDECIDED)
    parts = [
        f"{verdict} in {len(some)} of {count} classes ({', '.join(some)})" for verdict, some in names.items() if some
    ]
    sentence = "; ".join(parts)
    return found, f"{sentence[0].upper()}{sentence[1:]}."


def _record(cell: tuple[str, str, str], verdict: str, sentence: str, probe: _Row | None, head: _Row | None) -> _Row:
    arm, name, group = cell
    return {
        "arm": arm,
        "class": name,
        "group": group,
        "verdict": verdict,
        **_numbers("probe", probe),
        **_numbers("head", head),
        "sentence": sentence,
    }


def _numbers(name: str, row: _Row | None) -> _Row:
    names = {"difference": "", "lo": "_lo", "hi": "_hi"}
    return {f"{name}_difference{end}": float("nan") if row is None else row[key] for key, end in names.items()}
