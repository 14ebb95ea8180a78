"""Cluster bootstrap of AUROC and AP: one sort per class against a scikit-learn loop over repeated images.

Run: ``python benchmarks/cluster_bootstrap.py`` (about a minute; ``--images``, ``--classes`` and ``--resamples`` for a
smaller case). Both sides are measured in this process, scikit-learn on the first ``--loop-resamples`` resamples only,
and its time for all of them is extrapolated: every resample costs it the same. The values are compared first; a
disagreement ends the benchmark.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from numba import config
from sklearn.metrics import average_precision_score, roc_auc_score

from tailscope.performance import resampled_auroc, resampled_average_precision
from tailscope.stats import cluster_multiplicity

PAIRS = (
    ("AUROC", resampled_auroc, roc_auc_score),
    ("average precision", resampled_average_precision, average_precision_score),
)
TOLERANCE = 1e-9
BUDGET = 100  # times a scikit-learn loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--resamples", type=int, default=2_000)
    parser.add_argument("--loop-resamples", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    random = np.random.default_rng(0)
    labels = (random.random((given.images, given.classes)) < np.geomspace(0.2, 0.005, given.classes)).astype(float)
    scores = (random.normal(size=labels.shape) + labels).round(3)
    drawn, seconds = timed(
        lambda: cluster_multiplicity(random.integers(0, given.images // 3, given.images), given.resamples, 0)
    )
    print(f"{given.images} images, {given.classes} classes, {given.resamples} resamples")
    print(f"drawing them: {seconds:.2f} s, {drawn.nbytes / 2**20:.0f} MiB of {drawn.dtype}")
    for name, ours, oracle in PAIRS:
        compare(name, lambda counts, ours=ours: ours(scores, labels, counts), drawn, given.threads,
                lambda counts, oracle=oracle: loop(oracle, scores, labels, counts), given.loop_resamples)  # fmt: skip


def compare(name: str, ours: Callable, drawn, threads: list[int], theirs: Callable, some: int) -> None:
    """Values first, then both times, then memory, of one metric."""
    ours(drawn[:2])  # compiles
    slow, slow_s = timed(lambda: theirs(drawn[:some]))
    worst = np.nanmax(np.abs(ours(drawn[:some]) - slow))
    assert worst <= TOLERANCE, f"{name} differs from scikit-learn by {worst}"
    print(f"{name}: largest difference to scikit-learn {worst:.1e}")
    all_s = slow_s * len(drawn) / some
    print(f"  scikit-learn: {slow_s:.1f} s for {some} resamples, {all_s:.0f} s for all of them (extrapolated)")
    alone = None
    for number in threads:
        config.NUMBA_NUM_THREADS = number
        before = peak()
        found, seconds = min((timed(lambda: ours(drawn)) for _ in range(3)), key=lambda one: one[1])
        alone = found if alone is None else alone
        assert np.array_equal(found, alone, equal_nan=True), "the numbers depend on the number of threads"
        verdict = "meets" if all_s / seconds >= BUDGET else "MISSES"
        print(
            f"  tailscope, {number} thread(s): {seconds:.2f} s for all, {all_s / seconds:.0f}x ({verdict} {BUDGET}x), "
            f"{peak() - before:.0f} MiB above what was in use before"
        )


def loop(oracle: Callable, scores, labels, multiplicity):
    """What one writes without the engine: repeat the images, sort them anew."""
    rows = [np.repeat(np.arange(len(scores)), counts) for counts in multiplicity]
    return np.array([[oracle(labels[row, k], scores[row, k]) for k in range(scores.shape[1])] for row in rows])


def timed(work: Callable):
    """What some work gives, and its seconds."""
    begun = time.perf_counter()
    done = work()
    return done, time.perf_counter() - begun


def peak() -> float:
    """Most memory this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
