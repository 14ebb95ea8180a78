"""The audit of a loss: how hard it pulls at each class, against control's pull on the same logits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core.grouping import GROUPS
from tailscope.treatments.chance import ratio
from tailscope.treatments.cross_entropy import WeightedBCE


@dataclass(frozen=True, eq=False)
class Pulls:
    """Summed sizes of ∂L/∂x per class.

    Args:
        positives: (K,) over the positive images.
        negatives: (K,) over the negative images.
    """

    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]

    @property
    def of_classes(self) -> NDArray[np.float64]:
        """(K,) over both."""
        return self.positives + self.negatives


def gradient_audit(
    loss: nn.Module,
    logits: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    groups: Sequence[str] = (),
    prevalences: Sequence[float] = (),
) -> dict[str, Any]:
    """How hard the loss pulls at each class, against the control's pull on the same logits.

    It is computed on a copy in float64 on the CPU: the loss and its parameters stay as they are.

    Whether the weights of the classes point the right way is read at logit 0 for every cell, not on the network's
    logits: there all classes are equally right, so that focusing (focal, asymmetric) weighs them alike and only weights
    by class remain. On the logits of a fresh network a class that happens to start one unit higher than another gets a
    fifth of its pull under focal loss with γ 2, though no class weighs less than another.

    Args:
        loss: A treatment's loss.
        logits: (N, K), e.g. of the untrained network or at the end of an epoch.
        targets: (N, K) in {0, 1, NaN}.
        classes: K names.
        groups: K names of class groups; empty leaves the groups out.
        prevalences: K training prevalences; empty takes those of ``targets``.

    Returns:
        Plain numbers, for ``audit.json``:

        - ``loss``, ``loss_control`` and their ``loss_ratio``;
        - ``gradient_norm``, the L2 norm of ∂L/∂x, ``gradient_norm_control`` and ``gradient_norm_ratio``: under plain
          gradient descent, the factor by which the loss changes the effective learning rate;
        - what :func:`pull_table` gives; each class has besides ``prevalence`` and ``positives_at_zero``, the ratio of
          the pull at its positives to control's with all logits 0;
        - ``learns``: whether the loss has parameters of its own.

    Raises:
        InputError: The shapes are not (N, K).

    Example:
        >>> loss = WeightedBCE(1, positive_weight=np.array([3.0]))
        >>> audit = gradient_audit(loss, torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), ["mass"])
        >>> audit["classes"]["mass"]["positives_to_control"], audit["classes"]["mass"]["negatives_to_control"]
        (3.0, 1.0)
        >>> audit["positives_share"], audit["positives_share_control"]
        (0.75, 0.5)
    """
    control = WeightedBCE(len(classes))
    value, gradient = value_and_gradient(loss, logits, targets)
    reference, reference_gradient = value_and_gradient(control, logits, targets)
    table = pull_table(pulls_of(gradient, targets), pulls_of(reference_gradient, targets), classes, groups)
    at_zero = _positives_at_zero(loss, control, targets)
    known = prevalences or _prevalences(targets)
    for c, name in enumerate(classes):
        table["classes"][name].update(prevalence=float(known[c]), positives_at_zero=float(at_zero[c]))
    return {
        "loss": value,
        "loss_control": reference,
        "loss_ratio": ratio(value, reference),
        **norms(float(gradient.norm()), float(reference_gradient.norm())),
        **table,
        "learns": any(True for _ in loss.parameters()),
    }


def pull_table(pulls: Pulls, control: Pulls, classes: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Pulls per class and per group, and control's, as plain numbers.

    Args:
        pulls: Of the treatment.
        control: Of the control on the same logits and targets.
        classes: K names.
        groups: K names of groups, or empty.

    Returns:
        ``classes``: per class ``positives`` and ``negatives``, the summed sizes of ∂L/∂x, ``positives_control``,
        ``positives_to_control`` and ``negatives_to_control`` (NaN without such images), and ``share`` of the whole.
        ``groups``: per group its ``classes`` (number), ``share`` and ``share_control`` of the whole, and of the pull at
        positives ``positives_share`` and ``positives_share_control``. Of the whole: ``positives_share``,
        ``negatives_share`` and ``positives_share_control``.

    Example:
        >>> even = Pulls(np.ones(2), np.ones(2))
        >>> table = pull_table(Pulls(np.array([1.0, 3.0]), np.ones(2)), even, ["mass", "hernia"], ["head", "tail"])
        >>> table["classes"]["hernia"]["positives_to_control"], round(table["groups"]["tail"]["share"], 3)
        (3.0, 0.667)
        >>> table["groups"]["tail"]["share_control"]
        0.5
    """
    total = float(pulls.of_classes.sum())
    return {
        "positives_share": ratio(float(pulls.positives.sum()), total),
        "negatives_share": ratio(float(pulls.negatives.sum()), total),
        "positives_share_control": ratio(float(control.positives.sum()), float(control.of_classes.sum())),
        "classes": {
            name: {
                "positives": float(pulls.positives[c]),
                "negatives": float(pulls.negatives[c]),
                "positives_control": float(control.positives[c]),
                "positives_to_control": ratio(float(pulls.positives[c]), float(control.positives[c])),
                "negatives_to_control": ratio(float(pulls.negatives[c]), float(control.negatives[c])),
                "share": ratio(float(pulls.of_classes[c]), total),
            }
            for c, name in enumerate(classes)
        },
        "groups": {name: _group(name, pulls, control, groups) for name in GROUPS if name in groups},
    }


def norms(own: float, control: float) -> dict[str, float]:
    """Entries ``gradient_norm``, ``gradient_norm_control`` and ``gradient_norm_ratio``."""
    return {"gradient_norm": own, "gradient_norm_control": control, "gradient_norm_ratio": ratio(own, control)}


def value_and_gradient(loss: nn.Module, logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """The loss and ∂L/∂x (N, K), float64, computed on a copy on the CPU."""
    with torch.enable_grad():
        leaf = logits.detach().cpu().double().clone().requires_grad_()
        value = copy.deepcopy(loss).cpu().double()(leaf, targets.detach().cpu().double())
        (gradient,) = torch.autograd.grad(value, leaf)
    return float(value.detach()), gradient


def pulls_of(gradient: Tensor, targets: Tensor) -> Pulls:
    """Pulls of a gradient (N, K) by targets (N, K) in {0, 1, NaN}."""
    known = targets.cpu()
    positives, negatives = (torch.where(known == side, gradient.abs(), 0).sum(dim=0).numpy() for side in (1, 0))
    return Pulls(positives, negatives)


def _group(name: str, pulls: Pulls, control: Pulls, groups: Sequence[str]) -> dict[str, float]:
    inside = np.array([group == name for group in groups])

    def share(values: NDArray[np.float64]) -> float:
        return ratio(float(values[inside].sum()), float(values.sum()))

    return {
        "classes": int(inside.sum()),
        "share": share(pulls.of_classes),
        "share_control": share(control.of_classes),
        "positives_share": share(pulls.positives),
        "positives_share_control": share(control.positives),
    }


def _positives_at_zero(loss: nn.Module, control: nn.Module, targets: Tensor) -> NDArray[np.float64]:
    """(K,) ratio of the pulls at the positives, all logits 0; NaN for a class without a positive."""
    zeros = torch.zeros(tuple(targets.shape))
    own, reference = (pulls_of(value_and_gradient(each, zeros, targets)[1], targets) for each in (loss, control))
    with np.errstate(invalid="ignore"):
        return np.asarray(own.positives / reference.positives)


def _prevalences(targets: Tensor) -> list[float]:
    positives, negatives = ((targets.cpu() == side).sum(dim=0).double() for side in (1, 0))
    return [float(share) for share in positives / (positives + negatives)]
