"""Count 8-connected regions inside annotations: our kernel against the published loop, the same regions, on one core.

The published loop labels each unit's map by itself. Ours counts, beside the image's own mask, the masks of all other
patients (the null), so the ratio per counted (image, mask) pair is printed as well. Budget: 50× (DESIGN section 8).

Run: ``OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/concept_counting.py``
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tailscope.core import resize_bilinear
from tailscope.dissection import activation_thresholds, concept_counts

IMAGES, UNITS, GRID, SIZE = 60, 256, 14, 112
EIGHT = np.ones((3, 3), dtype=bool)


def published_loop(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: NDArray[np.bool_]
) -> NDArray[np.int64]:
    regions = np.zeros(len(maps), dtype=np.int64)
    for number, (image, mask) in enumerate(zip(maps, masks, strict=True)):
        active = (resize_bilinear(image, (SIZE, SIZE)) > thresholds[:, None, None]) & mask
        regions[number] = sum(ndimage.label(unit, structure=EIGHT)[1] for unit in active)
    return regions


def main() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((IMAGES, UNITS, GRID + 2, GRID + 2)).astype(np.float32)
    smooth = sum(noise[:, :, r : r + GRID, c : c + GRID] for r in range(3) for c in range(3)) / 9
    maps = np.maximum(smooth, 0).astype(np.float32)
    masks = np.zeros((IMAGES, SIZE, SIZE), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, SIZE // 2, 2)
        mask[y : y + 40, x : x + 30] = True
    thresholds = activation_thresholds(maps, 0.005)
    patients = np.arange(IMAGES)
    concept_counts(maps[:2], thresholds, masks[:2], patients[:2])  # compile first
    begin = time.perf_counter()
    ours = concept_counts(maps, thresholds, masks, patients)
    fast = time.perf_counter() - begin
    begin = time.perf_counter()
    theirs = published_loop(maps, thresholds, masks)
    slow = time.perf_counter() - begin
    print(
        f"{IMAGES} images, {UNITS} units, {GRID}² to {SIZE}²; counts that differ: {(ours.components != theirs).sum()}"
    )
    print(f"ours {fast:.3f} s for {IMAGES**2:,} (image, mask) pairs; the published loop {slow:.3f} s for {IMAGES}")
    print(f"ratio {slow / fast:.1f}× as run, {slow / fast * IMAGES:.0f}× per pair")


if __name__ == "__main__":
    main()
