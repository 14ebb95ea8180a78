"""Where networks look: the excess of each method's maps, by each metric, over each region of interest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment import METRICS, AlignmentMetric, score_pairs
from tailscope.attribution import ATTRIBUTIONS, Attribution, InsensitiveMethodWarning
from tailscope.core import ExperimentData
from tailscope.experiment import map_making
from tailscope.models import CoarseGridWarning, Network
from tailscope.performance import auroc
from tailscope.training import predict

Address = tuple[str, str, str]  # method, metric, region
Looks = dict[Address, NDArray[np.float64]]  # (M,) excess over the pairs of the region

FOR_TRANSFORMERS = ("attention_rollout", "transformer_attribution")
# Enough for a map whose noise is small beside the difference between two runs; all else stays at its default.
CHEAP: Mapping[str, Mapping[str, Any]] = {
    "extremal_perturbation": {"areas": (0.1,), "iterations": 60},
    "smoothgrad": {"samples": 16},
    "integrated_gradients": {"steps": 16},
    "occlusion": {"stride": 1 / 8},
    "rise": {"masks": 200},
}


@dataclass(frozen=True)
class Probe:
    """Images on which the map of one class is looked at, and the regions in which it may lie.

    Args:
        data: Whose test split is probed.
        finding: The class whose logit is explained.
        regions: Classes or artifacts whose masks are scored; an image counts for a region that it has.
        most: At most so many images: those that have the first two regions come first.
    """

    data: ExperimentData
    finding: str
    regions: tuple[str, ...]
    most: int = 100

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(N,) rows of test images with the finding."""
        test = self.data.rows("test")
        positive = test[self.data.targets[test, self.data.classes.index(self.finding)] == 1]
        has_both = np.array([all(self.data.mask(row, name).any() for name in self.regions[:2]) for row in positive])
        return np.asarray(np.sort(positive[np.argsort(~has_both, kind="stable")][: self.most]))

    @cached_property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """Region to (N, H, W); empty where an image does not have it."""
        return {name: np.stack([self.data.mask(row, name) for row in self.rows]) for name in self.regions}

    def places(self, region: str) -> NDArray[np.int64]:
        """(M,) positions in ``rows`` that have the region."""
        return np.flatnonzero(self.masks[region].any(axis=(1, 2)))

    def patients(self, region: str) -> NDArray[np.str_]:
        """(M,) patient of each pair of a region."""
        return self.data.patient_ids[self.rows[self.places(region)]]


def all_methods(layer: str, names: Sequence[str] = ()) -> dict[str, Attribution]:
    """Every registered method that works on a convolutional network, or those that are named."""
    chosen = names or [name for name in ATTRIBUTIONS.names() if name not in FOR_TRANSFORMERS]
    built = {}
    for name in chosen:
        shared = {"layer": layer} if "layer" in ATTRIBUTIONS.settings(name) else {}
        built[name] = ATTRIBUTIONS.build(name, **shared, **CHEAP.get(name, {}))
    return built


def all_metrics(names: Sequence[str] = ()) -> dict[str, AlignmentMetric]:
    """Every registered metric at its defaults, or those that are named."""
    return {name: METRICS.build(name) for name in names or METRICS.names()}


def look(
    network: Network, probe: Probe, methods: Mapping[str, Attribution], metrics: Mapping[str, AlignmentMetric]
) -> Looks:
    """The excess of every pair, for every method, metric and region."""
    found: Looks = {}
    for method, attribution in methods.items():
        maps = maps_of(attribution, network, probe)
        for region in probe.regions:
            places = probe.places(region)
            if not places.size:
                continue
            table = score_pairs(maps[places], probe.masks[region][places], probe.patients(region), metrics)
            for metric, part in table.groupby("metric", sort=False):
                found[method, str(metric), region] = part["excess"].to_numpy()
    return found


def maps_of(attribution: Attribution, network: Network, probe: Probe) -> NDArray[np.float32]:
    """(N, h, w) maps of the probed class on every probed image."""
    number = probe.data.classes.index(probe.finding)
    pairs = np.stack([probe.rows, np.full_like(probe.rows, number)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoarseGridWarning)
        warnings.simplefilter("ignore", InsensitiveMethodWarning)  # its table says so more plainly
        return map_making.maps_of(map_making.Question(attribution, network, probe.data, pairs, 64))


def auroc_on_test(network: Network, data: ExperimentData, finding: str) -> float:
    """AUROC of one class on a test split."""
    rows, number = data.rows("test"), data.classes.index(finding)
    return float(auroc(predict(network, data.pixels, rows), data.targets[rows])[number])
