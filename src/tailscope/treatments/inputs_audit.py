"""The audit of what a treatment was built from: class counts and draw weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.draws import probabilities_of
from tailscope.treatments.gradient_audit import value_and_gradient
from tailscope.treatments.plan import ImbalanceTreatment, TreatmentPlan, weights_of

_SAME = 1e-9  # relative; weights and gradients are recomputed in float64, in the same order
_PROBE_IMAGES = 64


def counts_audit(counts: ClassCounts, targets: NDArray[np.floating]) -> dict[str, Any]:
    """Whether the counts that a plan was built with are those of the training rows.

    Args:
        counts: As handed to the treatment.
        targets: (N, K) in {0, 1, NaN} of the training rows.

    Returns:
        ``same``, and ``classes``: per class ``positives`` and ``negatives`` as stated, ``positives_in_rows`` and
        ``negatives_in_rows``.

    Example:
        >>> counts_audit(ClassCounts(("mass",), (1,), (2,)), np.array([[1.0], [0.0], [0.0]]))["same"]
        True
    """
    found = ClassCounts.from_targets(counts.names, targets)
    rows = zip(counts.names, counts.positives, counts.negatives, found.positives, found.negatives, strict=True)
    return {
        "same": counts == found,
        "classes": {
            name: {"positives": p, "negatives": n, "positives_in_rows": in_p, "negatives_in_rows": in_n}
            for name, p, n, in_p, in_n in rows
        },
    }


def weights_audit(
    used: NDArray[np.float64] | None,
    plan: TreatmentPlan,
    targets: NDArray[np.floating],
    attributes: Mapping[str, NDArray[Any]] | None = None,
    partner: bool = False,
) -> dict[str, Any]:
    """Whether the draw weights in use are those that the plan gives for the training rows.

    Args:
        used: The weights that training draws with, or None.
        plan: The treatment's plan.
        targets: (N, K) in {0, 1, NaN} of the training rows.
        attributes: Columns of the training rows, by name.
        partner: Whether they are the weights of a mix-up's partners.

    Returns:
        ``images``, ``weights`` (their number; 0 for None), ``weights_by_plan``, ``images_that_differ`` (by more than
        1e-9 of the mean weight, after scaling both to the same sum) and ``same``.

    Example:
        >>> from torch import nn
        >>> plan = TreatmentPlan(nn.BCEWithLogitsLoss(), sample_weights=lambda targets: targets[:, 0] + 1)
        >>> found = weights_audit(np.array([1.0, 2.0]), plan, np.array([[1.0], [0.0]]))  # of the rows in other order
        >>> found["images_that_differ"], found["same"]
        (2, False)
    """
    given = _weights_by(plan, targets, dict(attributes or {}), partner)
    lengths = {
        "images": len(targets),
        "weights": 0 if used is None else len(used),
        "weights_by_plan": 0 if given is None else len(given),
    }
    if used is None or given is None:
        return {**lengths, "images_that_differ": 0, "same": used is None and given is None}
    if not len(used) == len(given) == len(targets):
        return {**lengths, "images_that_differ": 0, "same": False}
    gap = np.abs(probabilities_of(used, len(used)) - probabilities_of(given, len(given))) * len(used)
    return {**lengths, "images_that_differ": int(np.sum(gap > _SAME)), "same": bool((gap <= _SAME).all())}


def rebuilt_audit(
    treatment: ImbalanceTreatment,
    plan: TreatmentPlan,
    targets: NDArray[np.floating],
    classes: Sequence[str],
    attributes: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, Any]:
    """Whether a plan is the one that its treatment gives for the counts of the training rows.

    The treatment is built anew from the rows. Stage by stage the gradients of both losses are compared on fixed logits,
    and the draw weights (of images and of partners) on the rows; then the step after training. It finds counts of other
    rows inside a plan, whatever counts are said to have made it.

    Args:
        treatment: Of the arm.
        plan: As training uses it, before its parameters have learnt.
        targets: (N, K) in {0, 1, NaN} of the training rows.
        classes: K names.
        attributes: Columns of the training rows, by name.

    Returns:
        ``same``, of all that follow; ``same_loss``, and ``largest_change`` of a gradient, relative to the largest
        gradient; ``same_draws``; ``same_parts`` (phases, what is trained, the share of a mix-up, the step after
        training); ``stages``, their number.
    """
    anew = treatment(ClassCounts.from_targets(tuple(classes), targets))
    logits, labels = _probe(targets)
    pairs = [(first, second) for (_, first), (_, second) in zip(plan.stages, anew.stages, strict=False)]
    largest = max(_change(first, second, logits, labels) for first, second in pairs)
    draws = all(_same_draws(first, second, targets, attributes) for first, second in pairs)
    alike = [start for start, _ in plan.stages] == [start for start, _ in anew.stages]
    parts = alike and all(_same_parts(first, second) for first, second in pairs)
    return {
        "same": parts and draws and largest <= _SAME,
        "same_loss": largest <= _SAME,
        "largest_change": largest,
        "same_draws": draws,
        "same_parts": parts,
        "stages": len(plan.stages),
    }


def _same_draws(
    first: TreatmentPlan,
    second: TreatmentPlan,
    targets: NDArray[np.floating],
    attributes: Mapping[str, NDArray[Any]] | None,
) -> bool:
    columns = dict(attributes or {})
    return all(
        weights_audit(_weights_by(first, targets, columns, partner), second, targets, columns, partner)["same"]
        for partner in (False, True)
    )


def _same_parts(first: TreatmentPlan, second: TreatmentPlan) -> bool:
    mixed = [None if plan.mixing is None else plan.mixing.alpha for plan in (first, second)]
    fits = [None if plan.after_training is None else plan.after_training.fit for plan in (first, second)]
    # Only records can be compared; two functions differ although they do the same.
    same_fit = fits[0] == fits[1] or not all(is_dataclass(fit) for fit in fits)
    return first.trains == second.trains and mixed[0] == mixed[1] and same_fit


def _weights_by(
    plan: TreatmentPlan, targets: NDArray[np.floating], attributes: dict[str, NDArray[Any]], partner: bool
) -> NDArray[np.float64] | None:
    if not partner:
        return plan.draw_weights(targets, attributes)
    if plan.mixing is None:
        return None
    return weights_of(plan.mixing.partner_weights, targets, plan.mixing.attributes, attributes)


def _probe(targets: NDArray[np.floating]) -> tuple[torch.Tensor, torch.Tensor]:
    """Fixed logits for some training labels, positives of every class among them."""
    first = [np.flatnonzero(targets[:, c] == 1)[:4] for c in range(targets.shape[1])]
    rows = np.unique(np.concatenate([np.arange(min(_PROBE_IMAGES, len(targets))), *first]))
    grid = np.linspace(-2, 2, rows.size * targets.shape[1]).reshape(targets.shape[1], rows.size).T
    return torch.tensor(grid), torch.tensor(np.asarray(targets[rows], dtype=np.float64))


def _change(first: TreatmentPlan, second: TreatmentPlan, logits: torch.Tensor, labels: torch.Tensor) -> float:
    try:
        (_, own), (_, anew) = (value_and_gradient(plan.loss, logits, labels) for plan in (first, second))
    except InputError:  # a plan for another number of classes
        return float("inf")
    largest = float(anew.abs().max())
    return float((own - anew).abs().max()) / largest if largest else float(own.abs().max())
