"""Does memory grow with the number of images? Peak own memory of streaming 200 to 20,000 images' maps. Budget: no.

Maps are made on the fly and never stored: one pass for the thresholds, a second one for the counts. Thresholds keep the
top share of each unit, which grows with the images up to a stated bound (by default 256 MiB): here 200 images need 1
MiB and 20,000 need 8. Beyond the bound a sketch of fixed size takes over, as the runs with a bound of 4 MiB show.
Counted is anonymous memory (Linux, RssAnon) beyond that of the process before.

Run: ``python benchmarks/dissection_memory.py``
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from memory import Peak, own_mib
from numpy.typing import NDArray

from tailscope.dissection import unit_concept_counts
from tailscope.dissection.streaming_thresholds import ThresholdAccumulator

UNITS, GRID, SIZE, CLASSES, BATCH = 256, 7, 64, 4, 50
COUNTS, BOUNDS = (200, 2_000, 20_000), (256 * 2**20, 4 * 2**20)


def stream(count: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Batches of maps and masks, the same in each pass."""
    rng = np.random.default_rng(0)
    for _ in range(0, count, BATCH):
        maps = np.maximum(rng.standard_normal((BATCH, UNITS, GRID, GRID), dtype=np.float32), 0)
        masks = np.zeros((BATCH, CLASSES, SIZE, SIZE), dtype=bool)
        masks[:, 0, 10:30, 20:40] = True
        yield maps, masks


def dissect_stream(count: int, most_bytes: int) -> str:
    thresholds = ThresholdAccumulator(UNITS, count * GRID * GRID, most_bytes=most_bytes)
    for maps, _ in stream(count):
        thresholds.add(maps)
    found = thresholds.finish()
    parts = (unit_concept_counts(maps, found.values, masks) for maps, masks in stream(count))
    total = next(parts)
    for part in parts:
        total = total + part
    kind = "exact" if found.is_exact else f"sketch, rank error at most {found.rank_error.max()} of {count * GRID**2}"
    return f"thresholds {kind}, {int(total.activated.sum())} pixels activated"


def measured(count: int, most_bytes: int) -> None:
    dissect_stream(BATCH, most_bytes)  # compiles
    before, peak = own_mib(), Peak()
    peak.start()
    said = dissect_stream(count, most_bytes)
    peak.done.set()
    peak.join()
    print(f"{peak.mib - before:.0f} MiB at the peak; {said}")


def main() -> None:
    for bound in BOUNDS:
        print(f"bound of the thresholds {bound // 2**20} MiB")
        for count in COUNTS:
            size = count * UNITS * GRID * GRID * 4 / 2**20
            command = [sys.executable, __file__, str(count), str(bound)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"  {count:6,} images ({size:5,.0f} MiB of activations): {said}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measured(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
