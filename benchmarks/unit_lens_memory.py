"""Does the unit lens need more memory for more images? Peak own memory of the whole lens, 200 to 20,000 phantom images.

The lens is that of ``tailscope run``: activations written to disk, thresholds, counts, detectors with 1,000
derangements, cross-fits, concept counts, the causal check and the unit cards, on a network trained for one epoch.
Counted is anonymous memory (Linux, RssAnon) beyond that of the process before the lens: pages of the pixels' and the
activations' memory maps come and go with the file cache. Every image has the same chance of a finding, so annotated
images grow with the images; of these, what is counted per image is a result and is kept. Budget: the peak does not grow
as the images do.

Run: ``python benchmarks/unit_lens_memory.py`` (or with the counts of images to try)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from memory import Peak, own_mib

from tailscope.core import SilentProgress
from tailscope.experiment import run
from tailscope.experiment.conducting import read_configuration
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.looking import Looking
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.preparing import prepare_experiment
from tailscope.experiment.timing import Timings

COUNTS = (200, 2_000, 20_000)


def configuration(count: int) -> dict[str, Any]:
    """One arm, one seed, one epoch, ``count`` test images."""
    return {
        "name": "memory",
        "data": {
            "source": "phantom",
            "image_size": 64,
            "args": {"train": 300, "val": 100, "test": count, "seed": 0},
        },
        "model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}},
        "treatments": ["control"],
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 32, "lr": 3.0e-3},
        "lenses": {"alignment": None, "dissection": None, "representation": None},
        "compare": {"resamples": 100},
    }


def look(count: int, place: Path) -> None:
    """The lens alone, in a process of its own, after the training."""
    config = read_configuration({**configuration(count), "lenses": {"alignment": None, "representation": None}})
    folder = ExperimentFolder(place)
    prepared = prepare_experiment(config, folder, SilentProgress())
    runs = planned_runs(config, prepared.data)
    looking = Looking(folder, prepared, runs, Timings(place / "seconds.json"), SilentProgress())
    annotated = len(looking.pairs.table)
    before, peak, begin = own_mib(), Peak(), time.perf_counter()
    peak.start()
    looking.at(runs[0], has_network=True)
    seconds = time.perf_counter() - begin
    peak.done.set()
    peak.join()
    print(f"{annotated:6,} annotated pairs: {peak.mib - before:5.0f} MiB at the peak, {seconds:,.0f} s")


def main(counts: tuple[int, ...]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "experiment"
            run(configuration(count), place)
            command = [sys.executable, __file__, "look", str(count), str(place)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"{count:6,} images, {said}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["look"]:
        look(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(tuple(map(int, sys.argv[1:])) or COUNTS)
