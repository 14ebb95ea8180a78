"""What every map is measured against besides chance: maps that know no model, the untrained network, other classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailscope.alignment import AlignmentMetric, PackedMasks, human_agreement, pair_values, reference_scores
from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import Progress, digest
from tailscope.experiment.annotated import AnnotatedPairs, PairGroup
from tailscope.experiment.attributing import method_settings
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.fitting import fresh_network, weights_digest
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.map_making import Question, write_maps
from tailscope.training import chosen_accelerator

EVIDENCE = "reference_maps"
OTHER_MAP = "other_map"
UNTRAINED = "untrained"
STATIC = "static"
OTHER_READERS = "other_readers"


def untrained_part(seed: int) -> str:
    """Name of the table of one seed's untrained network.

    >>> untrained_part(3)
    'untrained-s3'
    """
    return f"{UNTRAINED}-s{seed}"


def measure_references(folder: ExperimentFolder, pairs: AnnotatedPairs, lens: AlignmentLens) -> None:
    """Score the reference maps on every annotated test pair: image_id, class, metric, source, value, reason.

    They depend on no run, so one table serves all. Where several readers drew, what each scores against the others
    stands beside them as the source ``other_readers``: a ceiling, not a floor.

    Args:
        folder: The table is ``evidence/reference_maps/part-static.parquet``.
        pairs: What is scored on.
        lens: Which maps and metrics.
    """
    maps, metrics = lens.built_references(), lens.built_metrics()
    tables = [pd.DataFrame(columns=["image_id", "class", "metric", "source", "value", "reason"])]
    for group in pairs.by_class:
        found = reference_scores(maps, group.masks, metrics, _images(group), _mean_training_annotation(group))
        tables.append(group.named(found).rename(columns={"reference": "source"}))
        readers = human_agreement(_by_reader(group), metrics)
        told = readers[readers["readers"] > 1].assign(source=OTHER_READERS)
        tables.append(group.named(told[["pair", "metric", "source", "value", "reason"]]))
    write_evidence(folder.evidence(EVIDENCE, STATIC), pd.concat(tables[1:] or tables, ignore_index=True))


def measure_untrained(
    folder: ExperimentFolder, config: ExperimentConfig, pairs: AnnotatedPairs, seed: int, progress: Progress
) -> None:
    """Score the maps of a seed's network before training, the same for every arm of the seed.

    Args:
        folder: The table is ``evidence/reference_maps/part-untrained-s<seed>.parquet``, the maps lie beside it.
        config: The configuration, with the layer found.
        pairs: What is asked and scored.
        seed: Of the initial weights.
        progress: Moves by maps.
    """
    lens = config.lenses.alignment or AlignmentLens()
    network = fresh_network(config, pairs.data, seed)
    network.module.to(chosen_accelerator("auto")).to(memory_format=torch.channels_last)
    tables = [pd.DataFrame(columns=["image_id", "class", "metric", "source", "value", "reason", "method"])]
    weights, data = weights_digest(network), pairs.data
    for section in lens.attributions:
        settings = method_settings(section, lens.layer)
        question = Question(ATTRIBUTIONS.build(section.name, **settings), network, data, pairs.table, lens.batch_size)
        path = folder.evidence_file(EVIDENCE, f"maps-{section.name}-{untrained_part(seed)}.npy")
        inputs = digest(weights, section.name, settings, data.fingerprint, pairs.table, lens.batch_size)
        with progress.task(f"untrained, seed {seed}: {section.name}", len(pairs), "maps") as advance:
            write_maps(path, question, inputs, advance)
        maps = np.load(path, mmap_mode="r")
        tables += [table.assign(method=section.name) for table in _values(pairs, maps, lens.built_metrics())]
    whole = pd.concat(tables[1:] or tables, ignore_index=True).assign(source=UNTRAINED)
    write_evidence(folder.evidence(EVIDENCE, untrained_part(seed)), whole)


def reference_evidence(folder: ExperimentFolder, lens: AlignmentLens, seed: int, method: str) -> pd.DataFrame:
    """The values that one method's maps of one seed are measured against: image_id, class, metric, source, value."""
    columns = ["image_id", "class", "metric", "source", "value"]
    tables = [pd.read_parquet(folder.evidence(EVIDENCE, STATIC), columns=columns)]
    if lens.untrained:
        untrained = pd.read_parquet(folder.evidence(EVIDENCE, untrained_part(seed)))
        tables.append(untrained.loc[untrained["method"] == method, columns])
    return pd.concat(tables, ignore_index=True)


def with_references(scores: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Scores with a further column ``excess_<source>`` for each reference: value minus the reference's on that pair.

    >>> scores = pd.DataFrame({"image_id": ["a"], "class": ["mass"], "metric": ["m"], "value": [0.5]})
    >>> known = scores.assign(source="edge", value=0.125)
    >>> with_references(scores, known)["excess_edge"].tolist()
    [0.375]
    """
    keys = ["image_id", "class", "metric"]
    wide = known.pivot(index=keys, columns="source", values="value")
    names = [f"excess_{name}" for name in wide.columns]
    whole = scores.merge(wide.set_axis(names, axis=1).reset_index(), on=keys, how="left", validate="many_to_one")
    whole[names] = -whole[names].sub(whole["value"], axis=0)
    return whole


def values_on(
    group: PairGroup, maps: NDArray[np.float32], metrics: Mapping[str, AlignmentMetric]
) -> NDArray[np.float64]:
    """(metrics · pairs,) the value of other maps on a group's masks, metric by metric as ``score_pairs`` lists them."""
    return np.asarray(pair_values(maps, group.masks, metrics)["value"], dtype=np.float64)


def _values(
    pairs: AnnotatedPairs, maps: NDArray[np.float32], metrics: Mapping[str, AlignmentMetric]
) -> Iterator[pd.DataFrame]:
    for group in pairs.by_class:
        table = pair_values(pairs.maps_of(group, maps), group.masks, metrics)
        yield group.named(table)[["image_id", "class", "metric", "value", "reason"]]


def _by_reader(group: PairGroup) -> Iterator[dict[str, NDArray[np.bool_]]]:
    return (group.data.reader_masks(row, group.data.classes[number]) for row, number in group.pairs.tolist())


def _images(group: PairGroup) -> Callable[[int], NDArray[np.floating]]:
    def grey(place: int) -> NDArray[np.floating]:
        pixels = np.asarray(group.data.pixels[group.pairs[place, 0]], dtype=np.float32)
        return np.asarray(pixels.mean(axis=-1) / 255)

    return grey


def _mean_training_annotation(group: PairGroup) -> NDArray[np.float64] | None:
    """(H, W) mean of the class's annotations on training images; None where there is none."""
    data, number = group.data, int(group.pairs[0, 1])
    every = data.annotated.reshape(-1, 2)
    rows = every[(every[:, 1] == number) & (data.split[every[:, 0]] == "train"), 0].tolist()
    masks = PackedMasks.read(lambda place: data.mask(rows[place], data.classes[number]), len(rows))
    return masks.mean()
