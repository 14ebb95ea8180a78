"""Soft-max over the classes, for data in which every image has exactly one label."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from tailscope.treatments.masked import MaskedLoss


class SoftmaxLoss(MaskedLoss):
    """A loss that is a value per image, averaged over the images whose labels are all known.

    An image with an unknown label is left out. One with known labels of which not exactly one is positive makes the
    loss NaN; the requirement ``"single_label"`` refuses such data before training.
    """

    def _reduced(self, x: Tensor, y: Tensor, known: Tensor) -> Tensor:
        whole = known.all(dim=1)
        rows = self._rows(torch.where(whole[:, None], x, 0), y)
        rows = torch.where(y.sum(dim=1) == 1, rows, torch.nan)
        return torch.where(whole, rows, 0).sum() / whole.sum().clamp(min=1)

    @abstractmethod
    def _rows(self, x: Tensor, y: Tensor) -> Tensor:
        """(B,) the value per image; images that are left out come with zeros, and what is returned there is ignored."""


def softmax_log_odds(logits: Tensor) -> Tensor:
    """log(p_c/(1−p_c)) of the soft-max probabilities p, so that the sigmoid of what is returned is p.

    Predictions of a soft-max network pass through it, because all lenses read a logit as log-odds.

    Args:
        logits: (B, K), K 2 or more.

    Returns:
        (B, K).

    Example:
        >>> torch.sigmoid(softmax_log_odds(torch.zeros(1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    # From both ends towards each class: no sum is taken back, so nothing cancels, and no (B, K, K) is made.
    before = torch.logcumsumexp(logits, dim=1)[:, :-1]
    behind = torch.logcumsumexp(logits.flip(1), dim=1).flip(1)[:, 1:]
    nothing = torch.full_like(logits[:, :1], -torch.inf)
    others = torch.logaddexp(torch.cat([nothing, before], dim=1), torch.cat([behind, nothing], dim=1))
    return logits - others
