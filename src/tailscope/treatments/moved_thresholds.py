"""Thresholds moved on validation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tailscope.core import check_choice
from tailscope.core.records import ClassCounts
from tailscope.treatments.adjustment import AffineLogits, AfterTraining, FittedOn
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.parts import Choice, Part
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.post_hoc import monotone
from tailscope.treatments.registry import TREATMENTS

Criterion: TypeAlias = Literal["youden", "f1"]


def best_threshold(
    logits: NDArray[np.floating], labels: NDArray[np.floating], criterion: Criterion = "youden"
) -> float:
    """The threshold between two neighbouring logits that is best by Youden's index or by F1; NaN without both sides.

    Args:
        logits: (N,).
        labels: (N,) in {0, 1, NaN}; NaN is left out.
        criterion: Sensitivity + specificity − 1, or 2·TP/(2·TP+FP+FN).

    Returns:
        A logit; of several equally good thresholds the lowest.

    Example:
        >>> best_threshold(np.array([-2.0, -1.0, 0.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0]))
        -0.5
    """
    known = np.isfinite(labels)
    order = np.argsort(logits[known], kind="stable")
    x, y = np.asarray(logits, dtype=np.float64)[known][order], labels[known][order]
    cuts = np.flatnonzero(np.diff(x) > 0)  # between x[cut] and x[cut + 1]
    positives, negatives = y.sum(), (1 - y).sum()
    if not positives or not negatives or not cuts.size:
        return float("nan")
    missed = np.cumsum(y)[cuts]
    right = np.cumsum(1 - y)[cuts]
    found, alarms = positives - missed, negatives - right
    score = (
        found / positives + right / negatives if criterion == "youden" else 2 * found / (2 * found + alarms + missed)
    )
    best = cuts[int(np.argmax(score))]
    return float((x[best] + x[best + 1]) / 2)


@dataclass(frozen=True)
class ThresholdFit:
    """Shift every class so that its best threshold on the validation images lies at logit 0.

    Args:
        criterion: As in :class:`MovedThresholds`.
    """

    criterion: Criterion

    def __call__(self, fitted_on: FittedOn) -> AffineLogits:
        """The adjustment; a class without both sides is not moved and is noted."""
        columns = zip(fitted_on.val_logits.T, fitted_on.val_targets.T, strict=True)
        found = np.array([best_threshold(logits, labels, self.criterion) for logits, labels in columns])
        missing = [name for name, value in zip(fitted_on.classes, found, strict=True) if np.isnan(value)]
        notes = tuple(f"class {name!r}: no threshold, because a side is missing in validation" for name in missing)
        return AffineLogits((1.0,) * len(found), tuple(map(float, -np.nan_to_num(found))), notes)


@TREATMENTS.register("moved_thresholds")
@dataclass(frozen=True)
class MovedThresholds:
    """After training, each class's threshold moves to the best one on the validation images.

    A probability of one half then means that threshold; only numbers that depend on a threshold change.

    Source: threshold moving as in Zhou and Liu, "Training cost-sensitive neural networks with methods addressing the
    class imbalance problem" (IEEE TKDE 2006), section 2.3; Youden (1950) for the index.

    Args:
        treatment: What the network is trained with.
        criterion: ``"youden"`` or ``"f1"``.

    Raises:
        InputError: A setting makes no sense.

    Example:
        >>> MovedThresholds(criterion="f1").criterion
        'f1'
    """

    limit: ClassVar[LimitCase] = LimitCase("any settings: the loss is the underlying treatment's, here control's")

    treatment: Choice = "control"
    criterion: Criterion = "youden"

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", Part.of(self.treatment, "treatment"))
        check_choice("criterion", self.criterion, get_args(Criterion))

    def __call__(self, class_counts: ClassCounts) -> TreatmentPlan:
        """The plan; of the counts only what the underlying treatment uses is used."""
        part = Part.of(self.treatment, "treatment")
        step = AfterTraining((part.name, part.settings), ThresholdFit(self.criterion), ("val",))
        return monotone(part.build()(class_counts), step)
