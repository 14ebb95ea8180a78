"""Does memory grow with the number of images? Peak own memory of streaming the maps of 100 to 10,000 images to disk.

Counted is anonymous memory (Linux, RssAnon): pages of the maps' memory map come and go with the file cache. Pixels are
a memory map as well, made beforehand. Budget: it does not grow but for some bytes per map.

Run: ``python benchmarks/map_memory.py``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from memory import Peak, own_mib

from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import ANNOTATION_COLUMNS, ExperimentData
from tailscope.experiment.map_making import Question, write_maps
from tailscope.models import MODELS

SIZE, CLASSES = 64, 14


def experiment(count: int, place: Path) -> ExperimentData:
    pixels = np.lib.format.open_memmap(place / "pixels.npy", mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 1))
    rng = np.random.default_rng(0)
    for start in range(0, count, 500):
        pixels[start : start + 500] = rng.integers(0, 256, (min(500, count - start), SIZE, SIZE, 1))
    ids = np.array([f"{number:07d}" for number in range(count)])
    return ExperimentData(
        name="made",
        classes=tuple(f"class {number}" for number in range(CLASSES)),
        image_ids=ids,
        patient_ids=ids,
        split=np.full(count, "test"),
        targets=np.ones((count, CLASSES), dtype=np.float32),
        pixels=pixels,
        annotations=pd.DataFrame(columns=list(ANNOTATION_COLUMNS)),
        masks=lambda *_: None,
        annotated=np.zeros((0, 2), dtype=np.int64),
        fingerprint="made",
    )


def stream(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = experiment(count, place)
        torch.manual_seed(0)
        network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(CLASSES, 1)
        pairs = np.stack([np.arange(count), np.arange(count) % CLASSES], axis=1)
        question = Question(ATTRIBUTIONS.build("gradcam", layer="layer4"), network, data, pairs, 64)
        before, peak = own_mib(), Peak()
        peak.start()
        write_maps(place / "maps.npy", question, "inputs", lambda _: None)
        peak.done.set()
        peak.join()
        print(f"{peak.mib - before:.0f}")


def main() -> None:
    for count in (100, 1_000, 10_000):
        told = subprocess.run([sys.executable, __file__, str(count)], capture_output=True, text=True, check=True).stdout
        print(f"{count:>6} images: peak {told.strip()} MiB above the start")


if __name__ == "__main__":
    stream(int(sys.argv[1])) if len(sys.argv) > 1 else main()
