"""Unit cards of one run: what excites the best units of each class most, kept for the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, write_arrays
from tailscope.dissection import AnnotatedImages, CardSettings, best_units, linear_rest, unit_cards
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run
from tailscope.experiment.test_set import RunGrid
from tailscope.models import Layer, Network
from tailscope.report import UnitCardPicture
from tailscope.training import image_batches

CARDS = "unit_cards"
_IMAGES = 5
_TRIED = 4  # images on which it is tried whether the layer feeds the head


def regions_path(folder: ExperimentFolder, run: str) -> Path:
    """Where the activated regions of the cards of a run lie."""
    return folder.evidence_file(CARDS, f"regions-{run}.npz")


def write_cards(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    data: ExperimentData,
    seen: tuple[Layer, NDArray[np.float32], AnnotatedImages],
    per_class: int,
) -> None:
    """Write the cards of the best units of each class: a row per unit and image, and the regions beside it.

    ``evidence/unit_cards`` has layer, class, unit, image_id, rank (0 is the strongest) and value (the maximum of the
    map); the regions are (images, H, W) bool under ``<class number>-<unit>``, and with them the head's weights.

    Args:
        folder: It holds the run's evidence on its units.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        seen: The layer, its activations on the test split, and the test images.
        per_class: Units of each class.
    """
    layer, activations, images = seen
    table = units_of(folder, run.name, layer.name)
    settings = CardSettings(size=(data.pixels.shape[1], data.pixels.shape[2]), images=_IMAGES)
    head = _head(network, data, layer, activations, len(images.classes))
    cards = unit_cards(activations, images, table, best_units(table, per_class), settings, head)
    rows = [
        {"class": card.concept, "unit": card.unit, "image_id": images.ids[row], "rank": rank, "value": float(maximum)}
        for card in cards
        for rank, (row, maximum) in enumerate(zip(card.rows, card.maxima, strict=True))
    ]
    arrays: dict[str, NDArray[Any]] = {}
    for card in cards:
        key = f"{images.classes.index(card.concept)}-{card.unit}"
        weights = np.full(len(images.classes), np.nan) if card.weights is None else card.weights
        arrays |= {f"{key}.regions": card.regions, f"{key}.weights": weights, f"{key}.ious": card.iou_matched}
    write_arrays(regions_path(folder, run.name), arrays, compressed=True)
    found = pd.DataFrame(rows, columns=["class", "unit", "image_id", "rank", "value"])
    write_evidence(folder.evidence(CARDS, run.name), found.assign(run=run.name, layer=layer.name))


def units_of(folder: ExperimentFolder, run: str, layer: str) -> pd.DataFrame:
    """What is known of every class and unit of a layer: class, unit, value, iou_matched and the two thresholds."""
    table = pd.read_parquet(folder.evidence("dissection", run))
    table = table[table["layer"] == layer]
    fixed = table.loc[table["metric"] == "iou", ["class", "unit", "value", "threshold"]]
    matched = table.loc[table["metric"] == "iou_matched", ["class", "unit", "value", "threshold"]]
    matched = matched.rename(columns={"value": "iou_matched", "threshold": "matched_threshold"})
    return fixed.merge(matched, on=["class", "unit"], validate="one_to_one").astype({"unit": np.int64})


def card_pictures(folder: ExperimentFolder, data: ExperimentData, grid: RunGrid) -> tuple[UnitCardPicture, ...]:
    """The cards of the first seed of every arm, with the pixels of their images."""
    row_of = {str(name): row for row, name in enumerate(data.image_ids)}
    pictures: list[UnitCardPicture] = []
    for arm, run in zip(grid.arms, grid.first, strict=True):
        table = pd.read_parquet(folder.evidence(CARDS, run))
        with np.load(regions_path(folder, run), allow_pickle=False) as stored:
            concepts = _concepts(folder, run)
            for key, part in table.groupby(["class", "unit"], sort=False):
                name, unit = str(key[0]), int(str(key[1]))
                rows = [row_of[str(image)] for image in part.sort_values("rank")["image_id"]]
                kept = {end: stored[f"{concepts.index(name)}-{unit}.{end}"] for end in ("regions", "weights", "ious")}
                pictures.append(
                    _picture((arm, part["layer"].iloc[0], str(name), int(unit)), data, rows, kept, concepts)
                )
    return tuple(pictures)


def _picture(
    named: tuple[str, str, str, int],
    data: ExperimentData,
    rows: list[int],
    kept: Mapping[str, NDArray[Any]],
    concepts: list[str],
) -> UnitCardPicture:
    arm, layer, name, unit = named
    pixels = np.stack([np.asarray(data.pixels[row]) for row in rows])
    weights = zip(concepts, kept["weights"].tolist(), strict=True)
    return UnitCardPicture(
        arm=arm,
        layer=layer,
        class_name=name,
        unit=unit,
        images=pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
        regions=kept["regions"],
        annotations=np.stack([data.mask(row, name) for row in rows]),
        concept_ious=dict(zip(concepts, kept["ious"].tolist(), strict=True)),
        head_weights={concept: weight for concept, weight in weights if np.isfinite(weight)},
        captions=tuple(_caption(data, row, name) for row in rows),
    )


def _caption(data: ExperimentData, row: int, name: str) -> str:
    """What an image is labelled with: of the class alone, nothing of the patient."""
    if name not in data.classes:
        return ""
    target = float(data.targets[row, data.classes.index(name)])
    return {1.0: "positive", 0.0: "negative"}.get(target, "unknown")


def _concepts(folder: ExperimentFolder, run: str) -> list[str]:
    """The concepts in the order of the evidence, which is that of the images' classes."""
    table = pd.read_parquet(folder.evidence("dissection", run), columns=["class", "metric"])
    return list(dict.fromkeys(table.loc[table["metric"] == "iou", "class"]))


def _head(
    network: Network, data: ExperimentData, layer: Layer, activations: NDArray[np.float32], concepts: int
) -> NDArray[np.float64] | None:
    """(concepts, U) weights of the head where the layer feeds it; NaN for concepts that are no class."""
    _, images = next(image_batches(network, data.pixels, data.rows("test")[:_TRIED], _TRIED))
    means = np.asarray(activations[:_TRIED]).mean(axis=(0, 2, 3), dtype=np.float64)
    rest = linear_rest(network.module, images, layer, means)
    if rest is None:
        return None
    padded = np.full((concepts, layer.channels), np.nan)
    padded[: len(rest.weight)] = rest.weight
    return padded
