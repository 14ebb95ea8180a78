"""What does a data set hold, and what is wrong with it, before anything is trained?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.grouping import class_groups, group_note
from tailscope.core.records import SPLITS, STATES, ClassCounts, Dataset
from tailscope.data.cache import Progress
from tailscope.data.derived_classes import derived_dataset
from tailscope.data.doubtful import constant_note, doubtful_notes
from tailscope.data.files import tables_alone
from tailscope.data.label_readers import voted
from tailscope.data.leakage import duplicates, leakage_problems
from tailscope.data.looking_over import LookedOver, look_over
from tailscope.data.near_duplicates import NearPair, near_duplicates
from tailscope.data.preparation import content_digests, patient_clusters
from tailscope.data.settings import DataSettings
from tailscope.data.states import readings_of
from tailscope.data.suspicions import Suspicion, suspicions
from tailscope.data.validation import check_dataset
from tailscope.data.views import view_labels


@dataclass(frozen=True)
class Inspection:
    """What a data set holds.

    Args:
        name: The source.
        images: Number of images.
        patients: Number of patients; of images where no patient is known.
        patients_known: Whether any image has a patient.
        classes: One row per class of the settings' view: class, positive, negative, unknown targets, prevalence, ratio
            (negatives per positive), group (head, medium or tail).
        states: One row per class of the source: class and the four label states.
        imbalance: Most positives of a class over fewest; NaN where a class has none.
        groups_by: ``prevalence``, or ``tertiles`` where one of the prevalence groups would be empty.
        annotations: One row per (class, kind): class, kind, shapes, images, positive_images.
        sizes: One row per (height, width, channels) of stored rasters: and images. Empty without decoding.
        views: One row per published view: view, images.
        splits: One row per published split: split, images, patients. Empty without one.
        unreadable: What is wrong with each image that cannot be read. Empty without decoding.
        duplicates: Groups of images with the same content.
        near_duplicates: Pairs of images of different patients that look like one and differ in content, most alike
            first. Empty without decoding.
        suspicions: The same pairs and groups by their rows, with the labels that differ: pairs first.
        leakage: Patients and contents that stand in two published splits.
        tables_alone: Whether no image was looked for: what needs pixels or files is empty.
        notes: What the source recognised, and what the settings' policies did.
    """

    name: str
    images: int
    patients: int
    patients_known: bool
    classes: pd.DataFrame
    states: pd.DataFrame
    imbalance: float
    groups_by: str
    annotations: pd.DataFrame
    sizes: pd.DataFrame
    views: pd.DataFrame
    splits: pd.DataFrame
    unreadable: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[str, ...]
    suspicions: tuple[Suspicion, ...]
    leakage: tuple[str, ...]
    tables_alone: bool
    notes: tuple[str, ...]


def inspect_dataset(
    dataset: Dataset,
    settings: DataSettings | None = None,
    *,
    cache_dir: Path | None = None,
    decode: bool = True,
    progress: Progress | None = None,
) -> Inspection:
    """Count, weigh and check a data set.

    Args:
        dataset: From a source.
        settings: Whose classes and label policies to count by; None for the defaults.
        cache_dir: Where file digests are remembered.
        decode: Read every image, if there are any, to find broken ones, the sizes, and images that look alike.
        progress: Called with (images done, images in all) while decoding.

    Raises:
        DataError: The tables contradict each other.
    """
    check_dataset(dataset)
    settings = settings or DataSettings()
    dataset = derived_dataset(dataset, settings)
    view = view_labels(dataset, settings)
    patients = patient_clusters(dataset.images)
    image_ids = dataset.images["image_id"].to_numpy(dtype=object).astype(np.str_)
    counts = ClassCounts.from_targets(view.classes, view.targets)
    groups = class_groups(counts.prevalences)
    groups_by = "tertiles" if group_note(counts.prevalences) else "prevalence"
    absent = tables_alone(dataset)
    content = image_ids.tolist() if absent else content_digests(dataset, cache_dir)
    looked = look_over(dataset, progress) if decode and not absent else LookedOver.nothing()
    groups_of_one = tuple(duplicates(image_ids, content))
    pairs = _near_duplicates(looked, patients, content)
    return Inspection(
        name=dataset.name,
        images=len(image_ids),
        patients=len(np.unique(patients)),
        patients_known=bool(dataset.images["patient_id"].notna().any()),
        classes=_class_table(counts, groups, len(image_ids)),
        states=_state_table(dataset, settings.label_readers),
        imbalance=_imbalance(counts),
        groups_by=groups_by,
        annotations=_annotation_counts(view.annotations, view.classes, view.targets, image_ids),
        sizes=looked.sizes,
        views=_tally(dataset.images["view"], "view"),
        splits=_split_table(dataset.images["split"], patients),
        unreadable=looked.unreadable,
        duplicates=groups_of_one,
        near_duplicates=tuple(pair.told(image_ids) for pair in pairs),
        suspicions=_suspicions(dataset, image_ids, groups_of_one, pairs),
        leakage=tuple(_published_leakage(dataset.images["split"], image_ids, patients, content)),
        tables_alone=absent,
        notes=(
            *dataset.notes,
            *view.notes,
            *doubtful_notes(dataset.images),
            *constant_note(image_ids[list(looked.constant)].tolist()),
        ),
    )


def _class_table(counts: ClassCounts, groups: tuple[str, ...], images: int) -> pd.DataFrame:
    positives, negatives = np.array(counts.positives), np.array(counts.negatives)
    ratios = [n / p if p else float("nan") for p, n in zip(counts.positives, counts.negatives, strict=True)]
    return pd.DataFrame(
        {
            "class": list(counts.names),
            "positive": positives,
            "negative": negatives,
            "unknown": images - positives - negatives,
            "prevalence": list(counts.prevalences),
            "ratio": ratios,
            "group": list(groups),
        }
    )


def _state_table(dataset: Dataset, label_readers: str) -> pd.DataFrame:
    states = voted(readings_of(dataset, dataset.classes), label_readers)
    columns = {name: (states == code).sum(axis=0) for code, name in enumerate(STATES)}
    return pd.DataFrame({"class": list(dataset.classes), **columns})


def _imbalance(counts: ClassCounts) -> float:
    fewest = min(counts.positives)
    return max(counts.positives) / fewest if fewest else float("nan")


def _annotation_counts(
    annotations: pd.DataFrame, classes: tuple[str, ...], targets: NDArray[np.float32], image_ids: NDArray[np.str_]
) -> pd.DataFrame:
    rows = pd.Index(image_ids).get_indexer(pd.Index(annotations["image_id"]))
    columns = pd.Index(list(classes)).get_indexer(pd.Index(annotations["class"]))
    shapes = annotations[["class", "kind", "image_id"]].assign(positive=targets[rows, columns] == 1)
    found = []
    for (name, kind), group in shapes.groupby(["class", "kind"]):
        positive = group[group["positive"]]["image_id"].nunique()
        found.append((name, kind, len(group), group["image_id"].nunique(), positive))
    return pd.DataFrame(found, columns=["class", "kind", "shapes", "images", "positive_images"])


def _split_table(published: pd.Series, patients: NDArray[np.str_]) -> pd.DataFrame:
    found = [
        (name, int((published == name).sum()), len(set(patients[(published == name).to_numpy()].tolist())))
        for name in SPLITS
        if (published == name).any()
    ]
    return pd.DataFrame(found, columns=["split", "images", "patients"])


def _tally(values: pd.Series, name: str) -> pd.DataFrame:
    counted = values.dropna().astype(str).value_counts().sort_index()
    return pd.DataFrame({name: counted.index.tolist(), "images": counted.to_numpy()})


def _published_leakage(
    published: pd.Series, image_ids: NDArray[np.str_], patients: NDArray[np.str_], content: list[str]
) -> list[str]:
    given = published.notna().to_numpy()
    split = published[given].to_numpy(dtype=object).astype(np.str_)
    return leakage_problems(image_ids[given], patients[given], np.array(content)[given].tolist(), split)


def _suspicions(
    dataset: Dataset, image_ids: NDArray[np.str_], groups: tuple[tuple[str, ...], ...], pairs: tuple[NearPair, ...]
) -> tuple[Suspicion, ...]:
    row_of = {name: row for row, name in enumerate(image_ids.tolist())}
    rows = (tuple(row_of[name] for name in group) for group in groups)
    return suspicions(dataset, rows, ((pair.first, pair.second, pair.likeness) for pair in pairs))


def _near_duplicates(looked: LookedOver, patients: NDArray[np.str_], content: list[str]) -> tuple[NearPair, ...]:
    """Pairs of images of different patients that look like one and are not byte for byte the same."""
    rows = looked.rows
    _, patient = np.unique(patients[rows], return_inverse=True)
    return tuple(
        NearPair(int(rows[pair.first]), int(rows[pair.second]), pair.likeness)
        for pair in near_duplicates(looked.thumbnails, patient)
        if content[rows[pair.first]] != content[rows[pair.second]]
    )
