"""Cluster bootstrap of AUROC and AP: numba kernels against a scikit-learn loop over repeated images, in one run."""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from tailscope.performance import resampled_auroc, resampled_average_precision
from tailscope.stats import cluster_multiplicity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=2_000)
    parser.add_argument("--loop-resamples", type=int, default=20)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    scores = random.normal(size=(given.images, given.classes)).round(3)
    labels = (random.random(scores.shape) < 0.05).astype(float)
    patients = random.integers(0, given.images // 3, given.images)
    begun = time.perf_counter()
    multiplicity = cluster_multiplicity(patients, given.resamples, seed=0)
    print(f"drawing {given.resamples} resamples of {given.images} images: {time.perf_counter() - begun:.2f} s")
    for ours, oracle in ((resampled_auroc, roc_auc_score), (resampled_average_precision, average_precision_score)):
        ours(scores, labels, multiplicity[:1])  # compiles
        begun = time.perf_counter()
        fast = ours(scores, labels, multiplicity)
        fast_s = (time.perf_counter() - begun) / given.resamples
        begun = time.perf_counter()
        slow = np.array([_loop(oracle, scores, labels, counts) for counts in multiplicity[: given.loop_resamples]])
        slow_s = (time.perf_counter() - begun) / given.loop_resamples
        worst = np.abs(fast[: given.loop_resamples] - slow).max()
        print(
            f"{oracle.__name__}: {1e3 * fast_s:.3f} ms against {1e3 * slow_s:.1f} ms per resample of {given.classes} "
            f"classes, {slow_s / fast_s:.0f}x, largest difference {worst:.1e}"
        )


def _loop(oracle, scores, labels, counts):
    rows = np.repeat(np.arange(len(scores)), counts)
    return [oracle(labels[rows, k], scores[rows, k]) for k in range(scores.shape[1])]


if __name__ == "__main__":
    main()
