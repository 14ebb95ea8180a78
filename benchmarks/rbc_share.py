"""How much of an epoch of the RBC example is the network's forward and backward pass? Budget: 90 % (DESIGN section 8).

Measured inside the training itself, arm ``control``: all time in the network's forward pass, of training and of
validation, and in the backward pass, against the wall time of the epochs. A training of one epoch comes before and is
not counted: it loads what every later one finds, a small part of the example's 30 epochs and a large one of two. What
takes most of the rest is named.

Run: ``python benchmarks/rbc_share.py ROOT [EPOCHS]``, where ROOT holds Chula RBC-12's folders Dataset/ and Label/.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from tailscope.core import ExperimentData
from tailscope.data import DATASETS, prepare
from tailscope.experiment import ExperimentConfig, load_config
from tailscope.experiment.fitting import fresh_network
from tailscope.training import Job, fit

CONFIG = Path(__file__).parents[1] / "examples" / "rbc.yaml"
BUDGET = 90


class Passes:
    """Adds up the time of the forward and backward passes of a network."""

    def __init__(self) -> None:
        self.forward = self.backward = 0.0
        self._begin = 0.0
        self._real = Fabric.backward

    def watch(self, module: torch.nn.Module) -> None:
        """Time this network from now on."""
        module.register_forward_pre_hook(self._started)
        module.register_forward_hook(self._ended)
        passes = self

        def timed(fabric: Fabric, *args: Any, **settings: Any) -> None:
            begin = time.perf_counter()
            passes._real(fabric, *args, **settings)
            passes.backward += time.perf_counter() - begin

        Fabric.backward = timed  # type: ignore[method-assign]

    def _started(self, *_: object) -> None:
        self._begin = time.perf_counter()

    def _ended(self, *_: object) -> None:
        self.forward += time.perf_counter() - self._begin


def prepared(config: ExperimentConfig, place: Path) -> ExperimentData:
    source = DATASETS.build(config.data.source, **config.data.args)(config.data.root)
    begin = time.perf_counter()
    data = prepare(source, config.data.view(), place / "cache")
    print(f"{len(data.image_ids)} images prepared in {time.perf_counter() - begin:.1f} s")
    return data


def job_of(config: ExperimentConfig, data: ExperimentData) -> Job:
    plan = config.treatment("control").build()(data.counts)
    return Job(fresh_network(config, data, 0), plan, data, config.training_of("control"), 0)


def measure(config: ExperimentConfig, data: ExperimentData, place: Path) -> None:
    job, passes = job_of(config, data), Passes()
    passes.watch(job.network.module)
    begin = time.perf_counter()
    fit(job, place / "measured")
    whole = time.perf_counter() - begin
    print(
        f"{job.settings.epochs} epochs {whole:.2f} s: forward {passes.forward:.2f} s, backward {passes.backward:.2f} "
        f"s, share {100 * (passes.forward + passes.backward) / whole:.1f} % (budget {BUDGET} %)"
    )


def profile(config: ExperimentConfig, data: ExperimentData, place: Path) -> None:
    job, watched, text = job_of(config, data), cProfile.Profile(), io.StringIO()
    watched.runcall(fit, job, place / "profiled")
    pstats.Stats(watched, stream=text).sort_stats("tottime").print_stats(14)
    print("\n".join(line for line in text.getvalue().splitlines() if line.strip()))


def main(root: Path, epochs: int) -> None:
    config = load_config(CONFIG, (f"training.epochs={epochs}", f"data.root={root}"))
    with tempfile.TemporaryDirectory() as place:
        data = prepared(config, Path(place))
        once = config.model_copy(update={"training": replace(config.training, epochs=1)})
        fit(job_of(once, data), Path(place) / "first")
        measure(config, data, Path(place))
        profile(config, data, Path(place))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
