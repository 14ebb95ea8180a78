"""What each process of :mod:`test_order_and_schedule` computes; a module of its own, so that spawn can import it."""

from __future__ import annotations

import os

import numpy as np

from tailscope.training.order import epoch_draws, process_share


def own_share(
    rank: int, processes: int, batch_size: int, count: int, weights: np.ndarray | None, epochs: int
) -> tuple[int, list[np.ndarray]]:
    """Process id, and the share of each epoch, drawn from the seed in this process."""
    return os.getpid(), [
        process_share(epoch_draws(count, 7, epoch, weights), rank, processes, batch_size) for epoch in range(epochs)
    ]
