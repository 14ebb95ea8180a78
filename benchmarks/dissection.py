"""Exact unit-concept counts against upsample, threshold and count in torch, and against the network's forward pass.

Both sides get the same maps (smooth, after a ReLU, most of the units silent on most images), the same thresholds and
the same masks of 14 classes, and two threads. The loop is a good one: an image's maps are upsampled in float32, 64
units at once (all at once takes twice the time), compared, and multiplied with all masks. First the counts must be
equal: those of the same loop in float64, rounded once to float32, pixel for pixel. Budget (docs: what it must cost): at
least 100 times faster at 2048 × 7 × 7, and at most a tenth of a ResNet-50's own forward pass on the same images.

Printed are wall seconds, the least of some repeats taken in turn with the other sides, and processor seconds, all
threads together: where others use the machine as well, those tell more. OpenMP waits passively
(``OMP_WAIT_POLICY``): with threads that spin while others hold the cores, the loop in torch takes up to seven times
as long, and the ratio would say so much about the machine. ``--threads 1`` is the surest comparison.

    python benchmarks/dissection.py [--images 96] [--sample 4] [--annotated 2] [--threads 2] [--repeats 5]

``--annotated`` classes of an image have a mask, as few do in a data set of chest X-rays; 14 is the worst case.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torchvision
from numba import config
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tailscope.dissection import activation_thresholds, unit_concept_counts

LAYERS = ((2048, 7), (1024, 14), (512, 28))
SIZE, CLASSES, TOP, RATIO, SHARE = 224, 14, 0.005, 100.0, 0.1
UNITS_AT_ONCE, FORWARD_IMAGES = 64, 16

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def made_maps(images: int, units: int, grid: int) -> NDArray[np.float32]:
    """Neighbouring values resemble each other, units differ in how often they answer, and images in how strongly."""
    rng = np.random.default_rng(0)
    bias = rng.normal(0.3, 0.15, (units, 1, 1)).astype(np.float32)
    maps = np.empty((images, units, grid, grid), dtype=np.float32)
    for place in maps:
        noise = rng.standard_normal((units, grid + 2, grid + 2), dtype=np.float32)
        smooth = sum(noise[:, r : r + grid, c : c + grid] for r in range(3) for c in range(3)) / 9
        place[:] = np.maximum(smooth + rng.normal(0, 0.3, (units, 1, 1)).astype(np.float32) - bias, 0)
    return maps


def made_masks(images: int, annotated: int) -> NDArray[np.bool_]:
    """Boxes and ellipses of 2 to 20 % of the frame, in ``annotated`` classes of each image."""
    rng = np.random.default_rng(1)
    masks = np.zeros((images, CLASSES, SIZE, SIZE), dtype=bool)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    for image in masks:
        for number in rng.permutation(CLASSES)[:annotated]:
            high, wide = rng.integers(32, 100, 2)
            top, left = rng.integers(0, SIZE - high), rng.integers(0, SIZE - wide)
            down, across = (rows - top - high / 2) * 2 / high, (columns - left - wide / 2) * 2 / wide
            box = (abs(down) <= 1) & (abs(across) <= 1)
            image[number] = box if number % 2 else down**2 + across**2 <= 1
    return masks


def loop(maps: Tensor, thresholds: Tensor, masks: Tensor, upsample: Callable[[Tensor], Tensor]) -> Counts:
    inside = torch.zeros((maps.shape[1], CLASSES), dtype=torch.int64)
    activated = torch.zeros(maps.shape[1], dtype=torch.int64)
    for image, concepts in zip(maps, masks, strict=True):
        flat = concepts.flatten(1).float().T
        for some in torch.arange(len(image)).split(UNITS_AT_ONCE):
            active = (upsample(image[some]) > thresholds[some, None, None]).flatten(1).float()
            inside[some] += (active @ flat).long()
            activated[some] += active.sum(dim=1).long()
    return inside.numpy(), activated.numpy()


def in_float32(image: Tensor) -> Tensor:
    return functional.interpolate(image[None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)[0]


def in_float64(image: Tensor) -> Tensor:
    return in_float32(image.double()).float()


def in_turn(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """The least wall and processor seconds of each; on a shared machine others only ever add to them."""
    least = dict.fromkeys(works, (np.inf, np.inf))
    for _ in range(repeats):
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            spent = time.perf_counter() - wall, time.process_time() - processor
            least[name] = min(least[name][0], spent[0]), min(least[name][1], spent[1])
    return least


def differing(maps: NDArray[np.float32], thresholds: NDArray[np.float32], masks: NDArray[np.bool_]) -> int:
    slow = loop(torch.from_numpy(maps), torch.from_numpy(thresholds), torch.from_numpy(masks), in_float64)
    ours = unit_concept_counts(maps, thresholds, masks)
    return int(abs(ours.intersection - slow[0]).sum() + abs(ours.activated - slow[1]).sum())


def forward_pass() -> Callable[[], object]:
    network = torchvision.models.resnet50().eval()
    batch = torch.rand(FORWARD_IMAGES, 3, SIZE, SIZE)

    def forward() -> Tensor:
        with torch.inference_mode():
            result: Tensor = network(batch)
        return result

    forward()
    return forward


def compare(units: int, grid: int, arguments: argparse.Namespace, forward: Callable[[], object]) -> bool:
    maps, masks = made_maps(arguments.images, units, grid), made_masks(arguments.images, arguments.annotated)
    thresholds = activation_thresholds(maps, TOP)  # compiles, too
    some = slice(0, arguments.sample)
    print(
        f"{units} × {grid} × {grid} to {SIZE}², {CLASSES} classes, {arguments.annotated} of them with a mask per image"
    )
    if wrong := differing(maps[some], thresholds, masks[some]):
        print(f"  counts DIFFER from the loop in float64, by {wrong} pixels")
        return False
    print(f"  counts of {arguments.sample} images: equal to the loop in float64, pixel for pixel")
    parts = torch.from_numpy(maps[some]), torch.from_numpy(thresholds), torch.from_numpy(masks[some])
    works: dict[str, tuple[Callable[[], object], int]] = {
        "loop in float32": (lambda: loop(*parts, in_float32), arguments.sample),
        "unit_concept_counts": (lambda: unit_concept_counts(maps, thresholds, masks), len(maps)),
        "activation_thresholds": (lambda: activation_thresholds(maps, TOP), len(maps)),
        "ResNet-50 forward": (forward, FORWARD_IMAGES),
    }
    spent = in_turn({name: work for name, (work, _) in works.items()}, arguments.repeats)
    slow, fast, level, own = (np.array(spent[name]) / works[name][1] for name in works)
    for name, each in zip(works, (slow, fast, level, own), strict=True):
        print(f"  {name:22}{each[0] * 1e3:10.3f} ms per image, {each[1] * 1e3:10.3f} ms of processors")
    ratio, share, both = slow / fast, fast / own, (fast + level) / own
    print(f"  counts are {ratio[0]:,.0f} times faster (processors: {ratio[1]:,.0f})")
    print(f"  and take {share[0]:.1%} of the forward pass (processors: {share[1]:.1%}), ", end="")
    print(f"with thresholds {both[0]:.1%} ({both[1]:.1%})")
    return bool((ratio >= RATIO).all() and (both <= SHARE).all())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("images", 96), ("sample", 4), ("annotated", 2), ("threads", 2), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=number)
    arguments = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:  # read once, when OpenMP is loaded: so start anew
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_WAIT_POLICY": "passive"})
    torch.set_num_threads(arguments.threads)
    config.NUMBA_NUM_THREADS = arguments.threads
    forward = forward_pass()
    held = [compare(units, grid, arguments, forward) for units, grid in LAYERS]
    print(f"budget (≥ {RATIO:.0f} times, ≤ {SHARE:.0%} of the forward pass) at 2048 × 7 × 7: ", end="")
    print("held" if held[0] else "NOT held")


if __name__ == "__main__":
    main()
