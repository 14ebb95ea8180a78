"""How well one reader's mask finds what the other readers drew: the ceiling for a saliency map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.alignment.registry import AlignmentMetric
from tailscope.core import InputError

Against = Literal["union", "majority"]


def human_agreement(
    pairs: Iterable[Mapping[str, NDArray[np.bool_]]],
    metrics: Mapping[str, AlignmentMetric],
    against: Against = "union",
) -> pd.DataFrame:
    """What a human scores where the network is asked to look: in each metric's range, and read as that metric is.

    Each reader's mask is taken as a map of 1 inside and 0 outside and scored against what the OTHER readers drew on the
    same image, by the metric itself (so that ties inside the mask count as they do for any map); the value of a pair
    is the mean over its readers. It is a ceiling in the sense that a network that agrees with readers as well as they
    agree among themselves cannot be told from one of them; a map may score higher, for it is not bound to a mask.

    Args:
        pairs: Of each (image, class), reader to (H, W) bool, as ``ExperimentData.reader_masks`` gives it; read one at a
            time. Readers whose mask is empty count as having drawn nothing and are left out.
        metrics: From the name to print to the metric.
        against: The ``union`` of the other readers, or their ``majority`` (pixels that more than half of them drew).

    Returns:
        One row for each (metric, pair), metrics in the given order: ``pair`` (0 … M−1), ``metric``, ``value``,
        ``reference`` (what an uninformed map scores against the same masks, averaged alike; NaN where the metric's
        reference is empirical), ``excess``, ``readers`` (how many drew) and ``reason``: "", "fewer than two readers",
        or "undefined" (no majority among the others of any reader). Of a pair, readers for whom the metric is undefined
        are left out of both means.

    Raises:
        InputError: ``against`` is neither of the two, or the masks of a pair are not bool of one shape (H, W).

    Source: METHODS section 4 for the metrics; leaving one reader out, as in the human benchmark of Saporta et al.,
    Benchmarking saliency methods for chest X-ray interpretation (2022), which has a second group of readers instead.

    Example:
        >>> from tailscope.alignment import METRICS
        >>> drawn = {"a": np.array([[True, True, False, False]]), "b": np.array([[False, True, False, False]])}
        >>> table = human_agreement([drawn, {"a": drawn["a"]}], {"mass": METRICS.build("mass_inside")})
        >>> table["value"].tolist(), table["reason"].tolist()  # (1/2 + 1) / 2
        ([0.75, nan], ['', 'fewer than two readers'])
    """
    if against not in ("union", "majority"):
        raise InputError(f"`against` must be union or majority; got {against!r}")
    rows = [row for number, masks in enumerate(pairs) for row in _rows(number, masks, metrics, against)]
    columns = ["pair", "metric", "value", "reference", "excess", "readers", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    order = {name: place for place, name in enumerate(metrics)}
    return table.sort_values("metric", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def others_drew(drawn: NDArray[np.bool_], against: Against) -> NDArray[np.bool_]:
    """What all readers but one drew, for each one.

    Args:
        drawn: (R, H, W), one mask for each of at least two readers.
        against: ``union`` or ``majority``.

    Returns:
        (R, H, W) bool; entry r is without reader r.

    Example:
        >>> drawn = np.array([[[True, False]], [[True, True]], [[False, True]]])
        >>> others_drew(drawn, "majority").tolist()
        [[[False, True]], [[False, False]], [[True, False]]]
    """
    votes = drawn.sum(axis=0) - drawn.astype(np.int64)
    return np.asarray(votes > (0 if against == "union" else (len(drawn) - 1) / 2))


def _rows(
    number: int, masks: Mapping[str, NDArray[np.bool_]], metrics: Mapping[str, AlignmentMetric], against: Against
) -> Iterator[tuple[object, ...]]:
    drawn = _drawn(number, masks)
    if len(drawn) < 2:
        for name in metrics:
            yield number, name, np.nan, np.nan, np.nan, len(drawn), "fewer than two readers"
        return
    maps, targets = drawn.astype(np.float32), others_drew(drawn, against)
    for name, metric in metrics.items():
        values = metric(maps, targets)
        references = metric.reference(maps, targets)
        defined = ~np.isnan(values)
        if not defined.any():
            yield number, name, np.nan, np.nan, np.nan, len(drawn), "undefined"
            continue
        value, reference = float(values[defined].mean()), float(references[defined].mean())
        yield number, name, value, reference, value - reference, len(drawn), ""


def _drawn(number: int, masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """(R, H, W) the masks that are not empty."""
    kept = [np.asarray(mask) for mask in masks.values()]
    if any(mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape != kept[0].shape for mask in kept):
        shapes = ", ".join(f"{mask.shape} {mask.dtype}" for mask in kept)
        raise InputError(f"the masks of pair {number} must be bool of one shape (H, W); got {shapes}; draw them alike")
    kept = [mask for mask in kept if mask.any()]
    return np.stack(kept) if kept else np.zeros((0, 1, 1), dtype=np.bool_)
