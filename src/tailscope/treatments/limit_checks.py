"""The limit case that a treatment states about itself, run as a check of value and gradient."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import WeightedBCE
from tailscope.treatments.limits import LimitCase
from tailscope.treatments.plan import ImbalanceTreatment, TreatmentPlan

TOLERANCE = 1e-9
_IMAGES = 60


def check_limit(treatment: ImbalanceTreatment | Callable[..., ImbalanceTreatment]) -> dict[str, Any]:
    """Whether a treatment, in the limit case that its class states, is what the case says.

    The class is built with the settings of its limit and applied to fixed logits, ±30 among them, with labels and
    counts that fulfil the limit's conditions. Every stage of its plan must hold.

    Args:
        treatment: A treatment, or its class. An ``as_published`` one states none: the limit is that of the corrected
            form.

    Returns:
        ``says``, the case in words; ``value_error`` and ``gradient_error``, the largest relative difference (of the
        gradient: relative to its largest entry; for a sampler, of the draw weights, as the value) in float64;
        ``holds``: both are at most 1e-9, None where no limit is stated; ``reason`` where it could not be computed.

    Example:
        >>> from tailscope.treatments.warm_up import WarmUp
        >>> found = check_limit(WarmUp)
        >>> found["says"], found["holds"]
        ('a treatment that is control: control throughout', True)
    """
    limit = getattr(treatment, "limit", None)
    if limit is None or getattr(treatment, "variant", None) == "as_published":
        return {"says": "not stated", "value_error": math.nan, "gradient_error": math.nan, "holds": None, "reason": ""}
    kind = treatment if isinstance(treatment, type) else type(treatment)
    try:
        value_error, gradient_error = _errors(kind, limit)
    except InputError as error:
        return {**_record(limit, math.nan, math.nan), "reason": str(error)}
    return {**_record(limit, value_error, gradient_error), "reason": ""}


def _record(limit: LimitCase, value_error: float, gradient_error: float) -> dict[str, Any]:
    holds = value_error <= TOLERANCE and gradient_error <= TOLERANCE
    return {"says": limit.says, "value_error": value_error, "gradient_error": gradient_error, "holds": holds}


def _errors(kind: Callable[..., ImbalanceTreatment], limit: LimitCase) -> tuple[float, float]:
    counts, logits, targets = _batch(limit)
    stages = [plan for _, plan in kind(**limit.settings)(counts).stages]
    errors = [_loss_errors(plan, limit, logits, targets) for plan in stages]
    draws = [_draw_error(kind, limit)] if limit.uniform_draws else []
    return _largest([value for value, _ in errors] + draws), _largest([gradient for _, gradient in errors])


def _loss_errors(plan: TreatmentPlan, limit: LimitCase, logits: Tensor, targets: Tensor) -> tuple[float, float]:
    value, gradient = _computed(copy.deepcopy(plan.loss).double(), logits, targets)
    expected, expected_gradient = _expected(limit, logits, targets)
    return _relative(value, expected), _relative(gradient, expected_gradient)


def _expected(limit: LimitCase, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if limit.value is not None:
        return _computed(limit.value, logits, targets)
    factor = 1.0 if limit.factor is None else limit.factor
    if limit.per_class:
        factor *= logits.shape[1]
    value, gradient = _computed(WeightedBCE(logits.shape[1]), logits, targets)
    return factor * value, factor * gradient


def _computed(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, targets)
        (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference by the largest size expected; NaN if anything is not finite."""
    return float((found - expected).abs().max() / expected.abs().max())


def _largest(errors: list[float]) -> float:
    return math.nan if any(math.isnan(error) for error in errors) else max(errors)


def _batch(limit: LimitCase) -> tuple[ClassCounts, Tensor, Tensor]:
    """Counts, logits and targets, (60, K) each; K is 2 where one label per image is to be balanced, else 3."""
    generator = np.random.default_rng(20)
    num_classes = 2 if limit.single_label and limit.balanced else 3
    logits = generator.normal(scale=3.0, size=(_IMAGES, num_classes))
    logits[:2], logits[2:4] = 30.0, -30.0
    targets = _targets(limit, num_classes, generator)
    order = generator.permutation(_IMAGES)
    return _counts(limit, num_classes), torch.tensor(logits), torch.tensor(targets[order], dtype=torch.float64)


def _targets(limit: LimitCase, num_classes: int, generator: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    if limit.single_label:
        return np.eye(num_classes)[np.arange(_IMAGES) % num_classes]
    if limit.balanced:
        half = np.arange(_IMAGES) % 2
        return np.column_stack([generator.permutation(half) for _ in range(num_classes)])
    return (generator.random((_IMAGES, num_classes)) < [0.5, 0.4, 0.3]).astype(np.float64)


def _counts(limit: LimitCase, num_classes: int) -> ClassCounts:
    names = ("mass", "nodule", "hernia")[:num_classes]
    if limit.balanced:
        return ClassCounts(names, (50,) * num_classes, (50,) * num_classes)
    if limit.single_label:
        return ClassCounts(names, (60, 30, 10), (40, 70, 90))
    return ClassCounts(names, (40, 20, 4), (60, 80, 96))


def _draw_error(kind: Callable[..., ImbalanceTreatment], limit: LimitCase) -> float:
    """How far the weights are from uniform, on twelve images of three equally frequent classes, two columns crossed."""
    targets = np.eye(3)[np.arange(12) % 3]
    plan = kind(**limit.settings)(ClassCounts(("mass", "nodule", "hernia"), (4, 4, 4), (8, 8, 8)))
    column = np.where(np.arange(12) < 6, "first", "second")
    drawn = plan.draw_weights(targets, dict.fromkeys(plan.attributes, column))
    return 0.0 if drawn is None else float(np.abs(drawn / drawn.mean() - 1).max())
