"""The audit of a treatment before training: what the sampler draws, and what the loss pulls on at initialisation."""

from __future__ import annotations

from typing import Any

import torch

from tailscope.core import TrainingError
from tailscope.training import Job, epoch_draws, predict
from tailscope.treatments import check_audit, gradient_audit, sampling_audit

_IMAGES = 1024  # enough for stable shares of the gradient at a fraction of a second of forward passes


def initial_audit(job: Job) -> dict[str, Any]:
    """Draws of the first epoch against their expectation, and the gradient on fresh weights."""
    data = job.data
    rows = data.rows("train")
    weights = job.draw_weights
    drawn = epoch_draws(rows.size, job.seed, 0, weights)
    shown = rows[drawn[:_IMAGES]]
    logits = torch.from_numpy(predict(job.network, data.pixels, shown))
    targets = torch.from_numpy(data.targets[shown])
    return {
        "sampling": sampling_audit(data.targets[rows], weights, drawn, data.classes),
        "gradients": {"initial": gradient_audit(job.plan.loss, logits, targets, data.classes)},
    }


def audit_problems(audit: dict[str, Any], arm: str, *, as_published: bool) -> str:
    """What the audit found, as one line; "" if the treatment does what it promises.

    Args:
        audit: From :func:`initial_audit`.
        arm: For the message.
        as_published: A published form was asked for by name; its defects are said, and the run goes on.

    Raises:
        TrainingError: A treatment does not do what it promises, and nobody asked for that.
    """
    problems = check_audit(audit)
    if not problems:
        return ""
    line = f"audit of arm {arm!r}: " + "; ".join(problems)
    if not as_published:
        raise TrainingError(line + ". Such an arm would be compared under a false name; change its settings")
    return line
