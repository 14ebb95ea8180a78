"""The alignment lens on one run: saliency maps of all annotated test pairs, scored against the annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment import METRICS, AlignmentMetric, score_pairs
from tailscope.attribution import ATTRIBUTIONS, Attribution
from tailscope.core import Advance, ExperimentData, Progress, write_array
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.lens_config import AlignmentLens, AttributionSection
from tailscope.experiment.plan import Run
from tailscope.models import Network
from tailscope.training import image_batches

_SCORE_COLUMNS = ("class", "image_id", "metric", "value", "reference", "excess", "degenerate", "area", "reason")


def annotated_test_pairs(data: ExperimentData) -> NDArray[np.int64]:
    """(M, 2) annotated positive (image row, class index) pairs of the test split, by row, then class."""
    pairs = data.annotated.reshape(-1, 2)
    kept = pairs[data.split[pairs[:, 0]] == "test"]
    return np.asarray(kept[np.lexsort((kept[:, 1], kept[:, 0]))])


def maps_path(folder: ExperimentFolder, run: str, method: str) -> Path:
    """Where the float maps of one run lie, in the order of :func:`annotated_test_pairs`."""
    return folder.evidence_file("alignment", f"maps-{method}-{run}.npy")


def look_at_alignment(
    folder: ExperimentFolder,
    run: Run,
    network: Network,
    data: ExperimentData,
    lens: AlignmentLens,
    progress: Progress,
) -> None:
    """Write the maps and the scores of one run.

    Args:
        folder: Where they go.
        run: The run.
        network: Its trained network.
        data: The experiment's data.
        lens: Methods and metrics; ``layer`` is a name, already found.
        progress: Moves by images.
    """
    pairs = annotated_test_pairs(data)
    tables = []
    for method in lens.attributions:
        settings = _with_layer(method, lens.layer)
        with progress.task(f"{run.name}: {method.name}", np.unique(pairs[:, 0]).size) as advance:
            attribution = ATTRIBUTIONS.build(method.name, **settings)
            maps = saliency_maps(attribution, network, data, pairs, lens.batch_size, advance)
        write_array(maps_path(folder, run.name, method.name), maps)
        tables.append(_scores(data, pairs, maps, lens).assign(method=method.name, layer=settings.get("layer")))
    whole = pd.concat(tables, ignore_index=True).assign(run=run.name)
    write_evidence(folder.evidence("alignment", run.name), whole)


def _with_layer(method: AttributionSection, layer: str) -> dict[str, Any]:
    """The method's settings; one that looks at a layer gets the lens's, unless it names its own."""
    shared = {"layer": layer} if "layer" in ATTRIBUTIONS.settings(method.name) else {}
    return {**shared, **method.settings}


def saliency_maps(
    attribution: Attribution,
    network: Network,
    data: ExperimentData,
    pairs: NDArray[np.int64],
    batch_size: int,
    advance: Advance,
) -> NDArray[np.float32]:
    """Maps of (image row, class index) pairs sorted by row, (M, h, w) float32 on the layer's own grid.

    All classes of an image come from one call, so each image passes the network once.
    """
    rows = np.unique(pairs[:, 0])
    classes = np.unique(pairs[:, 1])
    parts: list[NDArray[np.float32]] = [np.zeros((0, 1, 1), dtype=np.float32)]
    for positions, images in image_batches(network, data.pixels, rows, batch_size):
        maps = attribution(network.module, images, classes.tolist()).cpu().numpy()
        here = pairs[np.isin(pairs[:, 0], rows[positions])]
        image = np.searchsorted(rows[positions], here[:, 0])
        parts.append(maps[image, np.searchsorted(classes, here[:, 1])])
        advance(positions.size)
    return np.concatenate(parts[1:] or parts)


def _scores(
    data: ExperimentData, pairs: NDArray[np.int64], maps: NDArray[np.float32], lens: AlignmentLens
) -> pd.DataFrame:
    metrics: dict[str, AlignmentMetric] = {
        metric.key: METRICS.build(metric.name, **metric.settings) for metric in lens.metrics
    }
    tables = [pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in _SCORE_COLUMNS})]
    for number in np.unique(pairs[:, 1]).tolist():
        name = data.classes[number]
        here = np.flatnonzero(pairs[:, 1] == number)
        rows = pairs[here, 0]
        masks = np.stack([data.mask(row, name) for row in rows.tolist()])
        table = score_pairs(maps[here], masks, data.patient_ids[rows], metrics)
        images = data.image_ids[rows][table["pair"].to_numpy()]
        tables.append(table.drop(columns="pair").assign(image_id=images, **{"class": name}))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _dtype(name: str) -> str:
    if name == "degenerate":
        return "bool"
    return "float64" if name in {"value", "reference", "excess", "area"} else "str"
