"""Another data set as the test split of networks that are trained on the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import digest
from tailscope.core.errors import DataError
from tailscope.core.records import Dataset, ExperimentData
from tailscope.data.attributes import image_attributes
from tailscope.data.cache import Progress, ReadingPlan, open_pixels
from tailscope.data.chosen_rows import chosen_rows
from tailscope.data.constant_images import constant_rows
from tailscope.data.derived_classes import derived_dataset
from tailscope.data.doubtful import constant_note, doubtful_notes
from tailscope.data.files import reading_order, require_images
from tailscope.data.leakage import check_leakage, inseparable_groups
from tailscope.data.lookalikes import cached_pairs, require_apart
from tailscope.data.preparation import (
    annotated_positives,
    content_digests,
    mask_drawer,
    patient_clusters,
    reader_note,
    unused_note,
)
from tailscope.data.readers import require_reader, shape_lines
from tailscope.data.settings import DataSettings
from tailscope.data.stacking import stacked, trained_rows
from tailscope.data.validation import check_dataset, some
from tailscope.data.views import LabelView, view_labels

Part = Literal["test", "all"]
Population = Literal["all", "as_published"]


@dataclass(frozen=True)
class OtherTest:
    """How another data set is used as a test split.

    Args:
        name: Its name; image ids and patients of the other set begin with it, so that no two sets share an id.
        view: Label policies for it; a ``class_map`` leads to the names of the classes that the networks know. Size,
            resizing and channels are those of the first data set, whatever it says.
        part: ``test`` takes the published test split where there is one, else all images; ``all`` takes all.
        population: ``all`` drops no image. ``as_published`` drops the images without a positive of a mapped class, as
            the published cross-data-set test does; its AUROC and AP are among diseased images only.
    """

    name: str
    view: DataSettings
    part: Part = "test"
    population: Population = "all"


@dataclass(frozen=True)
class TrainingSet:
    """What the networks are trained with.

    Args:
        data: The first data set, prepared.
        settings: How it was prepared.
        content: (N,) digests of its images, rows as in ``data``.
        is_read: Whether its images are files; generated people are all different.
        shares_patients: Whether a patient id means the same person in both sets: they are parts of one.
    """

    data: ExperimentData
    settings: DataSettings
    content: Sequence[str]
    is_read: bool
    shares_patients: bool = False


def prepare_test(
    dataset: Dataset, other: OtherTest, first: TrainingSet, cache_dir: Path, progress: Progress | None = None
) -> ExperimentData:
    """Training and validation of the first data set, with another data set as the test split.

    Args:
        dataset: The other set, from its source.
        other: How it is used.
        first: What the networks are trained with.
        cache_dir: Where decoded pixels and file digests are kept.
        progress: Called with (images done, images in all) while decoding.

    Returns:
        The classes of the first set; those that the other set does not label are NaN on every test image. Its
        fingerprint is its own, and ``trained_on`` is that of the first set.

    Raises:
        DataError: Tables or files of the other set are wrong, no class is known to both, or no image is left.
        LeakageError: A patient, an image, or images that look alike stand in the first set's training or validation
            split and in the other set.
    """
    check_dataset(dataset)
    require_images(dataset)
    settings = _as_first(other.view, first)
    dataset = derived_dataset(_tested_part(dataset, other.part), settings)
    require_reader(settings.readers, dataset.annotations)
    view = view_labels(dataset, replace(settings, classes=_matched(dataset, other, first.data, settings)))
    if other.population == "as_published":
        diseased = (view.targets == 1).any(axis=1)
        dataset, view = _narrowed(dataset, view, diseased)
    if not len(dataset.images):
        raise DataError(f"no image of {other.name!r} is left to test on; check `part`, `population` and `class_map`")
    content = content_digests(dataset, cache_dir)
    plan = ReadingPlan(reading_order(dataset.read_pixels, len(content)), progress)
    cache = open_pixels(dataset.read_pixels, content, settings, cache_dir, plan)
    ids = dataset.images["image_id"].to_numpy(dtype=object).astype(np.str_)
    masks = mask_drawer(dataset, view, cache, settings, ids)
    tested = ExperimentData(
        name=dataset.name,
        classes=first.data.classes,
        image_ids=_apart(other.name, ids),
        patient_ids=_apart("" if first.shares_patients else other.name, patient_clusters(dataset.images)),
        split=np.full(len(ids), "test"),
        targets=_on_classes(view, first.data.classes),
        pixels=cache.pixels,
        annotations=view.annotations.assign(image_id=f"{other.name}/" + view.annotations["image_id"].astype(str)),
        masks=masks,
        annotated=_renumbered(annotated_positives(masks, view.classes, view.targets), view.classes, first.data.classes),
        fingerprint=digest(
            cache.key, ids.tolist(), list(view.classes), view.targets, shape_lines(view.annotations, settings.readers)
        ),
        patients_known=bool(dataset.images["patient_id"].notna().any()),
        notes=(
            *dataset.notes,
            *view.notes,
            *cache.notes,
            *doubtful_notes(dataset.images),
            *constant_note(ids[constant_rows(cache, settings.resize, cache_dir)].tolist()),
            *_class_notes(other, view.classes, first.data.classes),
            *_population_note(other, len(ids)),
            *reader_note(masks, view, settings.readers),
            *unused_note(masks, view),
        ),
        flips_allowed=first.data.flips_allowed,
        attributes=image_attributes(dataset),
        reader_masks=masks.by_reader,
    )
    data = stacked(first.data, tested, cache_dir)
    digests = [first.content[row] for row in trained_rows(first.data).tolist()] + content
    _require_apart(data, digests, settings, cache_dir, is_read=first.is_read and dataset.is_read)
    return data


def _as_first(view: DataSettings, first: TrainingSet) -> DataSettings:
    """The label policies of a view, with the frame, the channels and the kind of labels of the first set."""
    channels: Literal[1, 3] = 1 if first.data.pixels.shape[-1] == 1 else 3
    return replace(
        view,
        image_size=first.settings.image_size,
        resize=first.settings.resize,
        labels=first.settings.labels,
        channels=channels,
    )


def _tested_part(dataset: Dataset, part: Part) -> Dataset:
    published = (dataset.images["split"] == "test").to_numpy(dtype=np.bool_)
    if part == "all" or not published.any():
        return dataset
    note = f"of {len(published)} images, the {int(published.sum())} of the published test split are tested on"
    chosen = chosen_rows(dataset, published)
    return replace(chosen, notes=(*chosen.notes, note)) if not published.all() else chosen


def _matched(
    dataset: Dataset, other: OtherTest, data: ExperimentData, settings: DataSettings
) -> tuple[str, ...] | None:
    """The classes that both sets have; None takes all of the other set, which become one.

    Raises:
        DataError: There is none, or ``class_map`` leads to a name that the networks do not know.
    """
    if settings.labels == "binary":
        return None
    strange = [name for name in (other.view.class_map or {}) if name not in data.classes]
    if strange:
        raise DataError(
            f"`class_map` of test set {other.name!r} leads to {some(strange)}; expected classes that the networks "
            f"know: {some(list(data.classes))}"
        )
    both = tuple(name for name in data.classes if name in dataset.classes)
    if not both:
        raise DataError(
            f"test set {other.name!r} has none of the classes {some(list(data.classes))}; it has "
            f"{some(list(dataset.classes))}: say in `class_map` which of them is which"
        )
    return both


def _narrowed(dataset: Dataset, view: LabelView, keep: NDArray[np.bool_]) -> tuple[Dataset, LabelView]:
    chosen = chosen_rows(dataset, keep)
    drawn = view.annotations["image_id"].isin(chosen.images["image_id"])
    kept = view.targets[keep]  # nothing is trained here, so no label is a probability
    return chosen, replace(view, targets=kept, training=kept, annotations=view.annotations[drawn])


def _apart(name: str, ids: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.array([f"{name}/{one}" for one in ids.tolist()], dtype=np.str_) if name else ids


def _on_classes(view: LabelView, classes: tuple[str, ...]) -> NDArray[np.float32]:
    """(n, K) targets; NaN where the other set does not label a class."""
    targets = np.full((len(view.targets), len(classes)), np.nan, dtype=np.float32)
    targets[:, [classes.index(name) for name in view.classes]] = view.targets
    return targets


def _renumbered(pairs: NDArray[np.int64], classes: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    number = np.array([wanted.index(name) for name in classes], dtype=np.int64)
    return np.column_stack([pairs[:, 0], number[pairs[:, 1]]]).astype(np.int64)


def _class_notes(other: OtherTest, matched: tuple[str, ...], classes: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in classes if name not in matched]
    told = f"tested on {other.name!r} for {len(matched)} of {len(classes)} classes"
    if not missing:
        return (told,)
    return (f"{told}; it does not label {some(missing)}, so nothing is estimable of them, and no image is dropped",)


def _population_note(other: OtherTest, kept: int) -> tuple[str, ...]:
    if other.population == "all":
        return ()
    return (
        f"as in the published test, only the {kept} images with a positive of a mapped class are kept: AUROC and AP "
        "are among diseased images, and cannot be compared with those of the first data set",
    )


def _require_apart(
    data: ExperimentData, content: list[str], settings: DataSettings, cache_dir: Path, *, is_read: bool
) -> None:
    """Refuse images and patients of training or validation in the test split."""
    tested = data.split == "test"
    side = np.where(tested, "the test set", "the training data")
    check_leakage(data.image_ids, data.patient_ids, content, side, look="")
    if not is_read or settings.near_duplicates != "refuse":
        return
    groups = inseparable_groups(data.patient_ids, content)
    pairs = cached_pairs(data.pixels, digest("stacked", data.fingerprint), groups, cache_dir)
    require_apart(tuple(pair for pair in pairs if tested[pair.first] != tested[pair.second]), side, data.image_ids)
