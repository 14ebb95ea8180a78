"""What is compared and how: the values of one metric on one class, and the settings of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError

Floats = NDArray[np.float64]
Direction = Literal["higher", "lower"]
ROUNDING = 1e-12  # metrics are means of thousands of float64 numbers; below this they are equal
AGGREGATES = ("macro", "head", "medium", "tail")


def sample_variance(values: Floats) -> float:
    """Variance with n − 1; exactly 0 for values that differ by rounding alone, which would otherwise be significant.

    >>> sample_variance(np.array([0.8, 0.8 + 1e-16, 0.8])), sample_variance(np.array([0.0, 2.0]))
    (0.0, 2.0)
    """
    if np.ptp(values) <= ROUNDING * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float(np.var(values, ddof=1))


@dataclass(frozen=True, eq=False)
class MetricSamples:
    """One (lens, metric, class): the metric of every arm and seed, and on every patient resample.

    Args:
        lens: Name of the lens.
        metric: Name of the metric.
        class_name: Class, or one of macro, head, medium, tail for a mean over classes.
        group: head, medium or tail; for a mean, its own name.
        arms: A labels, control first.
        values: (A, S) the metric on the test set.
        resampled: (A, R) mean over seeds of the metric on each patient resample, seeds fixed.
        n: Images (or pairs) that the metric is over.
        patients: P, patients with the rarer label; annotated patients for alignment and units.
        positive_patients: Patients with a positive image.
        negative_patients: Patients with a negative image.
        direction: Which values are better; None where neither is.
        reason: Why the cell is not estimable; empty where it is.
        redrawn: Draws that were thrown away in resampling.

    Raises:
        InputError: The arrays do not fit the arms.
    """

    lens: str
    metric: str
    class_name: str
    group: str
    arms: tuple[str, ...]
    values: Floats
    resampled: Floats
    n: int
    patients: int
    positive_patients: int
    negative_patients: int
    direction: Direction | None = "higher"
    reason: str = ""
    redrawn: int = 0

    def __post_init__(self) -> None:
        arms = len(self.arms)
        if self.values.ndim != 2 or self.resampled.ndim != 2 or not len(self.values) == len(self.resampled) == arms:
            raise InputError(
                f"`values` and `resampled` must have one row per arm ({arms}); "
                f"got {self.values.shape} and {self.resampled.shape}"
            )

    def of_arms(self, arms: tuple[str, ...]) -> MetricSamples:
        """The same cell with some of the arms, in this order."""
        if arms == self.arms:
            return self
        places = [self.arms.index(arm) for arm in arms]
        return replace(self, arms=arms, values=self.values[places], resampled=self.resampled[places])

    @property
    def seeds(self) -> int:
        """S."""
        return int(self.values.shape[1])

    @property
    def is_aggregate(self) -> bool:
        """Whether this is a mean over classes."""
        return self.class_name in AGGREGATES and self.group == self.class_name

    @property
    def why_missing(self) -> str:
        """Why no difference can be estimated, by the same mask for all arms; empty where it can."""
        if self.reason:
            return self.reason
        if not np.isfinite(self.values).all():
            return "a run has no value"
        if np.isfinite(self.resampled).all(axis=0).sum() < 2:
            return "fewer than 2 resamples have a value"
        return ""

    @property
    def seed_variance(self) -> float:
        """Between-seed variance within arms, pooled over the arms; NaN with one seed."""
        if self.seeds < 2 or self.why_missing:
            return float("nan")
        return float(np.mean([sample_variance(row) for row in self.values]))


@dataclass(frozen=True)
class ComparisonSettings:
    """What is fixed before the first test prediction (METHODS section 7).

    Args:
        equivalence_margin: Of AUROC and AP, in their own unit.
        lens_margin: Δ, of every other metric.
        ratio_limits: Of the ratio's 90 % interval, for the metrics in ``ratio_metrics``.
        alpha: Family-wise error rate.
        primary: Lens metrics declared beforehand; like AUROC and AP they get verdicts, all other metrics intervals.
        performance: The metrics that must be equivalent for a difference to be hidden.
        ratio_metrics: Metrics whose equivalence is judged by the ratio as well.
        min_seeds: Seeds below which there is no verdict.
        min_patients: Positive and negative test patients below which there is no verdict.
        min_patients_equivalent: The same for ``equivalent``.

    Raises:
        InputError: A margin is not positive, or a limit is out of range.
    """

    equivalence_margin: float = 0.02
    lens_margin: float = 0.02
    ratio_limits: tuple[float, float] = (0.80, 1.25)
    alpha: float = 0.05
    primary: tuple[str, ...] = ("mass_inside", "best_iou_matched", "probe_auroc")
    performance: tuple[str, ...] = ("auroc", "average_precision")
    ratio_metrics: tuple[str, ...] = ("average_precision",)
    min_seeds: int = 3
    min_patients: int = 20
    min_patients_equivalent: int = 50

    def __post_init__(self) -> None:
        if min(self.equivalence_margin, self.lens_margin) <= 0 or not 0 < self.alpha < 1:
            raise InputError(
                "margins must be above 0 and `alpha` between 0 and 1; "
                f"got {self.equivalence_margin}, {self.lens_margin} and {self.alpha}"
            )
        if not 0 < self.ratio_limits[0] < 1 < self.ratio_limits[1]:
            raise InputError(f"`ratio_limits` must enclose 1; got {self.ratio_limits}")

    def margin(self, metric: str) -> float:
        """The margin of a metric."""
        return self.equivalence_margin if metric in self.performance else self.lens_margin

    def is_primary(self, metric: str) -> bool:
        """Whether a metric gets verdicts."""
        return metric in self.performance or metric in self.primary
