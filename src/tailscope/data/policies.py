"""What becomes of an uncertain label: a target, no target, or in training a probability."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeAlias

from tailscope.core.errors import InputError

Uncertain: TypeAlias = str  # zeros, ones, ignore, or soft(p) with p in (0, 1)

UNCERTAIN = ("zeros", "ones", "ignore", "soft(p)")
WRITTEN = r"^(zeros|ones|ignore|soft\(.+\))$"  # for schemas; `require_policies` knows better
_FIXED = {"zeros": 0.0, "ones": 1.0, "ignore": math.nan}
_SOFT = re.compile(r"soft\(\s*(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*\)")


def training_value(policy: Uncertain) -> float:
    """Training target of an uncertain label, in [0, 1]; NaN where it has no say.

    >>> [training_value(policy) for policy in ("zeros", "ones", "soft(0.7)", "ignore")]
    [0.0, 1.0, 0.7, nan]
    """
    written = _SOFT.fullmatch(policy)
    return _FIXED[policy] if written is None else float(written[1])


def is_soft(policy: Uncertain) -> bool:
    """Whether training takes an uncertain label by its probability, and everything else takes it as unknown."""
    return policy not in _FIXED


def require_policies(uncertain: object) -> None:
    """Pass if this is a policy for uncertain labels, or one per class.

    Raises:
        InputError: It is not, or the probability of a soft label is not between 0 and 1.
    """
    policies = uncertain.values() if isinstance(uncertain, Mapping) else (uncertain,)
    for policy in policies:
        if not isinstance(policy, str) or (policy not in _FIXED and _SOFT.fullmatch(policy) is None):
            raise InputError(
                f"`uncertain` must be one of {', '.join(UNCERTAIN)}, or one of them per class; got {policy!r}"
            )
        if is_soft(policy) and not 0 < training_value(policy) < 1:
            raise InputError(
                f"`uncertain: {policy}` needs a probability between 0 and 1, both left out; got "
                f"{training_value(policy):g}: write zeros or ones for a label that is certain"
            )
