"""The step after training: fit an adjustment of the logits on training and validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.models import find_head
from tailscope.training import Job, predict_adjusted
from tailscope.treatments import AffineLogits, FittedOn


def fitted_adjustment(job: Job) -> AffineLogits | None:
    """What the treatment does to the logits of the final weights; None where it leaves them alone."""
    step = job.plan.after_training
    if step is None:
        return None
    data = job.data
    train, val = data.rows("train"), data.rows("val")
    weight, bias = _head(job)
    return step.fit(
        FittedOn(
            train_logits=_logits(job, train),
            train_targets=data.targets[train].astype(np.float64),
            val_logits=_logits(job, val),
            val_targets=data.targets[val].astype(np.float64),
            head_weight=weight,
            head_bias=bias,
        )
    )


def _logits(job: Job, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return predict_adjusted(job.network, job.plan, job.data.pixels, rows).astype(np.float64)


def _head(job: Job) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    classes = len(job.data.classes)
    try:
        head = find_head(job.network.module, classes)
    except InputError:
        return None, np.zeros(classes)
    weight = head.weight.detach().double().cpu().numpy()
    return weight, np.zeros(classes) if head.bias is None else head.bias.detach().double().cpu().numpy()
