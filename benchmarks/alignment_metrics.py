"""The lens's alignment metrics with their references against a plain NumPy loop over pairs, and the peak of memory.

Scored are maps of 7 × 7 on boxes and ellipses in a frame of 224 × 224, with all that the lens needs: the value of
each pair and the reference, which for ``iou`` and ``iou_at_area`` is the mean over the masks of all other patients. The
loop resizes and ranks each map once and does all else pair by pair on (224, 224) arrays. It runs on ``--sample`` of the
pairs, each against ``--sample`` masks of others; its time is extrapolated by the number of pairs and of crossings.
Budget (docs: what it must cost): at least 50 times faster at 10,000 pairs.

    python benchmarks/alignment_metrics.py [--pairs 10000] [--classes 14] [--sample 30] [--no-memory]

With 14 classes the pairs are shared out evenly, as in a data set; ``--classes 1`` crosses all maps with all masks.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from memory import Peak, own_mib
from numpy.typing import NDArray

from tailscope.alignment import METRICS, score_pairs
from tailscope.core import resize_bilinear

FRAME, GRID, BUDGET = (224, 224), (7, 7), 50.0
NAMES = ("mass_inside", "pointing_game", "iobb", "ior", "iou", "iou_at_area")
EMPIRICAL = {"iou", "iou_at_area"}

Array = NDArray[np.float64]


def mask_of(number: int) -> NDArray[np.bool_]:
    """A box or an ellipse between 2 and 20 % of the frame."""
    rng = np.random.default_rng(number)
    high, wide = rng.integers(32, 100, size=2)
    top, left = rng.integers(0, FRAME[0] - high), rng.integers(0, FRAME[1] - wide)
    mask = np.zeros(FRAME, dtype=bool)
    if number % 2:
        mask[top : top + high, left : left + wide] = True
        return mask
    rows, columns = np.ogrid[: FRAME[0], : FRAME[1]]
    return ((rows - top - high / 2) * 2 / high) ** 2 + ((columns - left - wide / 2) * 2 / wide) ** 2 <= 1


def maps_of(count: int) -> NDArray[np.float32]:
    """Maps as after a ReLU: a third of the cells are 0."""
    return np.random.default_rng(0).normal(0.4, 1.0, size=(count, *GRID)).clip(min=0).astype(np.float32)


def scaled(saliency: Array) -> Array:
    return (saliency - saliency.min()) / (saliency.max() - saliency.min())


def mass_inside(saliency: Array, mask: NDArray[np.bool_]) -> tuple[float, float]:
    positive = saliency.clip(min=0)
    return (positive * mask).sum() / positive.sum(), mask.mean()


def pointing_game(saliency: Array, mask: NDArray[np.bool_]) -> tuple[float, float]:
    peak = saliency.max()
    tied = saliency >= peak - 1e-6 * (peak - saliency.min())
    return (tied & mask).sum() / tied.sum(), mask.mean()


def iobb(saliency: Array, mask: NDArray[np.bool_]) -> tuple[float, float]:
    level = scaled(saliency)
    return (level * mask).sum() / mask.sum(), level.mean()


def ior(saliency: Array, mask: NDArray[np.bool_]) -> tuple[float, float]:
    level = scaled(saliency)
    return (level * mask).sum() / level.sum(), mask.mean()


def iou(level: Array, mask: NDArray[np.bool_]) -> float:
    inside = (level * mask).sum()
    return inside / (mask.sum() + level.sum() - inside)


def iou_at_area(rank: Array, mask: NDArray[np.bool_]) -> float:
    top = rank < mask.sum()
    return (top & mask).sum() / (top | mask).sum()  # of tied pixels it takes the first, not the expectation


ANALYTIC: dict[str, Callable[[Array, NDArray[np.bool_]], tuple[float, float]]] = {
    "mass_inside": mass_inside,
    "pointing_game": pointing_game,
    "iobb": iobb,
    "ior": ior,
}


def loop_seconds(name: str, maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> tuple[float, float]:
    """Seconds of the loop for each pair, and for each crossing of a map with the mask of another patient."""
    once = crossing = 0.0
    for index, coarse in enumerate(maps):
        start = time.perf_counter()
        saliency = resize_bilinear(coarse, FRAME).astype(np.float64)
        if name in ANALYTIC:
            ANALYTIC[name](saliency, masks[index])
            once += time.perf_counter() - start
            continue
        if name == "iou":
            read, score = scaled(saliency), iou
        else:
            read, score = np.argsort(np.argsort(-saliency, axis=None)).reshape(FRAME), iou_at_area
        score(read, masks[index])
        middle = time.perf_counter()
        np.mean([score(read, mask) for other, mask in enumerate(masks) if other != index])
        once, crossing = once + middle - start, crossing + time.perf_counter() - middle
    return once / len(maps), crossing / len(maps) / (len(masks) - 1)


def package_seconds(names: tuple[str, ...], pairs: int, classes: int) -> float:
    """Seconds of :func:`score_pairs` over all classes, masks drawn beforehand are packed within."""
    maps, each = maps_of(pairs), pairs // classes
    masks = np.stack([mask_of(number) for number in range(min(each, 200))])
    metrics = {name: METRICS.build(name) for name in names}
    score_pairs(maps[:20], masks[:20], np.arange(20).astype(str), metrics)  # compiles
    start = time.perf_counter()
    for number in range(classes):
        some = maps[number * each : (number + 1) * each]
        score_pairs(some, lambda index: masks[index % len(masks)], np.arange(each).astype(str), metrics)
    return time.perf_counter() - start


def compare(pairs: int, classes: int, sample: int) -> None:
    each = pairs // classes
    crossings = classes * each * (each - 1)
    maps, masks = maps_of(sample), np.stack([mask_of(number) for number in range(sample)])
    print(f"{pairs:,} pairs in {classes} classes of {each:,} ({crossings:,} crossings for an empirical reference)")
    whole = 0.0
    for name in NAMES:
        once, crossing = loop_seconds(name, maps, masks)
        loop = classes * each * once + crossings * crossing
        whole += loop
        ours = package_seconds((name,), pairs, classes)
        print(f"{name:>14}: {ours:7.2f} s; loop {loop:9.1f} s = {loop / ours:6.0f} times")
    ours = package_seconds(NAMES, pairs, classes)
    print(f"{'all together':>14}: {ours:7.2f} s; loop {whole:9.1f} s = {whole / ours:6.0f} times (budget {BUDGET:.0f})")


def peak_of(pairs: int, place: Path) -> None:
    """Print the peak of own memory (Linux, RssAnon) while maps on disk are scored, masks given one at a time."""
    np.save(place, maps_of(pairs))
    metrics = {name: METRICS.build(name) for name in NAMES}
    patients = np.arange(pairs).astype(str)
    score_pairs(maps_of(20), mask_of, patients[:20], metrics)
    stored = np.load(place, mmap_mode="r")
    before, peak = own_mib(), Peak()
    peak.start()
    score_pairs(stored, mask_of, patients, metrics)
    peak.done.set()
    peak.join()
    print(f"{peak.mib - before:.0f}")


def memory(most: int) -> None:
    for pairs in (100, 1_000, 10_000):
        if pairs <= most:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, "--peak", str(pairs), f"{folder}/maps.npy"]
                peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            size = pairs * FRAME[0] * FRAME[1] / 2**20
            print(
                f"{pairs:>6,} pairs in one class: {peak:4.0f} MiB at the peak (the masks alone, as bools: {size:,.0f})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--sample", type=int, default=30)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    compare(arguments.pairs, arguments.classes, arguments.sample)
    if arguments.memory:
        memory(arguments.pairs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak_of(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
