"""Facts that a treatment's class states about itself: its limit case, and its one main parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class LimitCase:
    """Settings, and counts if need be, under which a treatment's loss is something that is known beforehand.

    Args:
        says: The limit case in words, e.g. ``"gamma 0 and alpha ½: half of control"``.
        settings: Settings of the limit.
        factor: The loss is this many times control's; None where ``value`` gives it.
        per_class: The factor is multiplied by the number of classes.
        balanced: The counts must be equal: as many negatives as positives in every class, the same in all classes.
        single_label: Each image has exactly one positive class.
        value: The expected loss of (logits, targets), where it is no multiple of control's.
        uniform_draws: On one-label images of classes that are all equally frequent, every image has the same weight.

    Example:
        >>> LimitCase("gamma 0 and alpha ½: half of control", {"gamma": 0, "alpha": 0.5}, factor=0.5).factor
        0.5
    """

    says: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    factor: float | None = 1.0
    per_class: bool = False
    balanced: bool = False
    single_label: bool = False
    value: Callable[[Tensor, Tensor], Tensor] | None = None
    uniform_draws: bool = False


@dataclass(frozen=True)
class MainParameter:
    """The setting of a treatment that decides most, and the values that a search tries.

    Args:
        name: A setting.
        values: From low to high, three of them, the default among them.

    Example:
        >>> MainParameter("gamma", (1.0, 2.0, 4.0)).values[1]
        2.0
    """

    name: str
    values: tuple[float, float, float]
