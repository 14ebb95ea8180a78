"""The lenses, as a methods section tells them: performance, alignment, units, features; each only if it has results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailscope.report.cited_for import cited, cited_metric
from tailscope.report.conducted import conducted, counted, has_rows, joined, percent
from tailscope.report.content import ReportContent
from tailscope.report.frames import AGGREGATES, ESTIMATE_COLUMNS, filled, text_of
from tailscope.report.numbers import count, setting

Sentences = tuple[str, ...]
_REFERENCES = {
    "centre_gaussian": "a Gaussian in the centre",
    "class_mean_annotation": "the mean annotation of the class in training",
    "edge": "an edge map of the image [@adebayo2018]",
    "random": "a random map",
    "uniform": "a uniform map",
    "untrained": "the map of the untrained network",
    "other_map": "the map of another class",
}


def performance_sentences(content: ReportContent) -> Sentences:
    """Which metrics were taken of the predictions."""
    table = filled(content.estimates, ESTIMATE_COLUMNS)
    metrics = dict.fromkeys(map(text_of, table[table["lens"] == "performance"]["metric"]))
    if not metrics:
        return ()
    told = list(dict.fromkeys(cited_metric(metric) for metric in metrics))
    where = counted(content.test_images or None, "test image")
    sentence = f"On the {where or 'test images'}, each class was judged by {joined(told)}."
    with_value = set(map(text_of, table[table["value"].notna()]["class"]))
    means = [name for name in AGGREGATES if name in with_value]
    averaged = f"Means were taken over {joined(_means(means))}." if means else ""
    point = "The threshold of sensitivity and specificity was chosen on validation images."
    return tuple(filter(None, (sentence, point if "sensitivity" in metrics else "", averaged)))


def alignment_sentences(content: ReportContent) -> Sentences:
    """Attribution methods, metrics, chance, references, soundness and shortcuts, as far as there are results."""
    lens, rows = conducted(content).setting("lenses", "alignment"), content.alignment
    if rows is None or not has_rows(rows):
        return ()
    lens = lens if isinstance(lens, Mapping) else {}
    methods = [cited("attribution", name) for name in dict.fromkeys(map(text_of, rows["method"]))]
    metrics = [cited_metric(name) for name in dict.fromkeys(map(text_of, rows["metric"]))]
    told = [
        f"Saliency maps of each class were made with {joined(methods)} at {_layer(lens.get('layer'))} and compared "
        f"with the annotation of that class by {joined(metrics)}.",
        "What was compared is the excess: the value minus what an uninformed map would reach, which is the area of the "
        "annotation or, where no formula gives it, the mean of the same map against the annotations of the class in "
        "other patients. A constant, empty or non-finite map counted as the uniform map and was never dropped.",
    ]
    return (*told, *_references(content), *_soundness(content), *_shortcuts(content, lens))


def unit_sentences(content: ReportContent) -> Sentences:
    """Layers, thresholds, detectors, causes, epochs, as far as there are results."""
    if not has_rows(content.units):
        return ()
    lens = conducted(content).setting("lenses", "dissection")
    lens = lens if isinstance(lens, Mapping) else {}
    told = [
        f"Single units of {_layer(lens.get('layer'))} were compared with the annotations as in network dissection "
        "[@bau2017]. For comparisons between classes and arms, each unit was thresholded at the annotated share of the "
        "pixels (matched IoU) on the annotated images of the class and as many negatives; the best unit was chosen on "
        "one half of the patients and scored on the other, and compared after its null was subtracted."
    ]
    if lens.get("top_fraction") is not None:
        told.append(f"Beside it stands the IoU of each unit's highest {percent(lens['top_fraction'])} of activations.")
    if has_rows(content.detectors) and lens.get("derangements"):
        told.append(
            "A unit counted as a detector where its matched IoU exceeded that of the best unit on annotations deranged "
            f"between patients ({count(lens['derangements'])} derangements, single-step maximum [@westfall1993], "
            "Holm over classes [@holm1979])."
        )
    return (*told, *_curve(content, lens), *_causes(content, lens), *_epochs(content))


def feature_sentences(content: ReportContent) -> Sentences:
    """Similarity, probes, swaps and geometry, as far as there are results."""
    tables = content.representation
    lens = conducted(content).setting("lenses", "representation")
    lens = lens if isinstance(lens, Mapping) else {}
    minibatch = f", {lens['minibatch']} images at a time" if lens.get("minibatch") else ""
    parts: tuple[tuple[Any, str], ...] = (
        (tables.cka, f"The features of {_layer(lens.get('layer'))} were compared between runs by linear CKA "
                     f"[@kornblith2019; @song2012; @nguyen2021]{minibatch}, against that of two runs of control."),
        (tables.probes, "Balanced logistic probes [@alain2016] were fitted on training features, their ridge chosen on "
                        "validation images, and scored on test images."),
        (tables.swap, "Heads and features of control and treatment were exchanged, to tell which of them changed."),
        (tables.geometry, "The scatter of the features within and between classes, the angles of the classifier's rows "
                          "[@fang2021] and the effective rank [@roy2007] were measured."),
    )  # fmt: skip
    return tuple(sentence for table, sentence in parts if has_rows(table))


def _layer(layer: Any) -> str:
    names = [layer] if isinstance(layer, str) else layer
    if not isinstance(names, Sequence) or not names or "auto" in names:
        return "the last spatial layer"
    return joined(list(map(str, names)))


def _means(names: list[str]) -> list[str]:
    groups = [name for name in names if name != "macro"]
    told = ["all classes"] if "macro" in names else []
    return told + ([f"over the {joined(groups)} classes"] if groups else [])


def _references(content: ReportContent) -> Sentences:
    if content.references is None or not has_rows(content.references):
        return ()
    known = content.references[content.references["excess"].notna()]
    names = dict.fromkeys(map(text_of, known["reference"]))
    told = [_REFERENCES.get(name, name.replace("_", " ")) for name in names]
    return (f"Excess was also taken over {joined(told)}.",) if told else ()


def _soundness(content: ReportContent) -> Sentences:
    if content.soundness is None or not has_rows(content.soundness):
        return ()
    checks = [check for check in dict.fromkeys(map(text_of, content.soundness["check"])) if check]
    return (
        f"The attribution methods were checked on the networks at hand [@adebayo2018] ({joined(checks)}); differences "
        "found by a method that fails do not count as hidden differences.",
    )


def _shortcuts(content: ReportContent, lens: Mapping[str, Any]) -> Sentences:
    if content.shortcuts is None or not has_rows(content.shortcuts):
        return ()
    names = [name.replace("_", " ") for name in dict.fromkeys(map(text_of, content.shortcuts["confounder"]))]
    removed = content.shortcuts["removal"].notna().any() if "removal" in content.shortcuts else False
    of = lens.get("shortcuts")
    where = (
        f"On up to {count(of['images'])} test images"
        if isinstance(of, Mapping) and of.get("images")
        else "On test images"
    )
    fall = (
        "; each was also painted over by diffusion [@bertalmio2000], and the fall of the class's logit above that of a "
        "placebo was taken"
        if removed
        else ""
    )
    return (f"{where} each, the share of the saliency on {joined(names)} was taken as a sign of a shortcut{fall}.",)


def _curve(content: ReportContent, lens: Mapping[str, Any]) -> Sentences:
    if not has_rows(content.curve) or not lens.get("fractions"):
        return ()
    return (f"The best IoU was followed over activated fractions of {joined(list(map(percent, lens['fractions'])))}.",)


def _causes(content: ReportContent, lens: Mapping[str, Any]) -> Sentences:
    of = lens.get("causes")
    if not has_rows(content.causes) or not isinstance(of, Mapping):
        return ()
    return (
        f"The {of['top']} best units of a class were held at their mean, and the fall of its logit beyond that of "
        "other classes was compared with as many random live units of like contribution; units were chosen on one "
        f"half of the patients and tested on the other, over {of['splits']} splits.",
    )


def _epochs(content: ReportContent) -> Sentences:
    if content.trajectory is None or not has_rows(content.trajectory):
        return ()
    epochs = sorted({int(number) for number in content.trajectory["epoch"].dropna()})
    return (f"The lenses were also turned on the weights after epochs {joined(list(map(setting, epochs)))}.",)


def lens_paragraphs(content: ReportContent) -> tuple[str, ...]:
    """One paragraph per lens with results; the first that looks inside says where the question comes from."""
    writers: tuple[Callable[[ReportContent], Sentences], ...] = (
        performance_sentences, alignment_sentences, unit_sentences, feature_sentences,
    )  # fmt: skip
    told = [" ".join(writer(content)) for writer in writers]
    inside = [text for text in told[1:] if text]
    if inside:
        why = (
            "Following the question of Khakzar et al. [@khakzar2022], whether the handling of imbalance changes what "
            "AUROC and average precision do not show, we looked into the networks."
        )
        inside = [f"{why} {inside[0]}", *inside[1:]]
    return tuple(filter(None, (told[0], *inside)))
