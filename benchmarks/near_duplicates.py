"""How long, and in how much memory, are images that look alike found? Budget: 112,120 in 10 minutes and 2 GiB, 2 cores.

To render 112,120 phantoms takes long, so each image is another random part, 65 to 90 % wide, of one of 1,000 phantoms
of 64 px. How often such parts are as alike as the chests of two people was not measured: beyond the copies 1,455 pairs
were found among 112,120, presumably parts cut nearly alike. Every 1,000th image is a copy of the one 500 before it,
darker, which must be found. They lie in a memory map among the system's temporary files. Counted is the peak resident
memory of the process that looks (Linux, VmHWM), with the mapped images.

Run: ``python benchmarks/near_duplicates.py [IMAGES]``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from PIL import Image

from tailscope.data.near_duplicates import SIDE, near_duplicates
from tailscope.data.phantom import label_rows
from tailscope.data.phantom_plan import PREVALENCE, SetPlan, plan_set
from tailscope.data.phantom_rendering import RenderSettings, render_phantoms

NIH = 112_120
EVERY, BEFORE = 1000, 500
RENDERED = 1000


def darkened(image: np.ndarray) -> np.ndarray:
    return (255 * (image / 255.0) ** 1.3 * 0.9).astype(np.uint8)


def cut(image: Image.Image, generator: np.random.Generator) -> np.ndarray:
    """A random part of an image, 65 to 90 % of its side, at the whole size."""
    side = generator.uniform(0.65, 0.9) * SIDE
    left, top = generator.uniform(0, SIDE - side, 2)
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))


def render(count: int, place: Path) -> None:
    """Write the images under another name first, so that an interrupted run leaves none behind."""
    half = place.with_suffix(".part")
    plan = SetPlan((RENDERED, 100, 100), seed=0, prevalence=PREVALENCE, minimum=1, per_patient=(1, 3))
    drawn, _ = render_phantoms(RenderSettings(size=SIDE), range(RENDERED), label_rows(plan_set(plan))[:RENDERED])
    bases, generator = [Image.fromarray(one) for one in drawn], np.random.default_rng(0)
    images = np.lib.format.open_memmap(half, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE))
    for number in range(count):
        images[number] = cut(bases[number % RENDERED], generator)
    for copy in range(EVERY, count, EVERY):
        images[copy] = darkened(images[copy - BEFORE])
    images.flush()
    half.rename(place)


def peak_gib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def look(place: Path) -> None:
    images = np.load(place, mmap_mode="r")
    started, worked = perf_counter(), process_time()
    pairs = near_duplicates(images, np.arange(len(images)))
    wall = perf_counter() - started
    copies = {(copy - BEFORE, copy) for copy in range(EVERY, len(images), EVERY)}
    found = {(pair.first, pair.second) for pair in pairs}
    print(
        f"{len(images):,} images: {wall:,.0f} s, {process_time() - worked:,.0f} s of processor time, "
        f"{peak_gib():.2f} GiB at the peak; "
        f"{len(copies & found)} of {len(copies)} copies found, {len(found - copies)} further pairs"
    )


def main(count: int) -> None:
    place = Path(tempfile.gettempdir()) / f"tailscope-phantoms-{count}.npy"
    if not place.exists():
        started = perf_counter()
        render(count, place)
        print(f"rendered {count:,} images in {perf_counter() - started:,.0f} s", flush=True)
    subprocess.run([sys.executable, __file__, "--look", str(place)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else NIH)
