"""The differences in AUROC once more, by other methods: standard errors by formula, and a permutation test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from tailscope.core import child_seed
from tailscope.experiment.test_set import RunGrid, TestSet
from tailscope.performance import resampled_auroc
from tailscope.stats import (
    MetricSamples,
    benjamini_hochberg,
    clustered_auroc_covariance,
    delong_covariance,
    paired_difference,
    swap_p,
)

CROSS_CHECK_COLUMNS = (
    "class", "group", "arm", "control", "n", "patients", "positives", "negatives", "seeds", "difference",
    "bootstrap_se", "formula", "formula_se", "se_ratio", "permutation_p", "p", "p_adjusted", "p_bh", "percentile_lo",
    "percentile_hi", "verdict", "reason",
)  # fmt: skip

_METRIC = ("performance", "auroc")
_ROUNDING = 1e-12  # of a difference of variances that cancel; below this share of them it is 0
_FEW = "fewer than 2 patients have a positive, or a negative, so the formula has no variance"
_BELOW_ZERO = "too few patients: the formula gives a variance below 0"
_STILL = "no patient could move the difference, so there is no standard error to compare"

Floats = NDArray[np.float64]


def cross_checks(
    test: TestSet,
    grid: RunGrid,
    logits: NDArray[np.floating],
    samples: Sequence[MetricSamples],
    findings: pd.DataFrame,
    *,
    swaps: int = 999,
) -> pd.DataFrame:
    """Every class's AUROC of every arm against control, seeds averaged and fixed, by methods that share no code.

    ========================  ==================================================================================
    ``difference``            d̄, mean over seeds
    ``bootstrap_se``          √v_P, standard deviation of d̄ over the patient resamples
    ``formula``               ``DeLong`` where each patient has one labelled image, else ``Obuchowski``
    ``formula_se``            its standard error of d̄, from the covariance of the AUROCs of all runs
    ``se_ratio``              ``bootstrap_se / formula_se``; 1 where they agree
    ``permutation_p``         two-sided p of d̄ = 0: patients exchange the arms' ranks, in all seeds alike
    ``p``, ``p_adjusted``     of the findings: seeds and patients; adjusted by Holm over the family
    ``p_bh``                  the same p, adjusted over the same family by Benjamini and Hochberg
    ``percentile_lo``, ``…hi``  95 % percentile interval of the patient resamples
    ``verdict``               of the findings
    ``reason``                why a number is missing; empty where none is
    ========================  ==================================================================================

    None of the checks but ``p`` knows the noise of seeds, so each may call a difference clear that the findings leave
    undecided. A difference that the findings call clear should be clear by each of them.

    Args:
        test: The test split.
        grid: The runs.
        logits: (A·S, N, K), in the grid's order.
        samples: The cells that were compared; those of AUROC are used, means over classes are not.
        findings: The findings from these cells.
        swaps: R, random exchanges of the permutation test.

    Returns:
        One row per class and treatment, columns :data:`CROSS_CHECK_COLUMNS`.

    Source: METHODS section 7.
    """
    cells = [cell for cell in samples if (cell.lens, cell.metric) == _METRIC and not cell.is_aggregate]
    rows = [row for cell in cells for row in _class_rows(test, grid, logits, cell, swaps)]
    found = pd.DataFrame(rows, columns=[name for name in CROSS_CHECK_COLUMNS if name not in _OF_FINDINGS])
    return _with_findings(found, findings)[list(CROSS_CHECK_COLUMNS)]


_OF_FINDINGS = ("p", "p_adjusted", "p_bh", "verdict")


def _with_findings(found: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Beside each row the main test of the same cell, and its reason where that has no p."""
    is_auroc = (findings["lens"] == _METRIC[0]) & (findings["metric"] == _METRIC[1])
    columns = ["class", "arm", "p", "p_adjusted", "verdict", "reason"]
    main = findings.loc[is_auroc, columns].rename(columns={"reason": "why_no_p"})
    joined = found.merge(main, on=["class", "arm"], how="left", validate="one_to_one")
    joined["p_bh"] = benjamini_hochberg(joined["p"].where(joined["p_adjusted"].notna()))
    adds = joined["p"].isna() & (joined["reason"] == "")
    joined["reason"] = joined["reason"].mask(adds, joined["why_no_p"].fillna("not among the findings"))
    return joined


def _class_rows(
    test: TestSet, grid: RunGrid, logits: NDArray[np.floating], cell: MetricSamples, swaps: int
) -> list[dict[str, Any]]:
    about = {
        "class": cell.class_name, "group": cell.group, "control": cell.arms[0], "n": cell.n, "patients": cell.patients,
        "positives": cell.positive_patients, "negatives": cell.negative_patients, "seeds": cell.seeds,
    }  # fmt: skip
    if cell.why_missing:
        return [{**about, "arm": arm, "formula": "", "reason": cell.why_missing} for arm in cell.arms[1:]]
    number = test.classes.index(cell.class_name)
    labels = test.targets[:, number]
    known = ~np.isnan(labels)
    patients, labels = test.patients[known], labels[known]
    ranks = rankdata(logits[:, known, number], axis=1)
    formula, covariance = _covariance(ranks, labels, patients)
    by_arm = grid.by_arm(ranks)
    rows = []
    for arm in range(1, len(cell.arms)):
        place = grid.arms.index(cell.arms[arm])
        exchange = _exchange(by_arm[0], by_arm[place], labels)
        p = swap_p(exchange, patients, swaps, child_seed(test.seed, "exchanged arms"))
        errors = _errors(cell, arm, _variance(covariance, place, cell.seeds))
        rows.append({**about, "arm": cell.arms[arm], "formula": formula, "permutation_p": p, **errors})
    return rows


def _covariance(ranks: Floats, labels: NDArray[np.floating], patients: NDArray[np.str_]) -> tuple[str, Floats]:
    """(A·S, A·S) covariance of the runs' AUROCs, and whose formula it is."""
    if np.unique(patients).size == patients.size:
        return "DeLong", delong_covariance(ranks, labels)[1]
    return "Obuchowski", clustered_auroc_covariance(ranks, labels, patients)[1]


def _variance(covariance: Floats, place: int, seeds: int) -> float:
    """Of the difference between one arm and control, both averaged over seeds; 0 where only rounding is left."""
    weights = np.zeros(len(covariance))
    weights[:seeds] = -1 / seeds
    weights[place * seeds : (place + 1) * seeds] = 1 / seeds
    variance = float(np.einsum("a,ab,b->", weights, covariance, weights))
    return 0.0 if abs(variance) <= _ROUNDING * np.abs(np.diag(covariance)).max() else variance


def _errors(cell: MetricSamples, arm: int, variance: float) -> dict[str, Any]:
    """Both standard errors, what stands beside them, and why one is missing."""
    found = paired_difference(cell, arm)
    bootstrap = float(np.sqrt(found.patient_part))
    formula = float(np.sqrt(variance)) if variance >= 0 else float("nan")
    reason = _BELOW_ZERO if variance < 0 else _FEW if np.isnan(variance) else _STILL if variance == 0 else ""
    return {
        "difference": found.difference,
        "bootstrap_se": bootstrap,
        "formula_se": formula,
        "se_ratio": bootstrap / formula if formula > 0 else float("nan"),
        "percentile_lo": found.percentile[0],
        "percentile_hi": found.percentile[1],
        "reason": reason,
    }


def _exchange(
    control: Floats, treatment: Floats, labels: NDArray[np.floating]
) -> Callable[[NDArray[np.bool_]], Floats]:
    """Which images exchange their ranks, (B, M) bool, to (B,) differences in AUROC, mean over seeds.

    Ranks and not logits, because a treatment may shift or stretch all logits alike. Both arms' ranks are sorted once:
    an exchange only decides which of an image's two ranks counts for which arm.

    Args:
        control: (S, M).
        treatment: (S, M).
        labels: (M,).
    """
    pooled = np.concatenate([treatment, control], axis=1).T
    twice = np.repeat(np.tile(labels, 2)[:, None], len(control), axis=1)

    def difference(swapped: NDArray[np.bool_]) -> Floats:
        ours = np.concatenate([~swapped, swapped], axis=1).astype(np.int32)
        areas = resampled_auroc(pooled, twice, ours) - resampled_auroc(pooled, twice, 1 - ours)
        return np.asarray(areas.mean(axis=1))

    return difference
