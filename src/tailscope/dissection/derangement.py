"""Orders that give every image another patient's mask."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SWAPS_PER_IMAGE = 20  # random transpositions mix n items in about (n log n) / 2 swaps (Diaconis, Shahshahani 1981)


def derangements(patients: NDArray[np.int64], count: int, generator: np.random.Generator) -> NDArray[np.int32] | None:
    """Random orders in which no image meets a mask of its own patient.

    Starts from a shift of the images sorted by (shuffled) patient, which is a derangement, and walks by random swaps
    that keep it one. The walk is symmetric, so in the long run all derangements are equally likely.

    Args:
        patients: (n,) int64 patient of each image.
        count: Orders wanted.
        generator: Source of the draw.

    Returns:
        (count, n) int32, image to the image whose mask it gets; None if one patient has more than half of the images.

    Example:
        >>> import numpy as np
        >>> orders = derangements(np.array([0, 0, 1, 1]), 5, np.random.default_rng(0))
        >>> bool((orders[:, :2] >= 2).all() and (orders[:, 2:] < 2).all())
        True
        >>> derangements(np.array([0, 0, 1]), 5, np.random.default_rng(0)) is None
        True
    """
    codes, sizes = np.unique(patients, return_inverse=True, return_counts=True)[1:]
    largest, total = int(sizes.max(initial=0)), len(patients)
    if 2 * largest > total or total == 0:
        return None
    orders = np.empty((count, total), dtype=np.int32)
    for order in orders:
        by_patient = np.argsort(generator.permutation(len(sizes))[codes], kind="stable")
        order[by_patient] = np.roll(by_patient, -largest)
        _swap_where_allowed(order, codes, generator.integers(0, total, (_SWAPS_PER_IMAGE * total, 2)))
    return orders


def mask_holders(orders: NDArray[np.int32], own: NDArray[np.int64]) -> NDArray[np.int32]:
    """The image that each order gives each mask to.

    Args:
        orders: (R, n) from :func:`derangements`.
        own: (n,) mask of each image before, 0 to P-1; -1 for none.

    Returns:
        (R, P) int32.

    Example:
        >>> import numpy as np
        >>> mask_holders(np.array([[1, 2, 0]]), np.array([0, -1, 1])).tolist()
        [[2, 1]]
    """
    drawn = np.flatnonzero(own >= 0)
    wearer = drawn[np.argsort(own[drawn])]  # of each mask, before
    holders = np.empty((len(orders), len(wearer)), dtype=np.int32)
    place = np.empty(orders.shape[1], dtype=np.int32)
    for order, row in zip(orders, holders, strict=True):
        place[order] = np.arange(order.size, dtype=np.int32)
        row[:] = place[wearer]
    return holders


@njit(cache=True)
def _swap_where_allowed(order: NDArray[np.int32], patients: NDArray[np.int64], pairs: NDArray[np.int64]) -> None:
    """Swap entries of a derangement in place, pair by pair, wherever it stays a derangement between patients."""
    for p in range(len(pairs)):
        a, b = pairs[p]
        if patients[order[b]] != patients[a] and patients[order[a]] != patients[b]:
            order[a], order[b] = order[b], order[a]
