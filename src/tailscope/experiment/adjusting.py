"""The step after training: fit an adjustment of the logits on training and validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.models import find_head
from tailscope.training import Job, predict_adjusted
from tailscope.treatments import AffineLogits, FittedOn


def fitted_adjustment(job: Job) -> AffineLogits | None:
    """What the treatment does to the logits of the final weights; None where it leaves them alone."""
    step = job.plan.after_training
    if step is None:
        return None
    train, val = (_seen(job, split, split in step.reads) for split in ("train", "val"))
    weight, bias = _head(job) if "head" in step.reads else (None, np.zeros(len(job.data.classes)))
    return step.fit(FittedOn(*train, *val, weight, bias, job.data.classes))


def _seen(job: Job, split: str, is_read: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and targets of a split; empty where the step does not read them."""
    rows = job.data.rows(split)[: None if is_read else 0]
    targets = job.data.targets[rows].astype(np.float64)
    if not is_read:
        return targets, targets
    return predict_adjusted(job.network, job.plan, job.data.pixels, rows).astype(np.float64), targets


def _head(job: Job) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    head = find_head(job.network.module, len(job.data.classes))
    weight = head.weight.detach().double().cpu().numpy()
    bias = np.zeros(len(weight)) if head.bias is None else head.bias.detach().double().cpu().numpy()
    return weight, bias
