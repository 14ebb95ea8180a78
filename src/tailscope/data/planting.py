"""What a set with planted truth may ask for: classes with their shares, artifacts tied to classes, and their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.geometry import encode_rle
from tailscope.core.registry import nearest
from tailscope.data.phantom_confounders import ARTIFACTS, BASE_RATES
from tailscope.data.phantom_findings import FINDINGS
from tailscope.data.phantom_plan import Tie
from tailscope.data.phantom_rendering import COLUMNS, RenderSettings, render_masks
from tailscope.data.tables import Shape

Shortcuts = Mapping[str, Mapping[str, Any]]


def prevalence_problems(setting: str, prevalence: Mapping[str, float]) -> list[str]:
    """What is wrong with the shares of positives in the setting of this name.

    >>> prevalence_problems("prevalence", {"mass": 1.2})
    ['`prevalence` of mass must lie between 0 and 1; got 1.2']
    """
    problems = [] if prevalence else [f"`{setting}` is empty; name at least one class"]
    for name, share in prevalence.items():
        if name not in FINDINGS:
            problems.append(f"`{setting}` names the unknown class {name!r}{nearest(name, tuple(FINDINGS))}")
        elif not (isinstance(share, int | float) and 0 < share < 1):
            problems.append(f"`{setting}` of {name} must lie between 0 and 1; got {share!r}")
    return problems


def shortcut_problems(shortcuts: Shortcuts, classes: Sequence[str]) -> list[str]:
    """What is wrong with the ties of artifacts to these classes."""
    if not isinstance(shortcuts, Mapping) or not all(isinstance(tie, Mapping) for tie in shortcuts.values()):
        return [
            "`shortcuts` must map each class to its artifact and strength, e.g. "
            f"{{pneumothorax: {{artifact: chest_tube, strength: 0.8}}}}; got {shortcuts!r}"
        ]
    problems = []
    for name, tie in shortcuts.items():
        if name not in classes:
            problems.append(f"`shortcuts` names the unknown class {name!r}{nearest(name, tuple(classes))}")
        problems.extend(_tie_problems(name, tie))
    artifacts = [tie.get("artifact") for tie in shortcuts.values()]
    if len(set(artifacts)) < len(artifacts):
        problems.append(f"`shortcuts` ties one artifact to several classes: {artifacts}; tie each to one")
    return problems


def _tie_problems(name: str, tie: Mapping[str, Any]) -> list[str]:
    artifact, strength = tie.get("artifact"), tie.get("strength")
    problems = []
    if set(tie) != {"artifact", "strength"}:
        problems.append(f"shortcut of {name} must have `artifact` and `strength`; got {sorted(tie)}")
    if artifact not in ARTIFACTS:
        problems.append(f"shortcut of {name}: no artifact {artifact!r}{nearest(str(artifact), tuple(ARTIFACTS))}")
    if not isinstance(strength, int | float) or not 0 <= strength <= 1:
        problems.append(f"shortcut of {name}: `strength` must be from 0 to 1; got {strength!r}")
    return problems


def ties_of(shortcuts: Shortcuts) -> tuple[Tie, ...]:
    """The ties as the plan wants them."""
    return tuple(Tie(name, tie["artifact"], float(tie["strength"])) for name, tie in shortcuts.items())


def artifact_notes(shortcuts: Shortcuts, test: str) -> tuple[str, ...]:
    """What the report says of the artifacts: one sentence on their base rates, and one per tie."""
    rates = ", ".join(f"{name} {rate:.0%}" for name, rate in BASE_RATES.items())
    ties = (
        f"shortcut: {tie['artifact']} in {tie['strength']:.0%} of the {name} positives of train and val; test {test}"
        for name, tie in shortcuts.items()
    )
    return (f"artifacts stand at base rates: {rates}", *ties)


def label_rows(plan: pd.DataFrame) -> NDArray[np.bool_]:
    """(N, 12) bool in the order of the generator's columns; classes that are not planned are absent."""
    absent = np.zeros(len(plan), dtype=bool)
    columns = [plan[name].to_numpy(dtype=bool) if name in plan else absent for name in COLUMNS]
    return np.stack(columns, axis=1)


def label_states(plan: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.str_]:
    """(N, K) "positive" or "negative"."""
    return np.where(plan[list(classes)].to_numpy(dtype=bool), "positive", "negative")


def planted_shapes(
    settings: Sequence[RenderSettings], ids: Sequence[str], indices: Sequence[int], rows: NDArray[np.bool_]
) -> tuple[list[Shape], list[Shape]]:
    """The outlines of the findings, and those of the artifacts.

    Args:
        settings: N times seed, size, subtlety.
        ids: N image ids.
        indices: N image numbers, from which the generator draws.
        rows: (N, 12) bool label rows.
    """
    shapes: list[Shape] = [
        (image, name, "rle", encode_rle(mask), (own.size, own.size))
        for own, image, index, row in zip(settings, ids, indices, rows, strict=True)
        for name, group in render_masks(own, index, row).items()
        for mask in group
    ]
    return [shape for shape in shapes if shape[1] in FINDINGS], [shape for shape in shapes if shape[1] in ARTIFACTS]
