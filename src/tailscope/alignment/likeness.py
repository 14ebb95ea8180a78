"""How alike are two saliency maps? Rank correlation, pair by pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tailscope.core import InputError, resize_bilinear

_ROUNDING = 1e-6  # a range below this share of the largest magnitude is float32 rounding of a constant map


def likeness(
    first: NDArray[np.floating], second: NDArray[np.floating], frame: tuple[int, int] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Spearman's rank correlation of two maps, in [−1, 1]; 1 where they order the places alike.

    Ties share their mean rank. Values count with their sign: a map is no area here, but an order of the image's places.
    A coarse grid has few places, so that maps which have nothing in common are alike by chance: the standard deviation
    of the value is 1/√(h·w − 1) for noise and larger for smooth maps.

    Args:
        first: (M, h, w) maps.
        second: (M, h', w') maps, one for each of them.
        frame: (H, W) on which both are compared; by default the smaller of the grids, row and column each. A map is
            enlarged bilinearly with half-pixel centres, and shrunk by area means, because single pixels of a fine map
            do not stand for their surroundings.

    Returns:
        values: (M,) NaN where undefined.
        reasons: (M,) why: "map not finite" or "constant map", empty otherwise.

    Raises:
        InputError: The maps are not (M, h, w) of equal M.

    Example:
        >>> import numpy as np
        >>> maps = np.array([[[0.0, 1.0], [2.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
        >>> values, reasons = likeness(maps, maps**2)
        >>> values.tolist(), reasons.tolist()
        ([1.0, nan], ['', 'constant map'])
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 3 or second.ndim != 3 or len(first) != len(second):
        raise InputError(f"expected maps (M, h, w) and as many (M, h', w'); got {first.shape} and {second.shape}")
    frame = frame or (min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2]))
    (ranks, why), (others, why_other) = (_ranks(_fitted(maps, frame)) for maps in (first, second))
    return np.asarray((ranks * others).sum(axis=1)).clip(-1.0, 1.0), np.where(why != "", why, why_other)


def class_likeness(maps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Mean Spearman correlation between the maps of different classes on one image, in [−1, 1]; lower is better.

    Near 1, a map says where something is and not what.

    Args:
        maps: (B, K, h, w) maps of K classes.

    Returns:
        values: (B,) mean over the pairs of classes that are defined; NaN where there is none.
        reasons: (B,) why, empty otherwise.

    Raises:
        InputError: The maps are not (B, K, h, w).

    Source: METHODS section 4.

    Example:
        >>> import numpy as np
        >>> rising, falling = np.array([[0.0, 1.0, 2.0]]), np.array([[2.0, 1.0, 0.0]])
        >>> class_likeness(np.stack([rising, rising, falling])[None])[0].round(3).tolist()  # (1 − 1 − 1) / 3
        [-0.333]
    """
    maps = np.asarray(maps)
    if maps.ndim != 4:
        raise InputError(f"expected maps (B, K, h, w); got {maps.shape}")
    whole: NDArray[np.float64] = np.full(len(maps), np.nan)
    if maps.shape[1] < 2:
        return whole, np.full(len(maps), "one class alone", dtype="<U20")
    found = [likeness(maps[:, one], maps[:, other]) for one, other in combinations(range(maps.shape[1]), 2)]
    values = np.stack([value for value, _ in found])
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    np.divide(np.where(defined, values, 0.0).sum(axis=0), count, out=whole, where=count > 0)
    return whole, np.where(count > 0, "", found[0][1])


def _fitted(maps: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.floating]:
    """The maps on the frame; as given, where they are on it already."""
    shrunk = maps
    for axis, size in ((1, frame[0]), (2, frame[1])):
        if size < maps.shape[axis]:
            shares = _overlaps(maps.shape[axis], size)
            shrunk = np.moveaxis(np.moveaxis(shrunk, axis, -1) @ shares.T, -1, axis)
    return shrunk if shrunk.shape[1:] == tuple(frame) else resize_bilinear(shrunk, frame)


def _overlaps(source: int, target: int) -> NDArray[np.float64]:
    """(target, source) share of each target cell that each source cell covers; rows sum to 1.

    >>> _overlaps(3, 2).round(3).tolist()
    [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    edges, fine = np.linspace(0, source, target + 1), np.arange(source)
    low = np.maximum(edges[:-1, None], fine)
    high = np.minimum(edges[1:, None], fine + 1)
    return np.asarray((high - low).clip(min=0) * target / source)


def _ranks(maps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """(M, P) ranks of mean 0 and norm 1, NaN where the map has none, and (M,) the reason."""
    flat = maps.reshape(len(maps), maps.shape[1] * maps.shape[2]).astype(np.float64)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(flat).all(axis=1))
    flat = np.where(finite[:, None], flat, 0.0)
    constant: NDArray[np.bool_] = np.asarray(np.ptp(flat, axis=1) <= _ROUNDING * np.abs(flat).max(axis=1))
    ranks = rankdata(flat, axis=1) if flat.size else flat
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    defined = finite & ~constant
    scaled = np.full_like(centred, np.nan)
    np.divide(centred, norm, out=scaled, where=defined[:, None])
    return scaled, np.select([~finite, constant], ["map not finite", "constant map"], default="")
