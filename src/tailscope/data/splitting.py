"""Deal patients to splits so that every split gets its share of every class, the rarest first.

Source: Sechidis, Tsoumakas, Vlahavas (2011), "On the stratification of multi-label data", Algorithm 1 (iterative
stratification). Deviations: what is dealt is a group (a patient) with its counts of positive images, not an image; the
rarest class is the one with the fewest remaining groups; within it, large groups go first; as long as a split has no
group of the class, it is served first if the groups would otherwise run out; groups without positives fill up the
numbers of images. Then single groups move where a class with three or more groups still misses a split, and as long as
a move brings all counts (positives per class, images, groups) nearer to their shares: dealing by one class at a time
leaves the frequent classes of patients with many images uneven.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tailscope.core.seeding import generator

Counts = NDArray[np.float64]
_PASSES = 8  # over all groups; most data sets settle in three


def deal(
    groups: NDArray[np.str_], targets: NDArray[np.float32], shares: Mapping[str, float], seed: int
) -> NDArray[np.str_]:
    """Deal whole groups to splits.

    Args:
        groups: (N,) group (patient) per image.
        targets: (N, K) in {0, 1, NaN}; NaN counts as neither.
        shares: Split name to its share of the images; they add up to 1.
        seed: Root seed. The result depends on names and targets, not on the order of rows.

    Returns:
        (N,) split per image.

    Example:
        >>> import numpy as np
        >>> dealt = deal(np.array(["a", "a", "b", "c"]), np.ones((4, 1), np.float32), {"train": 0.7, "test": 0.3}, 0)
        >>> bool(dealt[0] == dealt[1]), sorted(set(dealt.tolist()))
        (True, ['test', 'train'])
    """
    names, group_of = np.unique(groups, return_inverse=True)
    order = generator(seed, "split").permutation(len(names))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    group_of = place[group_of]
    counts = np.zeros((len(names), targets.shape[1] + 1))
    np.add.at(counts, group_of, np.column_stack([targets == 1, np.ones(len(targets), dtype=bool)]))
    dealer = _Dealer(counts, np.array(list(shares.values()), dtype=np.float64))
    assigned = dealer.deal()
    has = counts[:, :-1] > 0
    _fill_gaps(has, assigned, len(shares))
    _even_out(np.column_stack([counts, np.ones(len(counts))]), has, assigned, dealer.shares)
    return np.array(list(shares), dtype=np.str_)[assigned[group_of]]


class _Dealer:
    """Deals G groups with counts (G, K + 1) to S splits; the last column counts images."""

    def __init__(self, counts: Counts, shares: Counts) -> None:
        self.counts = counts
        self.has = counts > 0
        self.shares = shares
        self.wanted = shares[:, None] * counts.sum(axis=0)[None, :]
        self.held = np.zeros((len(shares), counts.shape[1]), dtype=np.int64)
        self.assigned = np.full(len(counts), -1, dtype=np.int64)

    def deal(self) -> NDArray[np.int64]:
        """(G,) split number per group."""
        classes = self.counts.shape[1] - 1
        open_classes = set(range(classes))
        while open_classes:
            free = self.assigned < 0
            remaining = {column: int((self.has[:, column] & free).sum()) for column in open_classes}
            rarest = min(remaining, key=lambda column: (remaining[column], column))
            open_classes.remove(rarest)
            self._deal_column(rarest)
        self._deal_column(classes)
        return self.assigned

    def _deal_column(self, column: int) -> None:
        members = np.flatnonzero(self.has[:, column] & (self.assigned < 0))
        members = members[np.argsort(-self.counts[members, column], kind="stable")]
        for position, group in enumerate(members):
            split = self._neediest(column, left=len(members) - position)
            self.assigned[group] = split
            self.wanted[split] -= self.counts[group]
            self.held[split] += self.has[group]

    def _neediest(self, column: int, left: int) -> int:
        candidates = np.arange(len(self.shares))
        empty = candidates[self.held[:, column] == 0]
        if len(empty) > 0 and left <= len(empty):
            candidates = empty
        need = self.wanted[candidates]
        return int(candidates[np.lexsort((need[:, -1], need[:, column]))[-1]])


def _fill_gaps(has: NDArray[np.bool_], assigned: NDArray[np.int64], splits: int) -> None:
    """Move single groups, in place, where a class with enough groups misses a split and the donor keeps all it has."""
    held = np.stack([has[assigned == split].sum(axis=0) for split in range(splits)])
    enough = held.sum(axis=0) >= splits
    for column in np.flatnonzero(enough & (held == 0).any(axis=0)):
        for split in np.flatnonzero(held[:, column] == 0):
            for group in np.flatnonzero(has[:, column]):
                donor = assigned[group]
                if (held[donor] - has[group])[has[group] & enough].min() >= 1:
                    assigned[group] = split
                    held[donor] -= has[group]
                    held[split] += has[group]
                    break


def _even_out(counts: Counts, has: NDArray[np.bool_], assigned: NDArray[np.int64], shares: Counts) -> None:
    """Move single groups, in place, while that lowers the sum of (held − wanted)² / wanted; no class leaves a split."""
    counts = counts[:, counts.sum(axis=0) > 0]
    wanted = shares[:, None] * counts.sum(axis=0)
    over = np.stack([counts[assigned == split].sum(axis=0) for split in range(len(shares))]) - wanted
    held = np.stack([has[assigned == split].sum(axis=0) for split in range(len(shares))])
    for _ in range(_PASSES):
        moved = False
        for group, count in enumerate(counts):
            donor = assigned[group]
            change = ((2 * over + count) * count / wanted).sum(axis=1)
            change += ((count - 2 * over[donor]) * count / wanted[donor]).sum()
            change[donor] = 0
            best = int(change.argmin())
            if change[best] < -1e-9 and not (has[group] & (held[donor] == 1)).any():
                assigned[group], moved = best, True
                over[donor] -= count
                over[best] += count
                held[donor] -= has[group]
                held[best] += has[group]
        if not moved:
            return
