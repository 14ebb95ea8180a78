"""From a data set and settings to the data as an experiment uses them: checked, labelled, split, decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.artifacts import digest
from tailscope.core.records import ClassCounts, Dataset, ExperimentData
from tailscope.data.assignment import assign_splits
from tailscope.data.attributes import image_attributes
from tailscope.data.cache import PixelCache, Progress, ReadingPlan, open_pixels
from tailscope.data.constant_images import constant_rows
from tailscope.data.derived_classes import derived_dataset
from tailscope.data.doubtful import constant_note, doubtful_notes
from tailscope.data.files import FileContent, reading_order, require_images
from tailscope.data.leakage import check_leakage, duplicates, inseparable_groups
from tailscope.data.lookalikes import cached_pairs, joined, require_apart
from tailscope.data.masks import MaskDrawer
from tailscope.data.near_duplicates import NearPair
from tailscope.data.readers import MAJORITY, UNION, require_reader, shape_lines
from tailscope.data.settings import DataSettings
from tailscope.data.validation import Collected, check_dataset, some
from tailscope.data.views import LabelView, view_labels


def prepare(
    dataset: Dataset, settings: DataSettings, cache_dir: Path, progress: Progress | None = None
) -> ExperimentData:
    """Make a data set ready for an experiment.

    In this order, so that the cheap refusals come first: tables, label policies, split; then, all told at once,
    leakage, class counts and pixels.

    Args:
        dataset: From a source.
        settings: Size, classes, label policies, split.
        cache_dir: Where decoded pixels and file digests are kept; may be shared between experiments and processes.
        progress: Called with (images done, images in all) while decoding.

    Returns:
        The data; rows are sorted by image id.

    Raises:
        UnknownNameError: Nobody of the name in ``settings.readers`` drew, or of that in ``settings.label_readers``
            labelled.
        DataError: Tables, labels, annotations, classes or files are wrong; lists every problem.
        LeakageError: One patient, one image content, or images that look alike stand in two splits.
    """
    require_images(dataset)
    check_dataset(dataset)
    dataset = derived_dataset(dataset, settings)
    attributes = image_attributes(dataset)
    require_reader(settings.readers, dataset.annotations)
    view = view_labels(dataset, settings)
    image_ids = dataset.images["image_id"].to_numpy(dtype=object).astype(np.str_)
    patients = patient_clusters(dataset.images)
    content = content_digests(dataset, cache_dir)
    groups = inseparable_groups(patients, content)
    assignment = assign_splits(dataset.images["split"], groups, view.targets, settings.split)
    plan = ReadingPlan(reading_order(dataset.read_pixels, len(content)), progress)
    checks = Collected()
    with checks.go_on():
        check_leakage(image_ids, patients, content, assignment.split)
    with checks.go_on():
        _require_learnable(view, assignment.split)
    with checks.go_on():
        cache = open_pixels(dataset.read_pixels, content, settings, cache_dir, plan)
    checks.raise_all()
    alike = cached_pairs(cache.pixels, cache.key, groups, cache_dir) if dataset.is_read else ()
    if alike:
        assignment = assign_splits(dataset.images["split"], joined(groups, alike), view.targets, settings.split)
        _require_learnable(view, assignment.split)
        if settings.near_duplicates == "refuse":
            require_apart(alike, assignment.split, image_ids)
    split = assignment.split
    targets, soft = view.dealt(split)
    masks = mask_drawer(dataset, view, cache, settings, image_ids)
    return ExperimentData(
        name=dataset.name,
        classes=view.classes,
        image_ids=image_ids,
        patient_ids=patients,
        split=split,
        targets=targets,
        pixels=cache.pixels,
        annotations=view.annotations,
        masks=masks,
        annotated=annotated_positives(masks, view.classes, targets),
        fingerprint=_fingerprint((cache.key, image_ids, split), view, (targets, soft), settings.readers),
        patients_known=bool(dataset.images["patient_id"].notna().any()),
        notes=(
            *dataset.notes,
            *view.notes,
            *assignment.notes,
            *cache.notes,
            *_alike_note(alike, split, image_ids),
            *_duplicate_note(image_ids, content, view),
            *doubtful_notes(dataset.images),
            *constant_note(image_ids[constant_rows(cache, settings.resize, cache_dir)].tolist()),
            *reader_note(masks, view, settings.readers),
            *unused_note(masks, view),
        ),
        flips_allowed=dataset.flips_allowed,
        attributes=attributes,
        reader_masks=masks.by_reader,
        soft=soft,
    )


def _require_learnable(view: LabelView, split: NDArray[np.str_]) -> None:
    """Refuse a class without a positive or a negative in the training split."""
    ClassCounts.from_targets(view.classes, view.dealt(split)[0][split == "train"]).require_both()


def _alike_note(alike: tuple[NearPair, ...], split: NDArray[np.str_], image_ids: NDArray[np.str_]) -> tuple[str, ...]:
    if not alike:
        return ()
    apart = sum(split[pair.first] != split[pair.second] for pair in alike)
    where = f"{apart} of them in two splits" if apart else "each pair stays in one split"
    return (f"{len(alike)} pairs of images of different groups look alike (most: {alike[0].told(image_ids)}); {where}",)


def patient_clusters(images: pd.DataFrame) -> NDArray[np.str_]:
    """(N,) patient per image; an image without one is its own cluster."""
    own = "image:" + images["image_id"].astype(object)
    known = images["patient_id"].astype(object)
    return known.where(known.notna(), own).to_numpy(dtype=object).astype(np.str_)


def content_digests(dataset: Dataset, cache_dir: Path | None) -> list[str]:
    """One digest per image; those of files that did not change are remembered in ``cache_dir``."""
    if isinstance(dataset.content, FileContent):
        return dataset.content.remembered(cache_dir)
    return dataset.content()


def mask_drawer(
    dataset: Dataset, view: LabelView, cache: PixelCache, settings: DataSettings, image_ids: NDArray[np.str_]
) -> MaskDrawer:
    """The masks of the view's classes and of the extra masks, on the network's grid."""
    shapes = view.annotations
    if dataset.extra_masks is not None and len(dataset.extra_masks):
        shapes = pd.concat([shapes, dataset.extra_masks[list(shapes.columns)]], ignore_index=True)
    drawer = MaskDrawer(shapes, image_ids, cache.sizes, frame=settings.image_size, resize=settings.resize)
    return drawer if settings.readers == UNION else drawer.viewed(settings.readers, view.classes)


def annotated_positives(masks: MaskDrawer, classes: tuple[str, ...], targets: NDArray[np.float32]) -> NDArray[np.int64]:
    """(M, 2) image row and class index of every pair that has a mask and is positive."""
    pairs = masks.pairs(classes)
    return np.asarray(pairs[targets[pairs[:, 0], pairs[:, 1]] == 1])


def _fingerprint(
    images: tuple[str, NDArray[np.str_], NDArray[np.str_]],
    view: LabelView,
    labels: tuple[NDArray[np.float32], NDArray[np.float32] | None],
    readers: str,
) -> str:
    """Of the key of the pixels, the ids and the split of the images; their targets and probabilities; the shapes."""
    # Attributes stay out: samplers alone read them, and the draws are hashed in run.json; folders stay valid.
    (key, image_ids, split), (targets, soft) = images, labels
    lines = shape_lines(view.annotations, readers)
    asked = () if soft is None else (soft,)
    return digest(key, image_ids.tolist(), split.tolist(), list(view.classes), targets, lines, *asked)


def _duplicate_note(image_ids: NDArray[np.str_], content: list[str], view: LabelView) -> tuple[str, ...]:
    groups = duplicates(image_ids, content)
    if not groups:
        return ()
    row_of = {image_id: row for row, image_id in enumerate(image_ids.tolist())}
    differing = sum(
        any(
            not np.array_equal(view.targets[row_of[one]], view.targets[row_of[group[0]]], equal_nan=True)
            for one in group
        )
        for group in groups
    )
    return (
        f"{len(groups)} groups of images have the same content, {differing} of them with different labels; "
        "each group stays in one split",
    )


def reader_note(masks: MaskDrawer, view: LabelView, readers: str) -> tuple[str, ...]:
    """What became of the shapes of several readers; nothing where there is one."""
    names = sorted(view.annotations["reader"].dropna().astype(str).unique().tolist())
    if readers == UNION and len(names) < 2:
        return ()
    how = {UNION: "united", MAJORITY: "counted where more than half of the readers of an image and class drew"}
    note = f"shapes of {len(names)} readers ({some(names)}) are {how.get(readers, f'left out but for {readers}')}"
    drawn = len(view.annotations.drop_duplicates(["image_id", "class"]))
    lost = drawn - len(masks.pairs(view.classes))
    return (
        note + (f"; {lost} of {drawn} annotated pairs of image and class have no mask by that view" if lost else ""),
    )


def unused_note(masks: MaskDrawer, view: LabelView) -> tuple[str, ...]:
    """How many annotated pairs are not positive."""
    pairs = masks.pairs(view.classes)
    unused = int((view.targets[pairs[:, 0], pairs[:, 1]] != 1).sum())
    if not unused:
        return ()
    return (f"{unused} annotated pairs of image and class are not positive by label, and are not used",)
