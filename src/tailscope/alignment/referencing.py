"""The value of each metric on maps that know no model, pair by pair; excess over them is read against these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.pairing import degenerate_maps
from tailscope.alignment.reference_maps import ReferenceMap, ReferenceScene
from tailscope.alignment.registry import AlignmentMetric
from tailscope.alignment.scoring import cross_scores, pair_values
from tailscope.core import InputError

ImageSource = Callable[[int], NDArray[np.floating]]
_CHUNK_IMAGES = 32
_COLUMNS = ["pair", "metric", "reference", "value", "reason"]


def reference_scores(
    references: Mapping[str, ReferenceMap],
    masks: PackedMasks,
    metrics: Mapping[str, AlignmentMetric],
    images: ImageSource | None = None,
    annotations: NDArray[np.floating] | None = None,
) -> pd.DataFrame:
    """Score reference maps on the pairs of ONE class. They do not depend on any run, so one table serves them all.

    Args:
        references: From the name to print to the map.
        masks: The M masks of the class.
        metrics: From the name to print to the metric.
        images: From the pair's number to its (H, W) image, floating in [0, 1]; read a few at a time, and only where a
            map needs them.
        annotations: (H, W) mean of the class's training masks; see :meth:`~tailscope.alignment.PackedMasks.mean`.

    Returns:
        One row for each (reference, metric, pair): ``pair``, ``metric``, ``reference``, ``value`` and ``reason``: "",
        "empty annotation", "degenerate map" (counts as uniform), "undefined", or "no images", "no annotations" where
        the map cannot be made, with NaN.

    Raises:
        InputError: An image, the annotations or a map do not fit the frame of the masks.

    Example:
        >>> import numpy as np
        >>> from tailscope.alignment import METRICS, REFERENCE_MAPS
        >>> masks = PackedMasks.of(np.array([[[True, False, False]], [[False, True, False]]]))
        >>> hill, mass = REFERENCE_MAPS.build("centre_gaussian"), METRICS.build("mass_inside")
        >>> reference_scores({"centre": hill}, masks, {"mass": mass})["value"].round(3).tolist()
        [0.226, 0.549]
    """
    tables = [pd.DataFrame(columns=_COLUMNS)]
    for name, reference in references.items():
        parts = [
            _scored(reference, scene, masks.take(begin, end), metrics).assign(begin=begin)
            for begin, end, scene in _scenes(reference, masks, images, annotations)
        ]
        table = pd.concat(parts, ignore_index=True)
        table = table.assign(pair=table["pair"] + table["begin"], reference=name)
        place = {metric: number for number, metric in enumerate(metrics)}
        tables.append(table.iloc[np.lexsort((table["pair"], table["metric"].map(place)))][_COLUMNS])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _scenes(
    reference: ReferenceMap,
    masks: PackedMasks,
    images: ImageSource | None,
    annotations: NDArray[np.floating] | None,
) -> Iterator[tuple[int, int, ReferenceScene]]:
    """First pair, last pair + 1 and scene: one scene for all pairs, or some images at a time."""
    if reference.needs != "images" or images is None:
        yield 0, len(masks), ReferenceScene(masks.frame, None, annotations)
        return
    for begin in range(0, len(masks), _CHUNK_IMAGES):
        end = min(begin + _CHUNK_IMAGES, len(masks))
        some = np.stack([np.asarray(images(pair)) for pair in range(begin, end)])
        yield begin, end, ReferenceScene(masks.frame, some, annotations)


def _scored(
    reference: ReferenceMap, scene: ReferenceScene, masks: PackedMasks, metrics: Mapping[str, AlignmentMetric]
) -> pd.DataFrame:
    """``pair``, ``metric``, ``value`` and ``reason`` of one reference map in one scene."""
    saliency = reference(scene)
    if saliency is None:
        return _listed(dict.fromkeys(metrics, np.full(len(masks), np.nan)), f"no {reference.needs}")
    if saliency.shape == (len(masks), *masks.frame):
        return pair_values(saliency, masks, metrics)[["pair", "metric", "value", "reason"]]
    if saliency.shape != masks.frame:
        raise InputError(
            f"{reference} must give a map {masks.frame}, or one for each of {len(masks)} pairs; got {saliency.shape}"
        )
    shared = saliency.astype(np.float32)[None]
    values = {name: cross_scores(metric, shared, masks)[0] for name, metric in metrics.items()}
    table = _listed(values, "")
    table.loc[table["value"].isna(), "reason"] = "undefined"
    if degenerate_maps(shared)[0]:
        table["reason"] = "degenerate map"
    table.loc[np.tile(masks.bits.areas == 0, len(metrics)), "reason"] = "empty annotation"
    return table


def _listed(values: Mapping[str, NDArray[np.float64]], reason: str) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"pair": np.arange(column.size), "metric": name, "value": column, "reason": reason})
        for name, column in values.items()
    ]
    return pd.concat(parts, ignore_index=True)
