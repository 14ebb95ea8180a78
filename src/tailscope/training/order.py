"""Which images stand in which batch: a function of the seed and the epoch, the same in every arm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError, generator


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


def process_share(draws: NDArray[np.int64], rank: int, processes: int, batch_size: int) -> NDArray[np.int64]:
    """The draws of one of several processes that train one network together.

    Every process draws the same epoch from the same seed, and takes from each global batch every ``processes``-th
    image, from its rank on. Together the processes see, batch by batch, exactly what one process would see; so each
    image is drawn at the same rate however many there are. The shares of a full batch are equal where ``batch_size`` is
    a multiple of ``processes``; otherwise they differ by one image. A last, smaller batch may leave a process without
    any.

    The training loop runs on one device and does not cut its batches; the audit cuts an epoch with this function, to
    report what each of several processes would draw.

    Args:
        draws: (M,) positions in the training split, from :func:`epoch_draws`.
        rank: The process, in [0, ``processes``).
        processes: How many there are, 1 or more.
        batch_size: Images of a global batch, over all processes.

    Returns:
        (about M/``processes``,) int64 of ``draws``, in order.

    Raises:
        InputError: There is no such process.

    Example:
        >>> import numpy as np
        >>> [process_share(np.arange(6), rank, 2, batch_size=3).tolist() for rank in (0, 1)]
        [[0, 2, 3, 5], [1, 4]]
    """
    if not 0 <= rank < processes:
        raise InputError(f"`rank` must be in [0, {processes}), one of {processes} processes; got {rank}")
    return np.concatenate([batch[rank::processes] for batch in batches(draws, batch_size)])
