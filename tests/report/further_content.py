"""What stands behind and beside the verdicts, generated: standing, checks, calibration, decisions, subgroups."""

import numpy as np
import pandas as pd

from tailscope.core import generator
from tailscope.report import PerformanceTables, StatisticsTables

THRESHOLDS = (0.05, 0.1, 0.2, 0.4)


def statistics(arms, classes):
    """All tables of the statistics; ``classes`` are (name, group, training positives)."""
    return StatisticsTables(
        false_alarms=false_alarms(classes),
        cross_checks=cross_checks(arms, classes),
        ranks=ranks(arms),
        trends=trends(arms),
        precision=precision(arms, classes),
    )


def performance(arms, classes, adjusted=("prior_shift",)):
    """All tables of performance beyond ranking; ``adjusted`` arms are judged by calibration alone."""
    return PerformanceTables(
        calibration_curves=calibration_curves((*arms, *adjusted), classes),
        decision_curves=decision_curves((*arms, *adjusted), classes),
        uncorrected=pd.DataFrame({"arm": [arms[-1]], "reason": ["its loss has no prior"]}),
        subgroups=subgroups(arms, classes),
        subgroup_gaps=subgroup_gaps(arms, classes),
    )


def false_alarms(classes):
    random = generator(0, "false alarms")
    rows = []
    for lens, metric in (("performance", "auroc"), ("performance", "average_precision"), ("alignment", "mass_inside")):
        for name, group, _ in classes:
            difference = 0.01 * random.standard_normal()
            rows.append(
                {
                    "lens": lens, "metric": metric, "class": name, "group": group, "arm": "control again (A/A)",
                    "control": "control", "n": 2000, "patients": 600, "seeds": 3, "difference": difference,
                    "lo": difference - 0.02, "hi": difference + 0.02, "se": 0.01, "p": 0.4, "p_adjusted": 1.0,
                    "verdict": "undecided", "kind": "", "reason": "", "primary": True,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def cross_checks(arms, classes):
    rows = [
        {
            "class": name, "group": group, "arm": arm, "positives": n // 4, "difference": 0.01 * place,
            "bootstrap_se": 0.0102, "formula": "Obuchowski", "formula_se": 0.01, "se_ratio": 1.02,
            "permutation_p": 0.21, "p": 0.3, "p_adjusted": 0.9, "p_bh": 0.6, "percentile_lo": -0.01,
            "percentile_hi": 0.03, "verdict": "undecided", "reason": "",
        }
        for name, group, n in classes
        for place, arm in enumerate(arms[1:])
    ]  # fmt: skip
    missing = dict.fromkeys(("formula_se", "se_ratio"), np.nan)
    rows[-1] |= {**missing, "reason": "3 positive patients, expected 10 or more"}
    return pd.DataFrame(rows)


def ranks(arms):
    rows = [
        {
            "metric": metric, "arm": arm, "mean_rank": 1.25 + 0.5 * place, "lo": 1.1 + 0.4 * place,
            "hi": 1.6 + 0.5 * place, "first": 0.6 / (1 + place), "classes": 4, "reason": "",
        }
        for metric in ("auroc", "average_precision", "mass_inside")
        for place, arm in enumerate(arms)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def trends(arms):
    rows = [
        {
            "metric": metric, "arm": arm, "slope": 0.012, "lo": 0.003 - 0.01 * place, "hi": 0.03, "p": 0.02,
            "classes": 3, "left_out": "hernia", "reason": "",
        }
        for metric in ("auroc", "mass_inside")
        for place, arm in enumerate(arms[1:])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def precision(arms, classes):
    rows = [
        {
            "metric": metric, "class": name, "arm": arm, "n": 2000, "patients": n // 3, "difference": 0.01,
            "se": 0.01 + 1 / n, "mde": 0.03 + 3 / n, "margin": 0.02, "seed_share": 0.3, "patient_share": 0.7,
            "seeds_needed": 9.0, "positives_needed": np.nan, "verdict": "undecided", "reason": "",
        }
        for metric in ("auroc", "mass_inside")
        for name, _, n in classes
        for arm in arms[1:]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def ensembles():
    rows = [
        {
            "metric": metric, "class": name, "group": "head", "arm": arm, "value": 0.8, "lo": np.nan, "hi": np.nan,
            "difference": difference, "difference_lo": difference - 0.01, "difference_hi": difference + 0.01,
        }
        for metric in ("auroc", "average_precision")
        for name in ("macro", "head", "tail", "mass")
        for arm, difference in (("ensemble of control", np.nan), ("ensemble of focal", 0.0421))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def calibration_curves(arms, classes):
    rows = [
        {
            "class": name, "group": group, "arm": arm, "version": version, "bin": number + 1,
            "predicted": 0.05 + 0.2 * number, "observed": 0.04 + 0.17 * number, "n": 120 + number,
        }
        for name, group, _ in classes
        for arm in arms
        for version in ("raw", "prior corrected")
        for number in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def decision_curves(arms, classes):
    rows = []
    for name, group, n in (("macro", "macro", 300), *classes):
        prevalence = n / 6000
        for place, arm in enumerate(arms):
            for threshold in THRESHOLDS:
                value = prevalence * (0.5 - 0.1 * place) - 0.01 * threshold
                row = {"class": name, "group": group, "arm": arm, "threshold": threshold, "net_benefit": value}
                row |= {"lo": value - 0.004, "hi": value + 0.004}
                row["treat_all"] = prevalence - (1 - prevalence) * threshold / (1 - threshold)
                if place:
                    row |= {"difference": -0.1 * prevalence, "difference_lo": -0.03, "difference_hi": 0.001}
                rows.append(row)
    return pd.DataFrame(rows)


def subgroups(arms, classes):
    rows = []
    for column, subgroup, name, group, place, arm in _cells(arms, classes):
        for rank, metric in enumerate(("auroc", "average_precision", "sensitivity", "specificity")):
            value = 0.8 - 0.1 * rank - (0.05 if subgroup == "F" else 0.0)
            row = {"column": column, "subgroup": subgroup, "class": name, "group": group, "arm": arm, "metric": metric}
            row |= {"value": value, "lo": value - 0.02, "hi": value + 0.02, "n": 1000, "patients": 640}
            row |= {"positives": 55, "reason": ""}
            if place:
                row |= {"difference": 0.01, "difference_lo": -0.01, "difference_hi": 0.03}
            rows.append(row)
    return pd.DataFrame(rows)


def subgroup_gaps(arms, classes):
    rows = []
    for column, subgroup, name, group, place, arm in _cells(arms, classes):
        gap = -0.05 if subgroup == "F" else 0.05
        row = {"column": column, "subgroup": subgroup, "class": name, "group": group, "arm": arm, "metric": "auroc"}
        row |= {"gap": gap, "lo": gap - 0.03, "hi": gap + 0.03, "reason": ""}
        if place:
            row |= {"difference": 0.01, "difference_lo": -0.02, "difference_hi": 0.04}
        rows.append(row)
    return pd.DataFrame(rows)


def _cells(arms, classes):
    return (
        ("sex", subgroup, name, group, place, arm)
        for subgroup in ("F", "M")
        for name, group in (("macro", "macro"), *((name, group) for name, group, _ in classes))
        for place, arm in enumerate(arms)
    )
