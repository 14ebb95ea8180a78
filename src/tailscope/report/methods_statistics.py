"""The statistics and the software, as a methods section tells them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tailscope.report.cited_for import cited
from tailscope.report.conducted import Conducted, conducted, has_rows, has_verdicts, joined, percent
from tailscope.report.content import ReportContent
from tailscope.report.frames import ESTIMATE_COLUMNS, filled, float_of, has_intervals, rows_of, text_of
from tailscope.report.numbers import count, plural, setting
from tailscope.report.plan_history import plan_sentences
from tailscope.report.selection import ensemble_names
from tailscope.report.words import metric_name

Sentences = tuple[str, ...]
_FORMULAS = {"DeLong": " [@delong1988]", "Obuchowski": " [@obuchowski1997]"}
_PRIMARY = {
    "mass_inside": "the excess of mass inside",
    "best_iou_matched": "the cross-fitted matched IoU of the best unit",
    "probe_auroc": "the AUROC of the probe",
}


def statistics_sentences(content: ReportContent, cross_checks: pd.DataFrame | None = None) -> Sentences:
    """Resampling, variance, equivalence, families, verdicts and the frozen plan; only what this experiment allowed.

    Args:
        content: All inputs of the page.
        cross_checks: Of the differences in AUROC by other methods: formula, permutation_p, p_bh.
    """
    done = conducted(content)
    told: Sentences = (*_design(content), *_resampling(content, done))
    if len(content.arms) > 1 and has_rows(content.findings):
        told = (*told, *_variance(content), *_verdicts(content, done), *_hidden(content))
        told = (*told, *_cross_checks(cross_checks))
    return (*told, *_ensembles(content), *_plan(done))


def software_sentences(content: ReportContent) -> Sentences:
    """Versions, processor and the fingerprint of the data."""
    done = conducted(content)
    versions = done.fact("versions")
    told = []
    if isinstance(versions, dict) and versions:
        first = [] if "tailscope" in versions else [f"tailscope {content.version}"]
        names = [*first, *(_package(str(name), version) for name, version in versions.items())]
        told.append(f"Software: {joined(list(filter(None, names)))}.")
    elif content.version:
        told.append(f"Software: tailscope {content.version}.")
    return (*told, *_hardware(done), *_fingerprint(done))


def _design(content: ReportContent) -> Sentences:
    arms = "The arm was" if len(content.arms) == 1 else f"Each of the {len(content.arms)} arms was"
    if not has_rows(content.history):
        return ()
    return (f"{arms} trained with {plural(len(content.seeds), 'seed')} ({joined(list(map(str, content.seeds)))}).",)


def _resampling(content: ReportContent, done: Conducted) -> Sentences:
    resamples = done.setting("compare", "resamples")
    if not has_intervals(rows_of(filled(content.estimates, ESTIMATE_COLUMNS))) or not resamples:
        return ()
    unit = "images (patients are not known)" if done.fact("data", "patients_known") is False else "patients"
    return (
        f"Intervals rest on {count(resamples)} bootstrap resamples of {unit}, all images of one together, the same for "
        "every arm [@davison1997]."
        if unit == "patients"
        else f"Intervals rest on {count(resamples)} bootstrap resamples of {unit}, the same for every arm "
        "[@davison1997].",
    )


def _variance(content: ReportContent) -> Sentences:
    if len(content.seeds) < 2:
        return ("With one seed, no difference between arms has an interval or a verdict.",)
    return (
        "Treatment and control were compared on the same images and seeds by the mean difference over seeds, with one "
        "variance for interval, test and equivalence: seed noise, pooled over the arms and not below its median over "
        "classes, plus the bootstrap variance over patients; t distribution with Satterthwaite's degrees of freedom "
        "[@satterthwaite1946].",
    )


def _verdicts(content: ReportContent, done: Conducted) -> Sentences:
    if len(content.seeds) < 2:
        return ()
    level = percent(done.fact("analysis_plan", "statistics", "alpha") or 0.05)
    ratio = done.fact("analysis_plan", "statistics", "ratio_limits")
    limits = (
        f", of AP also in its ratio ({setting(ratio[0])} to {setting(ratio[1])})" if isinstance(ratio, list) else ""
    )
    families = (
        "p values were adjusted by Holm's method over all classes and treatments of one metric [@holm1979]"
        f" ({level} level)"
    )
    equivalence = (
        f"AUROC and AP were called equivalent where two one-sided tests [@schuirmann1987] placed the difference within "
        f"±{setting(content.margin)}{limits}"
    )
    primary = done.fact("analysis_plan", "statistics", "primary")
    measured = set(map(str, filled(content.findings, ("metric",))["metric"]))
    named = [_PRIMARY.get(name, metric_name(name)) for name in primary or () if name in measured]
    declared = (
        f"Declared beforehand as primary in the lenses: {joined(named)} (margin ±{setting(content.lens_margin)})."
    )
    if not has_verdicts(content):
        judged = f"With {len(content.seeds)} seeds, no verdict was possible; differences are candidates at most."
    else:
        judged = _least(done)
    return tuple(filter(None, (f"{families}. {equivalence}.", declared if named else "", judged)))


def _least(done: Conducted) -> str:
    if not done.min_patients:
        return ""
    return (
        f"A verdict needed at least {done.min_seeds} seeds, and {done.min_patients} positive and as many negative test "
        f"patients; equivalence needed {done.min_patients_equivalent} of each."
    )


def _hidden(content: ReportContent) -> Sentences:
    if content.hidden is None or len(content.seeds) < 2:
        return ()
    looked = {str(lens) for lens in filled(content.findings, ("lens",))["lens"]} - {"performance"}
    if not looked:
        return ()
    rule = (
        "AUROC and AP both had to be equivalent and a primary lens metric had to differ by more than "
        f"{setting(content.lens_margin)} (intersection-union test [@berger1982], Holm over classes, treatments and "
        "primary metrics)"
    )
    if not has_verdicts(content):
        return (f"For a candidate of a hidden difference, {rule}.",)
    return (f"For a hidden difference, {rule}.",)


def _ensembles(content: ReportContent) -> Sentences:
    if not ensemble_names(content):
        return ()
    return (
        "Ensembles average the probabilities of an arm's seeds [@lakshminarayanan2017]; there is one per arm, so their "
        "intervals hold no seed noise.",
    )


def _cross_checks(checks: pd.DataFrame | None) -> Sentences:
    rows = rows_of(filled(checks, ("formula", "permutation_p", "p_bh")))
    formulas = dict.fromkeys(text_of(row["formula"]) for row in rows)
    told = [f"the formula of {name}{_FORMULAS[name]}" for name in formulas if name in _FORMULAS]
    if any(math.isfinite(float_of(row["permutation_p"])) for row in rows):
        told.append("a permutation test over patients [@bandos2005]")
    if any(math.isfinite(float_of(row["p_bh"])) for row in rows):
        told.append("p values by the method of Benjamini and Hochberg [@benjamini1995]")
    return (f"Differences in AUROC were cross-checked by {joined(told)}.",) if told else ()


def _plan(done: Conducted) -> Sentences:
    digest = done.fact("analysis_plan", "hash")
    history = done.fact("plan_history")
    if history:
        return plan_sentences(history)
    return (f"The analysis plan has the hash {str(digest)[:8]}.",) if digest else ()


def _package(name: str, version: Any) -> str:
    if str(version) == "not installed":
        return ""
    words = {"python": "Python", "torchvision": "torchvision", "lightning-fabric": "Lightning Fabric"}
    return f"{words.get(name) or cited('package', name)} {version}"


def _hardware(done: Conducted) -> Sentences:
    cores, machine = done.fact("hardware", "cores"), done.fact("hardware", "machine")
    accelerators = done.fact("hardware", "accelerators")
    if accelerators:
        return (f"Hardware: {joined(list(dict.fromkeys(map(str, accelerators))))}.",)
    if cores and machine:
        return (f"Hardware: {plural(int(cores), 'processor core')} ({machine}).",)
    return ()


def _fingerprint(done: Conducted) -> Sentences:
    digest = done.fact("data", "fingerprint")
    return (f"The data have the fingerprint {str(digest)[:12]} (SHA-256).",) if digest else ()
