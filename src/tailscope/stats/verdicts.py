"""What may be said of one finding."""

from __future__ import annotations

from dataclasses import dataclass

from tailscope.stats.samples import ComparisonSettings, MetricSamples

DIFFERENT = ("better", "worse", "higher", "lower")


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Args:
        difference: d̄.
        p_adjusted: Of no difference, by Holm over the family; NaN where not estimable.
        p_equivalence: Of non-equivalence; NaN where not estimable.
    """

    difference: float
    p_adjusted: float
    p_equivalence: float


def verdict(samples: MetricSamples, evidence: Evidence, settings: ComparisonSettings) -> tuple[str, str]:
    """The verdict of one finding and, where it says less than it might, the reason.

    Returns:
        ``equivalent``; ``differs, within the margin``; ``better`` or ``worse`` (``higher`` or ``lower`` without a
        direction); ``candidate: …`` with two seeds; ``undecided``, or ``undecided (k positive patients)``; empty where
        there is no verdict.

    Source: METHODS section 7.
    """
    silent = _why_no_verdict(samples, evidence, settings)
    if silent:
        return "", silent
    few = too_few(samples, settings.min_patients)
    if few:
        return f"undecided ({few})", f"{few}, expected {settings.min_patients} or more"
    differs = evidence.p_adjusted < settings.alpha
    is_equivalent = evidence.p_equivalence < 0.05
    if samples.seeds < settings.min_seeds:
        reason = f"{samples.seeds} seeds, expected {settings.min_seeds} or more"
        named = f"candidate: {_sign(samples, evidence.difference)}"
        return (named if differs and not is_equivalent else "undecided"), reason
    few = too_few(samples, settings.min_patients_equivalent)
    if is_equivalent and not few:
        return ("differs, within the margin" if differs else "equivalent"), ""
    if differs:
        return _sign(samples, evidence.difference), ""
    if is_equivalent:
        return f"undecided ({few})", f"{few}, expected {settings.min_patients_equivalent} or more to be equivalent"
    return "undecided", ""


def too_few(samples: MetricSamples, minimum: int) -> str:
    """``k positive patients`` (or negative) where there are fewer than ``minimum``; else empty."""
    if samples.positive_patients < minimum:
        return f"{samples.positive_patients} positive patients"
    if samples.negative_patients < minimum:
        return f"{samples.negative_patients} negative patients"
    return ""


def _why_no_verdict(samples: MetricSamples, evidence: Evidence, settings: ComparisonSettings) -> str:
    if samples.is_aggregate:
        return "mean over classes: descriptive"
    if not settings.is_primary(samples.metric):
        return "not declared beforehand: exploratory"
    if evidence.p_adjusted != evidence.p_adjusted:
        return "no p value"
    return ""


def _sign(samples: MetricSamples, difference: float) -> str:
    if samples.direction is None:
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) == (samples.direction == "higher") else "worse"
