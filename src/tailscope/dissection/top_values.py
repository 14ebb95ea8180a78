"""The largest values of every unit, kept while activations stream past."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection._order_kernels import keep_largest, merge_largest, ranked
from tailscope.dissection.threads import in_blocks

MOST_BYTES = 256 * 2**20  # what the kept values of a layer may take
_LEAST_SLACK = 64  # room beyond the values that must stay, so that they are sorted out rarely
_VALUES_PER_BLOCK = 2**16


class TopValues:
    """Keeps at least the ``keep`` largest values of each of U units, in memory that does not grow with the stream.

    Which values are among the largest does not depend on the order in which they come, so neither does an answer.

    Args:
        units: U.
        keep: How many of the largest must stay; 1 or more.

    Example:
        >>> import numpy as np
        >>> top = TopValues(1, 2)
        >>> for value in (3.0, 1.0, 2.0):
        ...     top.add(np.full((1, 1, 1), value, dtype=np.float32))
        >>> top.ranked(1)
        array([2.], dtype=float32)
    """

    def __init__(self, units: int, keep: int) -> None:
        self._keep = keep
        self._kept = np.empty((units, _room(keep)), dtype=np.float32)
        self._filled = np.zeros(units, dtype=np.int64)
        self._level = np.full(units, -np.inf, dtype=np.float32)

    @staticmethod
    def size(units: int, keep: int) -> int:
        """Bytes that such a store takes.

        >>> TopValues.size(2, 1000)
        12000
        """
        return 4 * units * _room(keep)

    def add(self, values: NDArray[np.float32]) -> None:
        """Look at more values.

        Args:
            values: (n, U, m) float32.

        Raises:
            InputError: A value is not finite.
        """
        state = self._filled, self._level
        values = np.require(values, np.float32, ["C", "W"])  # one kind of array, so one compilation
        finite = in_blocks(
            lambda first, last: keep_largest(values, (first, last, self._keep), self._kept, state),
            len(self._filled),
            -(-_VALUES_PER_BLOCK // (values.shape[0] * values.shape[2])),
        )
        if not all(finite):
            raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")

    def merge(self, other: TopValues) -> None:
        """Take in what another store of the same size has kept."""
        merge_largest((other._kept, other._filled), self._keep, self._kept, (self._filled, self._level))

    def ranked(self, k: int) -> NDArray[np.float32]:
        """(U,) the (k+1)-th largest value of each unit, k below ``keep`` and below the number of values seen."""
        return np.asarray(ranked(self._kept, self._filled, k) + np.float32(0))  # -0 becomes 0


def _room(keep: int) -> int:
    return keep + max(_LEAST_SLACK, keep // 2)
