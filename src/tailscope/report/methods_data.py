"""The data, as a methods section tells them: source, images and patients, splits, classes, labels, pixels."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tailscope.report.cited_for import cited
from tailscope.report.conducted import Conducted, conducted, counted, joined, percent
from tailscope.report.content import ReportContent
from tailscope.report.frames import GROUPS, float_of, text_of
from tailscope.report.numbers import count, plural, setting, share

_BECAME = re.compile(r"(\d+) (uncertain|unmentioned) labels became (soft\([^)]*\)|\w+)([^;]*)")
_POLICIES = {"zeros": "negative", "negative": "negative", "ones": "positive", "ignore": "missing"}
_READ = {
    "any": "A finding was positive where any reader of the image named it.",
    "majority": "A finding was positive where more than half of the readers of the image named it.",
    "all": "A finding was positive where all readers of the image named it.",
    "each": "Training took every reading of an image as an observation of its own, by the share of the readers who "
    "named the finding; validation and test took their majority.",
}


def data_sentences(content: ReportContent) -> tuple[str, ...]:
    """Where the images came from and what was made of them; a fact that is not known gives no sentence."""
    done = conducted(content)
    own = _tested_on(content, done) if content.tested_on else (_source(done), _split(content, done))
    also = map(_tested_as_well, content.elsewhere)
    told = (*own, _classes(done), *_labels(done), _annotations(done), _pixels(done), *also)
    return tuple(filter(None, told))


def policies_told(done: Conducted, states: Collection[str] = ("uncertain", "unmentioned")) -> list[str]:
    """What became of the labels of these states, policy by policy."""
    matches = (_BECAME.match(note) for note in done.data_notes)
    return [
        f"{plural(int(found[1]), f'{found[2]} label')}{found[4]} counted as {_policy(found[3])}"
        for found in matches
        if found and found[2] in states
    ]


def _policy(name: str) -> str:
    if not name.startswith("soft("):
        return _POLICIES.get(name, name)
    weight = name.removeprefix("soft(").removesuffix(")")
    return f"positive with weight {weight} and as negative with the rest in the training loss, and as missing elsewhere"


def split_counts(content: ReportContent) -> dict[str, int]:
    """Images of each split whose number is certain.

    Of training and validation it is so where no label is unknown: then every class counts every image.
    """
    found = {}
    table = content.class_table
    for split, name in (("train", "training"), ("val", "validation")):
        columns = [f"{split}_positives", f"{split}_negatives"]
        if table is None or not {*columns, "unknown"} <= set(table.columns) or table["unknown"].fillna(1).any():
            continue
        sums = table[columns].sum(axis=1).unique()
        if len(sums) == 1:
            found[name] = int(sums[0])
    return found | ({"test": content.test_images} if content.test_images else {})


def _tested_on(content: ReportContent, done: Conducted) -> tuple[str, ...]:
    """Where networks learned, and where they were tested, if these are two data sets."""
    source = cited("source", str(done.setting("data", "source")))
    numbers = done.fact("data", "images_by_split")
    of = f"{count(numbers['train'])} training and {count(numbers['val'])} validation images" if numbers else "images"
    learned = f"{of}, {source}," if done.is_generated else f"{of} of {source},"
    return (
        f"Networks were trained and selected on {learned} and tested on {plural(content.test_images, 'image')} of "
        f"another data set, {content.tested_on}, of which nothing was used before.",
    )


def _tested_as_well(other: ReportContent) -> str:
    return (
        f"The same networks were also tested on {plural(other.test_images, 'image')} of {other.tested_on}, without "
        "further training or selection."
    )


def _source(done: Conducted) -> str:
    source = done.setting("data", "source")
    if source is None:
        return ""
    images = counted(done.fact("data", "images"), "image") or "The images"
    patients = counted(done.fact("data", "patients"), "patient")
    if done.is_generated:
        of = f" of {patients}" if patients else ""
        return f"We used {images}{of}, {cited('source', source)}; no patient is real."
    if done.fact("data", "patients_known") is False:
        return (
            f"We used {images} of {cited('source', source)}; patients were not known, so each image counted as a "
            "patient of its own."
        )
    return f"We used {images}{f' of {patients}' if patients else ''} from {cited('source', source)}."


def _split(content: ReportContent, done: Conducted) -> str:
    numbers = [f"{count(number)} {name}" for name, number in split_counts(content).items()]
    told = f", with {joined(numbers)} images" if numbers else ""
    note = next((note for note in done.data_notes if note.startswith(("split as published", "patients dealt"))), "")
    if note == "split as published":
        return f"The published split was kept{told}."
    if note.startswith("split as published"):
        cut = note.removeprefix("split as published; ")
        return (
            f"The published split was kept, with {cut}, patients together and stratified by class "
            f"[@sechidis2011]{told}."
        )
    if note:
        kept = "no patient was in two splits" if done.fact("data", "patients_known") else "each image stood alone"
        return (
            f"Images were divided at random so that {kept} and every class was shared out evenly [@sechidis2011]: "
            f"{note.removeprefix('patients dealt to ')}{told}."
        )
    return f"There were {joined(numbers)} images." if numbers else ""


def _classes(done: Conducted) -> str:
    if not done.classes:
        return ""
    prevalences = [float_of(row["prevalence"]) for row in done.classes]
    positives = [float_of(row["train_positives"]) for row in done.classes]
    groups = [text_of(row["group"]) for row in done.classes]
    told = [plural(groups.count(group), f"{group} class", f"{group} classes") for group in GROUPS if group in groups]
    between = f" ({joined(told)} by training prevalence)" if told else ""
    if len(done.classes) == 1:
        return f"We predicted one class, with {count(positives[0])} positive training images ({share(prevalences[0])})."
    return (
        f"We predicted {len(done.classes)} classes{between}, with {count(min(positives))} to {count(max(positives))} "
        f"positive training images (prevalence {share(min(prevalences))} to {share(max(prevalences))})."
    )


def _labels(done: Conducted) -> tuple[str, ...]:
    told = []
    if done.setting("data", "labels") == "binary":
        told.append("The classes were joined to one: any finding.")
    if any(re.match(r"labels of \d+ readers", note) for note in done.data_notes):
        rule = str(done.setting("data", "label_readers"))
        told.append(_READ.get(rule, f"Of the readers of the labels, {rule} alone counted."))
    policies = policies_told(done)
    if policies:
        why = "; a missing label took no part in loss or metrics" if "as missing" in joined(policies) else ""
        told.append(f"{joined(policies).capitalize()}{why}.")
    return tuple(told)


def _annotations(done: Conducted) -> str:
    pairs = sum(int(number) for row in done.classes if (number := float_of(row["annotated_test"])) > 0)
    if not pairs:
        return ""
    readers = {"union": "", "majority": "; pixels marked by more than half of the readers counted"}
    shapes = next((note for note in done.data_notes if re.match(r"shapes of \d+ readers", note)), "")
    how = readers.get(str(done.setting("data", "readers")), "") if shapes else ""
    return f"{plural(pairs, 'pair')} of a positive test image and a class had an annotation of the finding{how}."


def _pixels(done: Conducted) -> str:
    size: Any = done.setting("data", "image_size")
    if not isinstance(size, list) or len(size) != 2:
        return ""
    how = {"stretch": ", filling the frame", "pad": ", keeping their aspect ratio between black bars"}
    return f"Images were resized to {size[0]} × {size[1]} pixels{how.get(str(done.setting('data', 'resize')), '')}."


def augmentation_text(done: Conducted) -> str:
    """What was done to training images at random, each limit as it was set; nothing where nothing was."""
    of = done.setting("training", "augment")
    if not isinstance(of, dict):
        return ""
    limits = (
        ("rotation", "rotation_deg", f"{setting(of.get('rotation_deg'))}°"),
        ("shift", "translation", percent(of.get("translation"))),
        ("scaling", "scale", percent(of.get("scale"))),
        ("brightness", "brightness", f"{setting(of.get('brightness'))} standard deviations"),
        ("contrast", "contrast", percent(of.get("contrast"))),
    )
    told = [f"{name} (up to ±{limit})" for name, key, limit in limits if float_of(of.get(key)) > 0]
    flips = {"horizontal": "horizontal flips", "both": "horizontal and vertical flips"}.get(str(of.get("flips")), "")
    told += [flips] if flips else []
    return f"Training images were varied at random in {joined(told)}." if told else ""
