"""The alignment lens on one run: saliency maps of all annotated test pairs, scored against the annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import METRICS, score_pairs, size_groups
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import Progress, digest
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.attributing import method_settings
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.localizing import localization_table
from tailscope.experiment.map_making import Question, other_class, write_maps
from tailscope.experiment.plan import Run
from tailscope.experiment.references import OTHER_MAP, reference_evidence, values_on, with_references
from tailscope.models import Network

LOCALIZATION = "localization"
ON_OTHER_CLASSES = "on_other_classes"
_SCORE_COLUMNS = (
    "class", "image_id", "metric", "value", "reference", "excess", "degenerate", "area", "size", "reason",
)  # fmt: skip


def maps_path(folder: ExperimentFolder, run: str, method: str) -> Path:
    """Where the float maps of one run lie.

    (M, h, w) in the order of :class:`AnnotatedPairs`, and below them, with more than one class, M maps of the same
    images for another class each.
    """
    return folder.evidence_file("alignment", f"maps-{method}-{run}.npy")


def look_at_alignment(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    pairs: AnnotatedPairs,
    lens: AlignmentLens,
    progress: Progress,
) -> None:
    """Write the maps and the scores of one run.

    ``evidence/alignment`` has a row per annotated test pair, method and metric, with the size of the annotation, its
    excess over each reference, and ``on_other_classes``, the saliency on what was annotated of other classes in the
    same image; ``evidence/localization`` the boxes at every limit.

    Args:
        folder: Where they go.
        run: The run.
        network: Its trained network.
        pairs: What is asked and scored.
        lens: Methods and metrics; ``layer`` is a name, already found.
        progress: Moves by maps.
    """
    data = pairs.data
    asked = np.concatenate([pairs.table, other_class(data, pairs.table)])
    weights = digest(folder.run(run.name) / "weights.safetensors")
    scores, boxes = [_no_scores()], []
    for method in lens.attributions:
        settings = method_settings(method, lens.layer)
        question = Question(ATTRIBUTIONS.build(method.name, **settings), network, data, asked, lens.batch_size)
        path = maps_path(folder, run.name, method.name)
        inputs = digest(weights, method.name, settings, data.fingerprint, asked, lens.batch_size)
        with progress.task(f"{run.name}: {method.name}", len(asked), "maps") as advance:
            write_maps(path, question, inputs, advance)
        maps = np.load(path, mmap_mode="r")
        told = {"method": method.name, "layer": settings.get("layer")}
        known = reference_evidence(folder, lens, run.seed, method.name)
        scores.append(with_references(_scores(pairs, maps, lens), known).assign(**told))
        boxes.append(localization_table(pairs, maps[: len(pairs)]).assign(**told))
    whole = pd.concat(scores[1:] or scores, ignore_index=True).assign(run=run.name)
    write_evidence(folder.evidence("alignment", run.name), whole)
    write_evidence(folder.evidence(LOCALIZATION, run.name), pd.concat(boxes, ignore_index=True).assign(run=run.name))


def _scores(pairs: AnnotatedPairs, maps: NDArray[np.float32], lens: AlignmentLens) -> pd.DataFrame:
    """The rows of one method: every metric against the own annotation, and the saliency on other annotations."""
    metrics = lens.built_metrics()
    tables = [_no_scores()]
    for one in pairs.by_class:
        table = score_pairs(pairs.maps_of(one, maps), one.masks, one.patients, metrics)
        if len(maps) > len(pairs):
            of_others = values_on(one, pairs.maps_of(one, maps[len(pairs) :]), metrics)
            table[f"excess_{OTHER_MAP}"] = table["value"] - of_others
        tables.append(one.named(table))
    others = pairs.on_other_classes
    if others.places.size:
        metric = {ON_OTHER_CLASSES: METRICS.build("mass_inside")}
        tables.append(others.named(score_pairs(maps[others.places], others.masks, others.patients, metric)))
    whole = pd.concat(tables[1:] or tables, ignore_index=True)
    return whole.assign(size=_sizes(pairs, whole))


def _sizes(pairs: AnnotatedPairs, table: pd.DataFrame) -> NDArray[np.str_]:
    """Thirds of the annotated areas of all pairs; of another class's annotation it is the own one's that counts."""
    groups = size_groups(pairs.areas)
    by_pair = dict(zip(zip(pairs.image_ids, pairs.classes, strict=True), groups, strict=True))
    return np.array([by_pair[key] for key in zip(table["image_id"], table["class"], strict=True)], dtype="<U6")


def _no_scores() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in _SCORE_COLUMNS})


def _dtype(name: str) -> str:
    if name == "degenerate":
        return "bool"
    return "float64" if name in {"value", "reference", "excess", "area"} else "str"
