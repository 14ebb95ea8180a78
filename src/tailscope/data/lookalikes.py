"""Images that look alike stay in one split, or the split is refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailscope.core.artifacts import digest, read_json, write_json
from tailscope.core.errors import LeakageError
from tailscope.data.leakage import LOOK
from tailscope.data.near_duplicates import LIKENESS, NEAR_VERSION, SIDE, NearPair, near_duplicates, thumbnail

_SHOWN = 10
_LEAST_SIDE = 32  # pixels; smaller images are too poor in detail to tell copies from chance


def cached_pairs(pixels: NDArray[np.uint8], key: str, groups: NDArray[np.str_], folder: Path) -> tuple[NearPair, ...]:
    """Pairs of images of different groups that look alike, remembered in ``folder``.

    Args:
        pixels: (N, H, W, C) uint8; below 32 pixels a side nothing is looked for.
        key: Digest of all that the pixels depend on.
        groups: (N,) what stays together anyway.
        folder: Where caches lie.
    """
    if min(pixels.shape[1:3]) < _LEAST_SIDE:
        return ()
    place = folder / f"alike-{digest(key, groups.tolist(), LIKENESS, NEAR_VERSION)[:24]}.json"
    if place.exists():
        return tuple(NearPair(**pair) for pair in read_json(place))
    small = np.empty((len(pixels), SIDE, SIDE), dtype=np.uint8)  # at once: a list of them would double the memory
    for row, one in enumerate(pixels):
        small[row] = thumbnail(one)
    _, numbers = np.unique(groups, return_inverse=True)
    pairs = near_duplicates(small, numbers)
    write_json(place, [asdict(pair) for pair in pairs])
    return pairs


def joined(groups: NDArray[np.str_], pairs: tuple[NearPair, ...]) -> NDArray[np.str_]:
    """(N,) groups, where those of a pair are one, under the name of the first.

    >>> joined(np.array(["a", "b", "c", "d"]), (NearPair(1, 3, 0.95),)).tolist()
    ['a', 'b', 'c', 'b']
    """
    from scipy.sparse import coo_matrix  # as in leakage
    from scipy.sparse.csgraph import connected_components

    names, number = np.unique(groups, return_inverse=True)
    ends = np.array([(number[pair.first], number[pair.second]) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return np.asarray(names[first[component]][number])


def require_apart(pairs: tuple[NearPair, ...], split: NDArray[np.str_], image_ids: NDArray[np.str_]) -> None:
    """Refuse a split that separates images that look alike.

    Raises:
        LeakageError: Names the most alike pairs with their splits, and the ways on.
    """
    crossing = [pair for pair in pairs if split[pair.first] != split[pair.second]]
    if not crossing:
        return
    shown = "; ".join(
        f"{image_ids[pair.first]} in {split[pair.first]} and {image_ids[pair.second]} in {split[pair.second]} "
        f"(likeness {pair.likeness:.3f})"
        for pair in crossing[:_SHOWN]
    )
    more = f"; and {len(crossing) - _SHOWN} more" if len(crossing) > _SHOWN else ""
    raise LeakageError(
        f"{len(crossing)} pairs of images that look alike stand in two splits: {shown}{more}. Look at them: "
        f"{LOOK}; leave one of each out, cut the split "
        "anew (`split.by: patient`), which keeps them together, or set `near_duplicates: report`"
    )
