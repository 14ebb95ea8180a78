"""Which epoch is kept: the first with the best macro AUROC on the validation split, over estimable classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.core import DataError
from tailscope.performance import auroc


@dataclass(frozen=True)
class Best:
    """The best epoch so far; ``epoch`` is −1 before any."""

    epoch: int = -1
    score: float = -math.inf

    def after(self, epoch: int, score: float) -> Best:
        """The better of this and a new epoch; a score that is not finite is never better."""
        return Best(epoch, score) if math.isfinite(score) and score > self.score else self


def validation_score(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Mean AUROC over the classes that have a positive and a negative; NaN where a logit is not finite."""
    if not np.isfinite(logits).all():
        return math.nan
    values = auroc(logits, targets)
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def require_score(targets: NDArray[np.float32]) -> None:
    """Refuse a validation split on which no class can be scored.

    Raises:
        DataError: No class has a positive and a negative validation image.
    """
    if not ((targets == 1).any(axis=0) & (targets == 0).any(axis=0)).any():
        raise DataError(
            "no class has both a positive and a negative validation image, so no epoch could be selected; "
            "enlarge `data.split.val`"
        )
