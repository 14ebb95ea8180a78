"""Time the null of all detectors of a layer against upsampling and counting once per derangement.

Run: ``python benchmarks/derangements.py`` (a few minutes, 1 GB). ``NUMBA_NUM_THREADS`` sets the threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tailscope.core import resize_bilinear
from tailscope.dissection import cell_grid, derangements
from tailscope.dissection._count_kernels import count_above
from tailscope.dissection.cells import CellGrid, cell_sums
from tailscope.dissection.cross_counts import cross_counts, pool_over, row_prefixes
from tailscope.dissection.derangement import mask_holders
from tailscope.dissection.detectors import deranged_best
from tailscope.dissection.matched import matched_thresholds

IMAGES, UNITS, GRID, SIZE, CLASSES, ANNOTATED, DERANGEMENTS = 1000, 2048, 7, 224, 14, 70, 1000
BLOCK = 512  # units at a time
FEW = 16  # units and derangements of the slow way
Masks = tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def layer(rng: np.random.Generator) -> NDArray[np.float32]:
    """Neighbouring values of a real layer resemble each other: a 3 × 3 mean of white noise, then a ReLU."""
    maps = np.empty((IMAGES, UNITS, GRID, GRID), dtype=np.float32)
    for image in maps:
        noise = rng.standard_normal((UNITS, GRID + 2, GRID + 2), dtype=np.float32)
        image[:] = sum(noise[:, r : r + GRID, c : c + GRID] for r in range(3) for c in range(3)) / 9
    return np.maximum(maps, 0, out=maps)


def matched_masks(number: int) -> Masks:
    """Masks of one class from small to large with the number, which image has which, and the derangements."""
    rng = np.random.default_rng(number)
    bank = np.zeros((ANNOTATED, SIZE, SIZE), dtype=bool)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for mask in bank:
        half = rng.uniform(0.6, 1.4, 2) * (8 + 5 * number)
        y, x = rng.uniform(half, SIZE - half)
        mask[:] = ((rows - y) / half[0]) ** 2 + ((columns - x) / half[1]) ** 2 < 1
    own = np.concatenate([np.arange(ANNOTATED), np.full(ANNOTATED, -1)])
    orders = derangements(np.arange(2 * ANNOTATED), DERANGEMENTS, rng)
    assert orders is not None
    return bank, own, orders


def fast_way(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: Masks, cells: CellGrid
) -> NDArray[np.int64]:
    """(U, R) pixels inside deranged masks."""
    bank, own, orders = masks
    prefixes, holders = row_prefixes(bank), mask_holders(orders, own)
    pooled = np.zeros((maps.shape[1], len(orders)), dtype=np.int64)
    for first in range(0, maps.shape[1], BLOCK):
        block = slice(first, first + BLOCK)
        counts = cross_counts(maps[:, block], thresholds[block], prefixes, cells)
        pool_over(counts.inside, holders, pooled[block])
        deranged_best(pooled[block], counts.activated.sum(axis=0), int(bank.sum()))
    return pooled


def upsampled(maps: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.stack([resize_bilinear(image, (SIZE, SIZE)) > thresholds[:, None, None] for image in maps])


def counted(active: NDArray[np.bool_], masks: Masks, derangement: int) -> NDArray[np.int64]:
    """(U,) pixels inside the masks of one derangement, pixel by pixel."""
    bank, own, orders = masks
    worn = own[orders[derangement]]
    return np.asarray(sum(np.count_nonzero(active[n] & bank[worn[n]], axis=(1, 2)) for n in np.flatnonzero(worn >= 0)))


def check(maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: Masks, cells: CellGrid) -> None:
    """The fast way, the counting kernel once per derangement, and plain pixels give the same."""
    bank, own, orders = masks
    found = fast_way(maps, thresholds, masks, cells)[:, :FEW]
    tables = np.ascontiguousarray(own[orders[:FEW]].T)
    kernel = count_above(maps, thresholds, (bank, cell_sums(bank, cells), tables), cells)[1].sum(axis=0)
    assert found.tolist() == kernel.tolist()
    active = upsampled(maps, thresholds)
    plain = np.stack([counted(active, masks, number) for number in range(FEW)], axis=1)
    print(
        f"{found.size} counts equal; pixels that differ from float32 upsampling (rounding at a threshold): "
        f"{np.abs(plain - found).sum()} of {found.sum()}"
    )


def main() -> None:
    maps = layer(np.random.default_rng(0))
    cells = cell_grid((GRID, GRID), (SIZE, SIZE))
    print(f"{UNITS} units, {GRID}² to {SIZE}², {CLASSES} classes × {ANNOTATED} masks, {DERANGEMENTS} derangements")
    spent = dict.fromkeys(("thresholds", "null", "upsampling", "counting"), 0.0)
    for number in range(CLASSES):
        rows = np.sort(np.random.default_rng(100 + number).choice(IMAGES, 2 * ANNOTATED, replace=False))
        chosen, masks = np.ascontiguousarray(maps[rows]), matched_masks(number)
        few = np.ascontiguousarray(chosen[:, :FEW])
        levels = matched_thresholds(few, int(masks[0].sum()), cells)
        check(few, levels, masks, cells)
        active = upsampled(few, levels)
        spent["upsampling"] += seconds(lambda few=few, levels=levels: upsampled(few, levels)) * UNITS / FEW
        spent["counting"] += seconds(lambda a=active, m=masks: [counted(a, m, r) for r in range(3)]) * UNITS / FEW / 3
        thresholds = np.concatenate([levels, np.zeros(UNITS - FEW, dtype=np.float32)])

        def find(chosen=chosen, masks=masks, thresholds=thresholds) -> None:
            thresholds[:] = matched_thresholds(chosen, int(masks[0].sum()), cells)

        spent["thresholds"] += seconds(find)
        spent["null"] += seconds(lambda c=chosen, t=thresholds, m=masks: fast_way(c, t, m, cells))
    each = DERANGEMENTS * (spent["upsampling"] + spent["counting"])
    once = spent["upsampling"] + DERANGEMENTS * spent["counting"]
    print(f"all pairs once, then gathered: {spent['null']:.1f} s (thresholds, needed either way: "
          f"{spent['thresholds']:.1f} s)")  # fmt: skip
    print(f"upsampled and counted once per derangement, scaled from {FEW} units: {each / 3600:.1f} h, "
          f"ratio {each / spent['null']:.0f}×")  # fmt: skip
    print(f"upsampled once, counted once per derangement: {once / 3600:.1f} h, ratio {once / spent['null']:.0f}×")


if __name__ == "__main__":
    main()
