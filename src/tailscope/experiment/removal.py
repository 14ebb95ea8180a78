"""What a classifier says when something is taken out of the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.alignment import inpaint
from tailscope.core import ExperimentData, child_seed
from tailscope.experiment.confounders import Confounder
from tailscope.experiment.fitting import read_record, test_logits
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run
from tailscope.models import Network
from tailscope.training import predict
from tailscope.treatments import TREATMENTS, AffineLogits

Floats = NDArray[np.float64]
_MARGIN = 0.01  # of the shorter side: artifacts have soft edges, and a mask is drawn at a share of their height


@dataclass(frozen=True, eq=False)
class Removal:
    """How far each logit falls without the confounder, in standard deviations of that logit over the test split.

    Args:
        value: (b, K) x(with) − x(without); positive: the logit rests on it.
        placebo: (b, K) the same for the mirrored place; NaN where there is none.
        covered: (b,) bool, whether the mask leaves nothing of the picture to fill it from; ``value`` is NaN there.
    """

    value: Floats
    placebo: Floats
    covered: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LogitScale:
    """From what the network says to the logits of the predictions, and their spread.

    Args:
        network: The classifier.
        adjusted: From the network's logits (b, K) to log-odds as in ``predictions.parquet``.
        spread: (K,) standard deviation over the test split; NaN for a class whose logit is constant.
        batch_size: Images per forward pass.
    """

    network: Network
    adjusted: Callable[[NDArray[np.float32]], Floats]
    spread: Floats
    batch_size: int

    @classmethod
    def of(
        cls, folder: ExperimentFolder, run: Run, network: Network, data: ExperimentData, batch_size: int
    ) -> LogitScale:
        """Of a finished run, read from its record and its predictions."""
        record = read_record(folder, run)
        treatment = record["treatment"]
        adjust = TREATMENTS.build(treatment["name"], **treatment["settings"])(data.counts).adjust_logits
        fitted = record["adjustment"]

        def adjusted(logits: NDArray[np.float32]) -> Floats:
            found = logits if adjust is None else adjust(torch.from_numpy(logits)).numpy()
            if fitted is not None:
                found = AffineLogits(tuple(fitted["scale"]), tuple(fitted["shift"]))(found)
            return np.asarray(found, dtype=np.float64)

        spread = test_logits(folder, run.name, data.classes).astype(np.float64).std(axis=0)
        return cls(network, adjusted, np.where(spread > 0, spread, np.nan), batch_size)

    def logits(self, pixels: NDArray[np.uint8]) -> Floats:
        """(b, K) logits of pixels (b, H, W, C)."""
        return self.adjusted(predict(self.network, pixels, np.arange(len(pixels)), self.batch_size))


def placebo_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask mirrored left to right, without the pixels of the mask itself: like anatomy, no confounder.

    >>> placebo_mask(np.array([[True, True, False, False, False]])).tolist(), placebo_mask(np.eye(1, dtype=bool)).any()
    ([[False, False, False, True, True]], np.False_)
    """
    return np.asarray(mask[:, ::-1] & ~mask)


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its surroundings, 1 % of the shorter side wide and at least 1 pixel."""
    width = max(1, round(_MARGIN * min(mask.shape)))
    return np.asarray(ndimage.maximum_filter(mask, 2 * width + 1, mode="constant"))


def removal_effect(
    scale: LogitScale, data: ExperimentData, confounder: Confounder, chosen: NDArray[np.intp]
) -> Removal:
    """Take the confounder out of some images by inpainting, and look at every logit.

    The mask is :func:`widened`. The placebo is :func:`placebo_mask` of the widened mask in the same image, so it covers
    as much or, where both overlap, less.

    Args:
        scale: The classifier and its logits.
        data: The experiment's data.
        confounder: Where it is.
        chosen: (b,) places in ``confounder.rows``.
    """
    rows = confounder.rows[chosen]
    masks = np.array([widened(confounder.masks[place]) for place in chosen])
    pixels = np.asarray(data.pixels[rows])
    seeds = [child_seed(0, "confounder removal", str(name)) for name in data.image_ids[rows]]
    before = scale.logits(pixels)
    return Removal(
        _fall(scale, before, pixels, masks, seeds),
        _fall(scale, before, pixels, np.array([placebo_mask(mask) for mask in masks]), seeds),
        np.asarray(masks.all(axis=(1, 2))),
    )


def _fall(
    scale: LogitScale, before: Floats, pixels: NDArray[np.uint8], masks: NDArray[np.bool_], seeds: list[int]
) -> Floats:
    """(b, K) standardised fall of the logits; NaN where a mask is empty, or leaves nothing to fill it from."""
    fall = np.full(before.shape, np.nan)
    able = np.flatnonzero(masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2)))
    if able.size:
        filled = np.stack([inpaint(pixels[place], masks[place], seed=seeds[place]) for place in able])
        fall[able] = (before[able] - scale.logits(filled)) / scale.spread
    return fall
