"""Head, medium and tail: groups of classes by training prevalence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tailscope.core.errors import InputError

Group = Literal["head", "medium", "tail"]
GROUPS: tuple[Group, ...] = ("head", "medium", "tail")


def class_groups(prevalences: Sequence[float], *, head: float = 0.10, tail: float = 0.01) -> tuple[Group, ...]:
    """Group of every class by training prevalence: head π ≥ 10 %, medium 1–10 %, tail < 1 %.

    Where one of the groups would be empty, tertiles of π are used instead, and :func:`group_note` says so. A class
    without any known label counts as prevalence 0.

    Args:
        prevalences: K numbers in [0, 1], or NaN.
        head: Least prevalence of the head.
        tail: Prevalence below which a class is in the tail.

    Returns:
        K names.

    Raises:
        InputError: ``tail`` is above ``head``, or a prevalence is out of range.

    Source: METHODS section 1.

    Example:
        >>> class_groups([0.2, 0.1, 0.05, 0.001])
        ('head', 'head', 'medium', 'tail')
        >>> class_groups([0.3, 0.2, 0.1])
        ('head', 'medium', 'tail')
    """
    groups = _by_prevalence(prevalences, head, tail)
    if set(groups) == set(GROUPS) or not groups:
        return groups
    values = np.nan_to_num(np.asarray(prevalences, dtype=np.float64))
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    return tuple("head" if value >= high else "tail" if value < low else "medium" for value in values)


def group_note(prevalences: Sequence[float], *, head: float = 0.10, tail: float = 0.01) -> str:
    """A sentence for the report where the groups are tertiles; else empty. Arguments as :func:`class_groups`.

    Raises:
        InputError: As :func:`class_groups`.

    Example:
        >>> group_note([0.2, 0.05, 0.001])
        ''
        >>> group_note([0.3, 0.2, 0.1])
        'No class is medium or tail by training prevalence (head from 10 %, tail below 1 %): the groups are tertiles.'
    """
    groups = _by_prevalence(prevalences, head, tail)
    missing = [group for group in GROUPS if group not in groups]
    if not missing or not groups:
        return ""
    limits = f"head from {100 * head:g} %, tail below {100 * tail:g} %"
    return f"No class is {' or '.join(missing)} by training prevalence ({limits}): the groups are tertiles."


def _by_prevalence(prevalences: Sequence[float], head: float, tail: float) -> tuple[Group, ...]:
    values = np.nan_to_num(np.asarray(prevalences, dtype=np.float64))
    if tail > head:
        raise InputError(f"`tail` must be at most `head`; got {tail} and {head}")
    if ((values < 0) | (values > 1)).any():
        raise InputError(f"`prevalences` must be in [0, 1]; got {values.tolist()}")
    return tuple("head" if value >= head else "tail" if value < tail else "medium" for value in values)
