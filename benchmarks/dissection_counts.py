"""Time exact unit-concept counts against upsample, threshold and count, on one core.

Run: ``OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/dissection_counts.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tailscope.core import resize_bilinear
from tailscope.dissection import activation_thresholds, unit_concept_counts

IMAGES, UNITS, GRID, SIZE, CONCEPTS = 64, 128, 8, 64, 10


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


def slow_way(maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    total = np.zeros((UNITS, CONCEPTS), dtype=np.int64)
    for image, image_masks in zip(maps, masks, strict=True):
        active = resize_bilinear(image, (SIZE, SIZE)) > thresholds[:, None, None]
        flat = image_masks.reshape(CONCEPTS, -1).astype(np.float32)
        total += (active.reshape(UNITS, -1).astype(np.float32) @ flat.T).astype(np.int64)
    return total


def main() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((IMAGES, UNITS, GRID + 2, GRID + 2)).astype(np.float32)
    # Neighbouring values of a real layer resemble each other: a 3 × 3 mean of white noise, then a ReLU.
    smooth = sum(noise[:, :, r : r + GRID, c : c + GRID] for r in range(3) for c in range(3)) / 9
    maps = np.maximum(smooth, 0).astype(np.float32)
    masks = np.zeros((IMAGES, CONCEPTS, SIZE, SIZE), dtype=bool)
    for image in masks:
        for mask in image[:2]:
            y, x = rng.integers(0, SIZE // 2, 2)
            mask[y : y + 20, x : x + 16] = True
    thresholds = activation_thresholds(maps, 0.005)
    unit_concept_counts(maps[:1], thresholds, masks[:1])  # compile first
    differing = np.abs(unit_concept_counts(maps, thresholds, masks).intersection - slow_way(maps, thresholds, masks))
    fast = seconds(lambda: unit_concept_counts(maps, thresholds, masks))
    slow = seconds(lambda: slow_way(maps, thresholds, masks))
    print(f"{IMAGES} images, {UNITS} units, {GRID}² to {SIZE}², {CONCEPTS} concepts")
    print(f"counted by cells {fast:.4f} s, pixel by pixel {slow:.4f} s, ratio {slow / fast:.0f}×")
    print(f"pixels that differ (float32 rounding at a threshold): {int(differing.sum())}")


if __name__ == "__main__":
    main()
