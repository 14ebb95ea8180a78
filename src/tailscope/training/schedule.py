"""The learning rate at every step."""

from __future__ import annotations

import math

from tailscope.training.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, total: int) -> float:
    """The rate at one step: linear warm-up, then cosine to zero at the end, or constant.

    The cosine's period is what the warm-up leaves (the published schedule forgot that and stopped early, PAPER D39).

    Args:
        settings: Gives the peak rate, the warm-up and the form.
        step: From 0 to total − 1.
        total: All steps of the training.

    Returns:
        The learning rate; above 0 at every step.

    Example:
        >>> settings = TrainingSettings(lr=1.0, warmup_fraction=0.5)
        >>> [round(learning_rate(settings, step, 4), 3) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    warmup = round(settings.warmup_fraction * total)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
