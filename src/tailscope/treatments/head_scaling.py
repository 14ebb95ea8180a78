"""Scales per class for a trained head: τ-normalisation and learnt scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailscope.core.errors import InputError
from tailscope.treatments.adjustment import AffineLogits, FittedOn
from tailscope.treatments.plan import SampleWeights
from tailscope.treatments.scale_fitting import best_scale


@dataclass(frozen=True)
class TauNormalization:
    """Divide the part of a logit that the weights give by the length of its row to the power τ; the bias stays.

    The lengths are taken relative to their geometric mean, so that the logits keep their overall scale.

    Source: Kang et al. (ICLR 2020), equation 4 (there without the bias, and without the common factor, which changes no
    ranking and no arg max).

    Args:
        tau: τ, 0 or more.
    """

    tau: float

    def __call__(self, fitted_on: FittedOn) -> AffineLogits:
        """The adjustment.

        Raises:
            InputError: The network has no linear head.
        """
        if fitted_on.head_weight is None:
            raise InputError(
                "tau_normalized needs a network whose last layer is linear, one row per class; it has none"
            )
        lengths = np.linalg.norm(fitted_on.head_weight, axis=1)
        scale = (lengths / np.exp(np.log(lengths).mean())) ** -self.tau
        return _around(scale, fitted_on)


@dataclass(frozen=True)
class LearntScale:
    """One scale per class that minimises cross-entropy on the training images, weighted as a sampler draws them.

    Source: Kang et al. (ICLR 2020), section 4.2, learnable weight scaling; the weights of the head are fixed, so the
    problem is convex in one number per class and solved exactly.

    Args:
        sample_weights: Draw weights of the sampler.
    """

    sample_weights: SampleWeights

    def __call__(self, fitted_on: FittedOn) -> AffineLogits:
        """The adjustment; a class without both sides keeps its scale and is noted."""
        drawn = np.asarray(self.sample_weights(fitted_on.train_targets), dtype=np.float64)
        fits = [
            best_scale(logits - bias, targets, weights=drawn, offset=float(bias))
            for logits, targets, bias in zip(
                fitted_on.train_logits.T, fitted_on.train_targets.T, fitted_on.head_bias, strict=True
            )
        ]
        named = zip(fitted_on.classes, fits, strict=True)
        notes = tuple(f"class {name!r}: {fit.note}" for name, fit in named if fit.note)
        adjusted = _around(np.array([fit.scale for fit in fits]), fitted_on)
        return AffineLogits(adjusted.scale, adjusted.shift, notes)


def _around(scale: np.ndarray, fitted_on: FittedOn) -> AffineLogits:
    """s·(x−b)+b: the scale acts on what the weights give."""
    shift = (1 - scale) * fitted_on.head_bias
    return AffineLogits(tuple(map(float, scale)), tuple(map(float, shift)))
