"""Activation thresholds of a stream that is seen once, in bounded memory, and mergeable over shards."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection._order_kernels import add_bins
from tailscope.dissection.threads import in_blocks
from tailscope.dissection.thresholds import key_values, upper_rank
from tailscope.dissection.top_values import MOST_BYTES, TopValues

_LEAST_KEY, _LARGEST_KEY = 2**31 - 0x7F7FFFFF, 2**31 + 0x7F7FFFFF  # of the finite float32
_SHIFTS = range(10, 25)  # bits of a key left out of the sketch: up to 2**22 + 1 bins for each unit, down to 257


class Thresholds(NamedTuple):
    """Per unit, a value that at most ``top_fraction`` of its activations exceed.

    Attributes:
        values: (U,) float32.
        rank_error: (U,) int64; at most so many values lie above the exact threshold and not above this one. 0 is best.
        is_exact: Whether the values are the exact order statistics, so that no rank error is possible.
    """

    values: NDArray[np.float32]
    rank_error: NDArray[np.int64]
    is_exact: bool


class ThresholdAccumulator:
    """The strict upper quantile of every unit over a stream of maps, in one pass and bounded memory.

    The top share of each unit is kept, so the answer is exact. Where that would take more than ``most_bytes``, the
    values are counted in fixed bins of the upper bits of their float32 keys instead: the threshold is then the upper
    end of the bin that holds the exact one, still exceeded by at most ``top_fraction``, and its rank error is counted.
    Either way the answer depends neither on batches nor on their order nor on shards, to the last bit.

    Args:
        units: U.
        total: Values of each unit in the whole stream, all shards together: N·h·w.
        top_fraction: Strict upper share, in [0, 1).
        most_bytes: Bound of the memory that is kept.

    Raises:
        InputError: A setting is out of range.

    Source:
        METHODS section 5.

    Example:
        >>> import numpy as np
        >>> stream = ThresholdAccumulator(units=1, total=10, top_fraction=0.2)
        >>> for half in (np.arange(5.0), np.arange(5.0, 10.0)):
        ...     stream.add(half.reshape(5, 1, 1, 1))
        >>> stream.finish()
        Thresholds(values=array([7.], dtype=float32), rank_error=array([0]), is_exact=True)
    """

    def __init__(self, units: int, total: int, top_fraction: float = 0.005, *, most_bytes: int = MOST_BYTES) -> None:
        if min(units, total) < 1:
            raise InputError(f"`units` and `total` must be 1 or more; got {units} and {total}")
        if not 0 <= top_fraction < 1:
            raise InputError(f"`top_fraction` must be in [0, 1); got {top_fraction}")
        self._setting = units, total, top_fraction, most_bytes
        self._rank = upper_rank(total, top_fraction)
        self._seen = 0
        fits = TopValues.size(units, self._rank + 1) <= most_bytes
        self._store: _Store = TopValues(units, self._rank + 1) if fits else _KeyHistogram(units, total, most_bytes)

    def add(self, maps: NDArray[np.floating]) -> None:
        """Look at the next images; after an error the accumulator must not be used any more.

        Args:
            maps: (n, U, h, w) floating, finite.

        Raises:
            InputError: Another number of units, more values than ``total``, or a value that is not finite.
        """
        units, total = self._setting[:2]
        if maps.ndim != 4 or maps.shape[1] != units:
            raise InputError(f"`maps` must be (n, {units}, h, w); got {maps.shape}")
        self._note(maps.shape[0] * maps.shape[2] * maps.shape[3], total)
        if maps.size:
            ready = np.require(maps, np.float32, ["C", "W"])  # one kind of array, so one compilation
            self._store.add(ready.reshape(len(ready), units, -1))

    def merge(self, other: ThresholdAccumulator) -> None:
        """Take in another shard of the same stream.

        Raises:
            InputError: The other one has other settings, or both together saw more than ``total``.
        """
        if self._setting != other._setting:
            raise InputError(
                "shards must agree on (units, total, top_fraction, most_bytes); "
                f"got {self._setting} and {other._setting}"
            )
        self._note(other._seen, self._setting[1])
        self._store.merge(other._store)

    def __add__(self, other: ThresholdAccumulator) -> ThresholdAccumulator:
        both = copy.deepcopy(self)
        both.merge(other)
        return both

    def finish(self) -> Thresholds:
        """The thresholds of the whole stream.

        Raises:
            InputError: Fewer values were seen than ``total``.
        """
        units, total = self._setting[:2]
        if self._seen != total:
            raise InputError(f"expected `total` = {total} values of each unit; saw {self._seen}: add the other shards")
        if isinstance(self._store, TopValues):
            return Thresholds(self._store.ranked(self._rank), np.zeros(units, dtype=np.int64), True)
        assert isinstance(self._store, _KeyHistogram)
        return Thresholds(*self._store.bounded(self._rank), False)

    def _note(self, values: int, total: int) -> None:
        if self._seen + values > total:
            raise InputError(f"expected `total` = {total} values of each unit; got {self._seen + values} or more")
        self._seen += values


class _Store(Protocol):
    def add(self, values: NDArray[np.float32], /) -> None: ...

    def merge(self, other: Any, /) -> None: ...


class _KeyHistogram:
    """Counts of the upper bits of ordered float32 keys, as many bits as the memory holds."""

    def __init__(self, units: int, total: int, most_bytes: int) -> None:
        self._kind = np.uint32 if total < 2**32 else np.uint64
        sizes = {shift: _bins(shift) * units * np.dtype(self._kind).itemsize for shift in _SHIFTS}
        fitting = [shift for shift, size in sizes.items() if size <= most_bytes]
        if not fitting:
            raise InputError(f"`most_bytes` must be {min(sizes.values())} or more for {units} units; got {most_bytes}")
        self._shift = fitting[0]
        self._counts = np.zeros((units, _bins(self._shift)), dtype=self._kind)

    def add(self, values: NDArray[np.float32]) -> None:
        finite = in_blocks(
            lambda first, last: add_bins(values, (first, last), self._shift, self._counts), values.shape[1], 16
        )
        if not all(finite):
            raise InputError("`activations` must be finite; found NaN or infinity: check the network's numbers")

    def merge(self, other: _KeyHistogram) -> None:
        self._counts += other._counts

    def bounded(self, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Upper ends of the bins that hold the (k+1)-th largest values, and the most ranks that they are too high."""
        found, above = np.zeros((2, len(self._counts)), dtype=np.int64)
        for u, counts in enumerate(self._counts):  # one by one, for their sums take more room than they do
            at_least = np.cumsum(counts[::-1], dtype=np.int64)
            place = int(np.argmax(at_least > k))
            found[u] = _LEAST_KEY // 2**self._shift + len(counts) - 1 - place
            above[u] = at_least[place] - int(counts[len(counts) - 1 - place])
        zero = 1 << (31 - self._shift)
        top = np.where(found >= zero, found << self._shift, ((found + 1) << self._shift) - 1)
        return key_values(np.minimum(top, _LARGEST_KEY)), np.where(found == zero, 0, k - above)


def _bins(shift: int) -> int:
    """From the bin of the least finite number to that of the largest."""
    return ((_LARGEST_KEY - 1) >> shift) + 2 - (_LEAST_KEY >> shift)
