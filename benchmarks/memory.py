"""Does memory grow with the number of images? Peak resident memory of dissecting N and 4 N images. Budget: it does not.

Annotated images are held constant: their per-image counts are results and are kept.

Run: ``python benchmarks/memory.py``
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tailscope.dissection import AnnotatedImages, dissect

UNITS, GRID, SIZE, ANNOTATED = 64, 8, 64, 100


def dissect_from_disk(count: int, place: Path) -> None:
    rng = np.random.default_rng(0)
    store = np.lib.format.open_memmap(place, mode="w+", dtype=np.float32, shape=(count, UNITS, GRID, GRID))
    for start in range(0, count, 500):
        store[start : start + 500] = rng.standard_normal((min(500, count - start), UNITS, GRID, GRID))
    targets = np.zeros((count, 1), dtype=np.float32)
    targets[:ANNOTATED] = 1
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[10:30, 20:40] = True
    ids = np.array([f"{number:07d}" for number in range(count)])
    pairs = np.stack([np.arange(ANNOTATED), np.zeros(ANNOTATED, dtype=np.int64)], axis=1)
    dissect(store, AnnotatedImages(lambda _, __: mask, targets, pairs, ids, ("mass",), ids))


def main() -> None:
    peaks = {}
    for count in (5_000, 20_000):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, str(count), f"{folder}/store.npy"], check=True)
        peaks[count] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        size = count * UNITS * GRID * GRID * 4 / 2**20
        print(f"{count:,} images ({size:,.0f} MiB of activations on disk): peak {peaks[count]:,.0f} MiB")
    print(f"ratio {peaks[20_000] / peaks[5_000]:.2f} for 4 times the images")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        dissect_from_disk(int(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
