"""Named child seeds from one root seed, and uniform numbers that depend on their address alone."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # increment of splitmix64 (Steele, Lea, Flood 2014)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def child_seed(root: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for one named purpose; the same on every machine.

    Two different names never share a stream, and a new name leaves the others as they were.

    >>> child_seed(0, "weights") == child_seed(0, "weights"), child_seed(0, "weights") == child_seed(0, "order")
    (True, False)
    """
    address = "\x1f".join([str(root), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:8], "big") >> 1


def generator(root: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator (PCG64) for one named purpose."""
    return np.random.Generator(np.random.PCG64(child_seed(root, *names)))


def uniforms(seed: int, indices: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) that are a function of (seed, index, column) alone.

    So an augmentation does not depend on the batch in which its image happens to stand.

    Args:
        seed: From :func:`child_seed`.
        indices: (B,) integers, e.g. image numbers.
        count: Numbers per index.

    Returns:
        (B, count) float64.

    Example:
        >>> import numpy as np
        >>> bool((uniforms(1, np.array([5, 7]), 3)[1] == uniforms(1, np.array([7]), 3)[0]).all())
        True
    """
    index = np.asarray(indices, dtype=np.uint64)[:, None]
    column = np.arange(count, dtype=np.uint64)[None, :]
    with np.errstate(over="ignore"):
        state = _mix(np.uint64(seed) + _GOLDEN * (index + np.uint64(1)))
        state = _mix(state + _GOLDEN * (column + np.uint64(1)))
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
