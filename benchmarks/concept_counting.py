"""Count 8-connected regions inside annotations: our kernel against the published loop, the same regions, on one core.

The published loop upsamples each unit's map, thresholds it, cuts it to the mask and labels what is left; it knows one
mask per image. Like for like is therefore our count in the image's own mask alone: budget 50× (DESIGN section 8).
Our two nulls hold every image against the masks of all other patients, and against 20 shifts of its own; the time with
them, and the ratio per counted (image, mask) pair, stand beside it.

Run: ``OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/concept_counting.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import resize_bilinear
from tailscope.dissection import activation_thresholds, concept_counts
from tailscope.dissection.concepts import mask_shifts

EIGHT = np.ones((3, 3), dtype=bool)
BUDGET, BLOCK = 50, 256


class Case(NamedTuple):
    """How large the problem is, and the share of the activations above the threshold (.04 was published)."""

    images: int
    units: int
    grid: int
    size: int
    top_fraction: float


CASES = (Case(60, 256, 14, 112, 0.005), Case(60, 256, 14, 112, 0.04), Case(16, 2048, 7, 224, 0.005))


def published_loop(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: NDArray[np.bool_]
) -> NDArray[np.int64]:
    size = (masks.shape[1], masks.shape[2])
    regions = np.zeros(len(maps), dtype=np.int64)
    for number, (image, mask) in enumerate(zip(maps, masks, strict=True)):
        for first in range(0, len(image), BLOCK):
            block = slice(first, first + BLOCK)
            active = (resize_bilinear(image[block], size) > thresholds[block, None, None]) & mask
            regions[number] += sum(ndimage.label(unit, structure=EIGHT)[1] for unit in active)
    return regions


def world(case: Case) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Smooth noise after a ReLU, and a box in every image, of about a tenth of its area."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((case.images, case.units, case.grid + 2, case.grid + 2)).astype(np.float32)
    smooth = sum(noise[:, :, r : r + case.grid, c : c + case.grid] for r in range(3) for c in range(3)) / 9
    masks = np.zeros((case.images, case.size, case.size), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, case.size // 2, 2)
        mask[y : y + case.size * 5 // 14, x : x + case.size * 15 // 56] = True
    return np.maximum(smooth, 0).astype(np.float32), masks


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """The shortest of some runs."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def compare(case: Case) -> None:
    maps, masks = world(case)
    thresholds = activation_thresholds(maps, case.top_fraction)
    same, each = np.zeros(case.images, dtype=np.int64), np.arange(case.images)
    shifts = mask_shifts("mass", each.astype(str), (case.size, case.size), 0)
    ours = concept_counts(maps, thresholds, masks, each, shifts)  # compiles first
    begin = time.perf_counter()
    theirs = published_loop(maps, thresholds, masks)
    slow = time.perf_counter() - begin
    print(f"{case.images} images, {case.units} units, {case.grid}² to {case.size}², top {case.top_fraction:g}")
    print(f"  images whose number of regions differs: {(ours.components != theirs).sum()} of {theirs.sum():,} regions")
    own = seconds(lambda: concept_counts(maps, thresholds, masks, same))
    full = seconds(lambda: concept_counts(maps, thresholds, masks, each, shifts))
    per_image = case.images + shifts.shape[1]
    print(f"  the published loop {slow:.3f} s; ours, own masks alone, {own:.4f} s")
    print(f"  ratio {slow / own:.0f}× (budget {BUDGET}×)")
    print(f"  with both nulls, {per_image} masks per image, {full:.3f} s: {slow / full:.0f}× as run, ", end="")
    print(f"{slow / full * per_image:.0f}× per pair")


if __name__ == "__main__":
    for chosen in CASES:
        compare(chosen)
