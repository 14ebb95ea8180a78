"""The audit of a treatment: what was really drawn, and what the loss really does to each class."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core.errors import InputError
from tailscope.treatments.cross_entropy import WeightedBCE

LOG_CHANCE = 18.0  # a difference is reported if chance explains it less often than 2·e^−18: once in 30 million


def sampling_audit(
    targets: NDArray[np.floating],
    weights: NDArray[np.float64] | None,
    drawn_indices: NDArray[np.integer],
    classes: Sequence[str],
) -> dict[str, Any]:
    """What an epoch drew, against what the weights promise.

    Args:
        targets: (N, K) in {0, 1, NaN}; NaN is no positive.
        weights: (N,) draw weights, or None where every image is drawn equally often, without replacement.
        drawn_indices: (M,) the images in the order drawn.
        classes: K names.

    Returns:
        Plain numbers and lists, for ``audit.json``: ``images``, ``draws``, ``images_with_zero_weight``;
        ``images_drawn`` at least once and ``images_drawn_expected``; ``draw_counts`` (as text: times drawn, to the
        number of images); ``classes``: per class ``prevalence`` (share of the images), ``expected`` and ``realised``
        share of the draws that are positive, their ``ratio`` (NaN where nothing is expected) and ``z``, the difference
        in standard errors of the draw; ``cooccurrence_expected`` and ``cooccurrence_realised``, (K, K) shares of the
        draws that are positive for both; ``largest_z`` in absolute value; ``chi_square``, the sum of z².

    Raises:
        InputError: Lengths do not fit, a weight is negative or not finite, none is positive, or an index is out of
            range.

    Example:
        >>> audit = sampling_audit(np.eye(2), np.array([3.0, 1.0]), np.array([0, 1, 0, 0]), ["mass", "hernia"])
        >>> audit["classes"]["mass"]["expected"], audit["classes"]["mass"]["realised"], audit["draw_counts"]
        (0.75, 0.75, {'1': 1, '3': 1})
    """
    positive = _positives(targets, classes)
    probabilities = _probabilities(weights, len(positive))
    counts = _draw_counts(drawn_indices, len(positive))
    draws = int(counts.sum())
    expected = _shares(positive, probabilities)
    realised = _shares(positive, counts / draws)
    error = _standard_errors(expected.diagonal(), draws, None if weights is not None else len(positive))
    z = _z_scores(realised.diagonal() - expected.diagonal(), error)
    prevalence = positive.mean(axis=0)
    times, images = np.unique(counts, return_counts=True)
    return {
        "images": len(positive),
        "draws": draws,
        "images_with_zero_weight": int(np.sum(probabilities == 0)),
        "images_drawn": int(np.sum(counts > 0)),
        "images_drawn_expected": _expected_distinct(probabilities, draws, with_replacement=weights is not None),
        "draw_counts": {str(time): int(number) for time, number in zip(times, images, strict=True)},
        "classes": {
            name: {
                "prevalence": float(prevalence[c]),
                "expected": float(expected[c, c]),
                "realised": float(realised[c, c]),
                "ratio": _ratio(float(realised[c, c]), float(expected[c, c])),
                "z": float(z[c]),
            }
            for c, name in enumerate(classes)
        },
        "cooccurrence_expected": expected.tolist(),
        "cooccurrence_realised": realised.tolist(),
        "largest_z": float(np.max(np.abs(z), initial=0.0)),
        "chi_square": float(np.sum(z**2)),
    }


def gradient_audit(loss: nn.Module, logits: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """How hard the loss pulls at each class, against the control's pull on the same logits.

    It is computed on a copy in float64 on the CPU: the loss and its parameters stay as they are.

    Args:
        loss: A treatment's loss.
        logits: (N, K), e.g. of the untrained network or at the end of an epoch.
        targets: (N, K) in {0, 1, NaN}.
        classes: K names.

    Returns:
        Plain numbers, for ``audit.json``: ``loss``, ``loss_control`` and their ``loss_ratio``; ``classes``: per class
        ``positives`` and ``negatives``, the summed sizes of ∂L/∂x over the positive and over the negative images, and
        ``positives_to_control`` and ``negatives_to_control``, their ratios to the control's (NaN without such images).

    Raises:
        InputError: The shapes are not (N, K).

    Example:
        >>> loss = WeightedBCE(1, positive_weight=np.array([3.0]))
        >>> audit = gradient_audit(loss, torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), ["mass"])
        >>> audit["classes"]["mass"]["positives_to_control"], audit["classes"]["mass"]["negatives_to_control"]
        (3.0, 1.0)
    """
    value, pulls = _pulls(loss, logits, targets)
    control, control_pulls = _pulls(WeightedBCE(len(classes)), logits, targets)
    return {
        "loss": value,
        "loss_control": control,
        "loss_ratio": _ratio(value, control),
        "classes": {
            name: {
                "positives": float(pulls[0, c]),
                "negatives": float(pulls[1, c]),
                "positives_to_control": _ratio(float(pulls[0, c]), float(control_pulls[0, c])),
                "negatives_to_control": _ratio(float(pulls[1, c]), float(control_pulls[1, c])),
            }
            for c, name in enumerate(classes)
        },
    }


def check_audit(audit: Mapping[str, Any]) -> list[str]:
    """What is wrong with a treatment, one sentence each; empty if it does what it promises.

    Args:
        audit: May hold ``"sampling"``, from :func:`sampling_audit`, and ``"gradients"``, a mapping from the moment
            (e.g. ``"initial"``) to what :func:`gradient_audit` returned.

    Example:
        >>> drawn = sampling_audit(np.eye(2), np.array([1.0, 0.0]), np.array([0, 0]), ["mass", "hernia"])
        >>> for problem in check_audit({"sampling": drawn}):
        ...     print(problem)
        1 of 2 images have draw weight 0: they are never seen
        class 'hernia' is never drawn, though 50 % of the images are positive
    """
    problems = _sampling_problems(audit["sampling"]) if "sampling" in audit else []
    for moment, gradients in audit.get("gradients", {}).items():
        problems.extend(f"{moment}: {problem}" for problem in _gradient_problems(gradients))
    return problems


def _sampling_problems(audit: Mapping[str, Any]) -> list[str]:
    problems = []
    if audit["images_with_zero_weight"]:
        problems.append(
            f"{audit['images_with_zero_weight']} of {audit['images']} images have draw weight 0: they are never seen"
        )
    expected = audit["images_drawn_expected"]
    # Σ q(1−q) over the images' chances q of being drawn is at most this (Jensen), and the draws only lower it.
    if _beyond_chance(expected - audit["images_drawn"], expected * max(1 - expected / audit["images"], 0)):
        problems.append(f"{audit['images_drawn']} different images were drawn; expected about {expected:.0f}")
    for name, share in audit["classes"].items():
        if share["prevalence"] > 0 and share["expected"] == 0:
            problems.append(
                f"class {name!r} is never drawn, though {100 * share['prevalence']:.2g} % of the images are positive"
            )
        elif _beyond_chance(*_count_difference(share, audit["draws"])):
            problems.append(
                f"class {name!r} is positive in {share['realised']:.3g} of the draws; expected {share['expected']:.3g}"
            )
    return problems


def _count_difference(share: Mapping[str, float], draws: int) -> tuple[float, float]:
    """By how many positive draws a class differs from its expectation, and the variance of that number."""
    if share["z"] == 0:
        return 0.0, 0.0
    difference = abs(share["realised"] - share["expected"]) * draws
    return difference, (difference / share["z"]) ** 2


def _beyond_chance(difference: float, variance: float) -> bool:
    """Whether a count differs too much for chance, by Bernstein's inequality: a z alone misleads for rare events.

    Without any variance, every difference counts.
    """
    if difference <= 0 or variance == 0:
        return difference > 0
    return difference**2 / (2 * (variance + difference / 3)) > LOG_CHANCE


def _gradient_problems(audit: Mapping[str, Any]) -> list[str]:
    problems = [] if math.isfinite(audit["loss"]) else [f"the loss is {audit['loss']}; expected a finite number"]
    for name, pulls in audit["classes"].items():
        for side in ("positives", "negatives"):
            if not math.isfinite(pulls[side]):
                problems.append(f"class {name!r}: the gradient of its {side} is {pulls[side]}; expected finite numbers")
        # Negatives may lose their gradient on purpose (margin); a positive never does.
        if pulls["positives_to_control"] == 0:
            problems.append(f"class {name!r}: its positives have no gradient")
    return problems


def _pulls(loss: nn.Module, logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """The loss, and the summed |∂L/∂x| (2, K): over the positives, over the negatives; float64."""
    with torch.enable_grad():
        leaf = logits.detach().cpu().double().clone().requires_grad_()
        known = targets.cpu()
        value = copy.deepcopy(loss).cpu().double()(leaf, known)
        (gradient,) = torch.autograd.grad(value, leaf)
    sides = [torch.where(known == side, gradient.abs(), 0).sum(dim=0) for side in (1, 0)]
    return float(value.detach()), torch.stack(sides)


def _positives(targets: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.float64]:
    if targets.ndim != 2 or targets.shape[1] != len(classes):
        raise InputError(f"`targets` must be (N, {len(classes)}), one column per class; got {targets.shape}")
    return np.asarray(targets == 1, dtype=np.float64)


def _probabilities(weights: NDArray[np.float64] | None, num_images: int) -> NDArray[np.float64]:
    if weights is None:
        return np.full(num_images, 1 / num_images)
    usable = weights.shape == (num_images,) and np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0
    if not usable:
        raise InputError(
            f"`weights` must be {num_images} finite numbers, one per image, 0 or more and not all 0; "
            f"got shape {weights.shape}"
        )
    return np.asarray(weights / weights.sum())


def _draw_counts(drawn: NDArray[np.integer], num_images: int) -> NDArray[np.int64]:
    if not len(drawn) or drawn.min() < 0 or drawn.max() >= num_images:
        raise InputError(f"`drawn_indices` must be one or more numbers in [0, {num_images}); got {drawn}")
    return np.bincount(drawn, minlength=num_images)


def _shares(positive: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, K): the share of draws positive for both classes; a class with itself on the diagonal."""
    return np.asarray((positive * probabilities[:, None]).T @ positive)


def _standard_errors(shares: NDArray[np.float64], draws: int, epoch: int | None) -> NDArray[np.float64]:
    """Of a share among draws with replacement; or without, from an ``epoch`` of so many images at a time.

    Whole epochs draw every image alike, so only the images of the last, partial epoch vary (hypergeometric).
    """
    variance = shares * np.maximum(1 - shares, 0)
    if epoch is None:
        return np.asarray(np.sqrt(variance / draws))
    partial = draws % epoch
    return np.asarray(np.sqrt(variance * partial * (epoch - partial) / max(epoch - 1, 1)) / draws)


def _z_scores(difference: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences in standard errors; without an error a difference is infinite, but for rounding."""
    difference = np.where(np.abs(difference) < 1e-12, 0, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(difference == 0, 0, difference / error))


def _expected_distinct(probabilities: NDArray[np.float64], draws: int, *, with_replacement: bool) -> float:
    if not with_replacement:
        return float(min(len(probabilities), draws))
    return float(np.sum(-np.expm1(draws * np.log1p(-np.minimum(probabilities, 1 - 1e-16)))))


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference else math.nan
