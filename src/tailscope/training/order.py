"""Which images stand in which batch: a function of the seed and the epoch, the same in every arm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import digest, generator


def epoch_draws(count: int, seed: int, epoch: int, weights: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """The images of one epoch, in order.

    Args:
        count: Training images.
        seed: The run's seed.
        epoch: From 0.
        weights: (count,) draw weights of a treatment that samples; None visits each image once.

    Returns:
        (count,) positions in the training split: a permutation, or independent draws in proportion to ``weights``.
    """
    source = generator(seed, "order", epoch)
    if weights is None:
        return source.permutation(count)
    return source.choice(count, size=count, replace=True, p=weights / weights.sum())


def batches(draws: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Cut draws into batches; a last batch of one image joins its neighbour, because batch norm needs two.

    >>> import numpy as np
    >>> [batch.tolist() for batch in batches(np.arange(5), 2)]
    [[0, 1], [2, 3, 4]]
    """
    cuts = list(range(batch_size, draws.size, batch_size))
    if cuts and draws.size - cuts[-1] == 1:
        cuts.pop()
    return np.split(draws, cuts)


def order_digest(count: int, seed: int, epochs: int, weights: NDArray[np.float64] | None) -> str:
    """Digest of the draws of all epochs, the proof in ``run.json`` that two arms saw the same order."""
    return digest(*(epoch_draws(count, seed, epoch, weights) for epoch in range(epochs)))
