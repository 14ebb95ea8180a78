"""What the artifacts of an experiment answer of the questions that reporting guidelines ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailscope.report.conducted import Conducted, conducted, counted, has_rows, joined, percent, stated
from tailscope.report.content import ReportContent
from tailscope.report.frames import ESTIMATE_COLUMNS, filled, text_of
from tailscope.report.limitations import limitations
from tailscope.report.methods_data import split_counts
from tailscope.report.numbers import count, listed, plural, share
from tailscope.report.selection import ensemble_names
from tailscope.report.words import CALIBRATION_METRICS, metric_name

_MOST_NAMED = 8


def answers(content: ReportContent) -> dict[str, str]:
    """Question to answer, with the chapter where the evidence stands; a question that has none is absent.

    Example:
        >>> answers(ReportContent("demo", "", "0.1.0", ("control",), (0,)))["software"]
        'tailscope 0.1.0 (Provenance)'
    """
    done = conducted(content)
    found = {name: writer(content, done) for name, writer in _WRITERS.items()}
    return {name: answer for name, answer in found.items() if answer}


def _source(_: ReportContent, done: Conducted) -> str:
    source = done.setting("data", "source")
    digest = done.fact("data", "fingerprint")
    return f"{source}{f', fingerprint {str(digest)[:12]}' if digest else ''} (Methods)" if source else ""


def _numbers(content: ReportContent, done: Conducted) -> str:
    told = [counted(done.fact("data", "images"), "image"), counted(done.fact("data", "patients"), "patient")]
    if done.fact("data", "patients_known") is False:
        told[1] = "patients not known"
    told += [f"{name} {count(number)}" for name, number in split_counts(content).items()]
    known = list(filter(None, told))
    return f"{', '.join(known)} (Data and imbalance)" if known else ""


def _preprocessing(_: ReportContent, done: Conducted) -> str:
    size: Any = done.setting("data", "image_size")
    if not isinstance(size, list) or len(size) != 2:
        return ""
    return f"resized to {size[0]} × {size[1]} pixels ({done.setting('data', 'resize')}) (Methods)"


def _labels(_: ReportContent, done: Conducted) -> str:
    policies = [f"{key} labels: {done.setting('data', key)}" for key in ("uncertain", "unmentioned")
                if done.setting("data", key)]  # fmt: skip
    return f"{', '.join(policies)} (Data and imbalance)" if policies else ""


def _annotations(_: ReportContent, done: Conducted) -> str:
    each = [
        f"{text_of(row['class'])} {int(row['annotated_test'])}" for row in done.classes if row["annotated_test"] > 0
    ]
    return f"annotated positive test images: {listed(each, limit=_MOST_NAMED)} (Data and imbalance)" if each else ""


def _partition(_: ReportContent, done: Conducted) -> str:
    note = next((note for note in done.data_notes if note.startswith(("split as published", "patients dealt"))), "")
    return f"{note} (Methods)" if note else ""


def _disjoint(_: ReportContent, done: Conducted) -> str:
    known = done.fact("data", "patients_known")
    if known is None:
        return ""
    if not known:
        return "image; patients are not known"
    if any(note == "split as published" for note in done.data_notes):
        return "as in the published split"
    return "patient"


def _power(content: ReportContent, _: Conducted) -> str:
    if content.findings is None or "mde" not in content.findings or not content.findings["mde"].notna().any():
        return ""
    return "minimum detectable effect beside every difference (chapters of the lenses)"


def _model(_: ReportContent, done: Conducted) -> str:
    name = done.setting("model", "name") or done.setting("model", "source")
    return f"{name}; configuration in full (Provenance)" if name else ""


def _software(content: ReportContent, done: Conducted) -> str:
    versions = done.fact("versions") or ({"tailscope": content.version} if content.version else {})
    told = [f"{name} {version}" for name, version in versions.items() if version != "not installed"]
    return f"{listed(told, limit=_MOST_NAMED)} (Provenance)" if told else ""


def _initial(_: ReportContent, done: Conducted) -> str:
    if not done.setting("model"):
        return ""
    start = "pretrained weights" if done.setting("model", "pretrained") else "random"
    start = "checkpoints as given" if done.setting("model", "source") == "checkpoint" else start
    shared = "; digests of the initial weights by seed (Provenance)" if done.fact("fair_comparison") else ""
    return start + shared


def _training(content: ReportContent, done: Conducted) -> str:
    of = done.setting("training")
    if not isinstance(of, dict) or "epochs" not in of or not has_rows(content.history):
        return ""
    runs = len(set(map(text_of, filled(content.history, ("run",))["run"])))
    epochs, networks = plural(int(of["epochs"]), "epoch"), plural(runs, "network")
    return f"{epochs}, {of['optimizer']}, batches of {of['batch_size']}, {networks} (Methods)"


def _tuning(content: ReportContent, _: Conducted) -> str:
    if not has_rows(content.history):
        return ""
    return "searched on validation images (Treatments)" if has_rows(content.tuning) else "no search: settings as stated"


def _selection(content: ReportContent, _: Conducted) -> str:
    return "best mean validation AUROC (Methods)" if has_rows(content.history) else ""


def _ensembles(content: ReportContent, _: Conducted) -> str:
    names = list(ensemble_names(content))
    return f"{listed(names, limit=_MOST_NAMED)} (Performance)" if names else "none"


def _metrics(content: ReportContent, _: Conducted) -> str:
    table = filled(content.estimates, ESTIMATE_COLUMNS)
    metrics = dict.fromkeys(map(text_of, table[table["lens"] == "performance"]["metric"]))
    names = list(dict.fromkeys(map(metric_name, metrics)))
    return f"{listed(names, limit=_MOST_NAMED)} (Performance)" if names else ""


def _calibration(content: ReportContent, _: Conducted) -> str:
    metrics = set(map(text_of, filled(content.estimates, ESTIMATE_COLUMNS)["metric"]))
    return "calibration by class and arm (Calibration and decisions)" if metrics & {*CALIBRATION_METRICS} else ""


def _uncertainty(content: ReportContent, done: Conducted) -> str:
    if not filled(content.estimates, ESTIMATE_COLUMNS)["lo"].notna().any():
        return ""
    resamples = done.setting("compare", "resamples")
    how = f" from {count(resamples)} resamples of patients" if resamples else ""
    level = done.fact("analysis_plan", "statistics", "alpha")
    tests = f"; Holm-adjusted tests at {percent(level)}" if level and has_rows(content.findings) else ""
    return f"95 % intervals{how}{tests} (Methods)"


def _robustness(content: ReportContent, done: Conducted) -> str:
    told = [plural(len(content.seeds), "seed")]
    told += ["a second control (A/A)"] if done.setting("compare", "second_control") else []
    told += ["other selections of the pairs (Alignment)"] if has_rows(content.views) else []
    told += ["soundness of the attribution methods (Is the instrument sound?)"] if has_rows(content.soundness) else []
    return joined(told)


def _explanation(content: ReportContent, _: Conducted) -> str:
    methods = list(dict.fromkeys(map(text_of, filled(content.alignment, ("method",))["method"])))
    told = [f"saliency by {joined(methods)} against annotations (Alignment)"] if methods else []
    told += ["single units against annotations (Units)"] if has_rows(content.units) else []
    told += ["probes of features (Features)"] if has_rows(content.representation.probes) else []
    return "; ".join(told)


def _external(content: ReportContent, _: Conducted) -> str:
    if content.tested_on:
        return f"{plural(content.test_images, 'test image')} of {content.tested_on}, another source (Performance)"
    sets = [f"{other.tested_on}, {plural(other.test_images, 'image')}" for other in content.elsewhere]
    return f"{'; '.join(sets)} (On other data)" if sets else ""


def _internal(content: ReportContent, _: Conducted) -> str:
    if content.tested_on:
        return ""
    return (
        f"{plural(content.test_images, 'test image')} of the same source (Performance)" if content.test_images else ""
    )


def _performance(content: ReportContent, done: Conducted) -> str:
    return "every class and arm with intervals (Performance)" if _metrics(content, done) else ""


def _subgroups(content: ReportContent, _: Conducted) -> str:
    columns = list(dict.fromkeys(map(text_of, filled(content.performance.subgroups, ("column",))["column"])))
    return f"every arm by {joined(columns)}, with gaps (Subgroups of patients)" if columns else ""


def _failures(content: ReportContent, _: Conducted) -> str:
    told = ["cases with saliency and annotation (Gallery)"] if content.gallery else []
    told += ["shortcuts (Shortcuts)"] if has_rows(content.shortcuts) else []
    return "; ".join(told)


def _limits(content: ReportContent, _: Conducted) -> str:
    return f"{plural(len(limitations(content)), 'limitation')} listed (For the manuscript)"


def _plan(_: ReportContent, done: Conducted) -> str:
    digest = done.fact("analysis_plan", "hash")
    return f"analysis plan, hash {str(digest)[:8]} (Provenance)" if digest else ""


def _imbalance(content: ReportContent, done: Conducted) -> str:
    prevalences = [float(row["prevalence"]) for row in done.classes if row["prevalence"] == row["prevalence"]]
    spread = f"prevalence {share(min(prevalences))} to {share(max(prevalences))}; " if prevalences else ""
    return f"{spread}arms {listed(list(content.arms), limit=_MOST_NAMED)} (Treatments)"


def _output(_: ReportContent, done: Conducted) -> str:
    return f"a probability for {plural(len(done.classes), 'class', 'classes')} per image" if done.classes else ""


def _events(_: ReportContent, done: Conducted) -> str:
    return "positives and negatives of every class and split (Data and imbalance)" if done.classes else ""


def _configuration(content: ReportContent, _: Conducted) -> str:
    seeds = stated(list(content.seeds))
    return f"configuration as resolved and seeds {seeds} (Provenance)" if content.settings_yaml else ""


_WRITERS: dict[str, Callable[[ReportContent, Conducted], str]] = {
    "source": _source, "numbers": _numbers, "preprocessing": _preprocessing, "labels": _labels,
    "annotations": _annotations, "partition": _partition, "disjoint": _disjoint, "power": _power, "model": _model,
    "software": _software, "initial": _initial, "training": _training, "tuning": _tuning, "selection": _selection,
    "ensembles": _ensembles, "metrics": _metrics, "calibration": _calibration, "uncertainty": _uncertainty,
    "robustness": _robustness, "explanation": _explanation, "internal": _internal, "external": _external,
    "performance": _performance, "subgroups": _subgroups, "failures": _failures, "limits": _limits, "plan": _plan,
    "imbalance": _imbalance, "events": _events, "configuration": _configuration, "output": _output,
}  # fmt: skip
