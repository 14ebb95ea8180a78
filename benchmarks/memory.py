"""Does memory grow with the number of images? Peak own memory of dissecting N and 4 N images. Budget: it does not.

Counted is anonymous memory (Linux, RssAnon): pages of the activations' memory map come and go with the file cache.
Annotated images are held constant, because their per-image counts are results and are kept.

Run: ``python benchmarks/memory.py``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from tailscope.dissection import AnnotatedImages, dissect

UNITS, GRID, SIZE, ANNOTATED = 64, 8, 64, 100


def own_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


class Peak(threading.Thread):
    """Samples the memory of this process every few milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.done.wait(0.005):
            self.mib = max(self.mib, own_mib())


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
    before, peak = own_mib(), Peak()
    peak.start()
    dissect(store, AnnotatedImages(lambda _, __: mask, targets, pairs, ids, ("mass",), ids))
    peak.done.set()
    peak.join()
    print(f"{peak.mib - before:.0f}")


def main() -> None:
    peaks = {}
    for count in (5_000, 20_000):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, str(count), f"{folder}/store.npy"]
            peaks[count] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        size = count * UNITS * GRID * GRID * 4 / 2**20
        print(f"{count:,} images ({size:,.0f} MiB of activations on disk): {peaks[count]:,.0f} MiB at the peak")
    print(f"ratio {peaks[20_000] / peaks[5_000]:.2f} for 4 times the images")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        dissect_from_disk(int(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
