"""Did a treatment move the features further from control than another seed does?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import InputError

RELATIVE_CKA_COLUMNS = ("layer", "arm", "control", "treated", "reference", "difference", "se", "pairs", "reason")
ONE_SEED = "no two seeds with both arms"
DEGENERATE = "CKA is undefined for every pair of seeds"
_LEAST_SEEDS = 3  # with two, a jackknife leaves no pair


def relative_cka(
    values: NDArray[np.float64],
    arms: Sequence[str],
    seeds: Sequence[int],
    layers: Sequence[str],
    control: str | None = None,
) -> pd.DataFrame:
    """CKA between a treatment and control, beside CKA between two controls, always of different seeds.

    Runs of one seed share the initialisation and the order of images, which alone makes them alike. So the similarity
    of (treatment, s) and (control, s′) is held against that of (control, s) and (control, s′), over the same s ≠ s′.

    Args:
        values: (L, R, R) CKA among R runs in each layer.
        arms: R names.
        seeds: R numbers; an arm has a seed once.
        layers: L names.
        control: Arm to compare with; by default the first.

    Returns:
        One row per layer and treatment: ``treated`` and ``reference``, the two means in [-1, 1]; ``difference`` =
        treated - reference (0: the treatment changed the features no more than a seed does; below 0: more); ``se``,
        its standard error over seeds (delete-one-seed jackknife; NaN below 3 seeds); ``pairs``, the number of (s, s′);
        ``reason`` where the difference is NaN.

    Raises:
        InputError: Lengths do not fit, a run stands twice, or control is none of the arms.

    Source:
        METHODS section 6; jackknife: Efron and Stein 1981.

    Example:
        >>> import numpy as np
        >>> among = np.array([[[1, 0.8, 0.9, 0.5], [0.8, 1, 0.7, 0.9], [0.9, 0.7, 1, 0.4], [0.5, 0.9, 0.4, 1]]])
        >>> found = relative_cka(among, ["control", "control", "focal", "focal"], [1, 2, 1, 2], ["layer4"])
        >>> found[["treated", "reference", "difference", "pairs"]].round(3).values.tolist()
        [[0.6, 0.8, -0.2, 2.0]]
    """
    run = _numbered_runs(values, arms, seeds, layers)
    base = next(iter(arms), "") if control is None else control
    if base not in arms:
        raise InputError(f"`control` must be one of {sorted(set(arms))}; got {base!r}")
    treatments = [arm for arm in dict.fromkeys(arms) if arm != base]
    rows: list[dict[str, Any]] = []
    for layer, among in zip(layers, values, strict=True):
        for arm in treatments:
            shared = sorted(seed for name, seed in run if name == arm and (base, seed) in run)
            treated = _over_seed_pairs(among, [run[arm, seed] for seed in shared], [run[base, seed] for seed in shared])
            reference = _over_seed_pairs(among, *[[run[base, seed] for seed in shared]] * 2)
            rows.append({"layer": layer, "arm": arm, "control": base, **_summary(treated, reference)})
    return pd.DataFrame(rows, columns=list(RELATIVE_CKA_COLUMNS))


def _numbered_runs(
    values: NDArray[np.float64], arms: Sequence[str], seeds: Sequence[int], layers: Sequence[str]
) -> dict[tuple[str, int], int]:
    run = {named: number for number, named in enumerate(zip(arms, seeds, strict=False))}
    if len(arms) != len(seeds) or len(run) != len(arms) or values.shape != (len(layers), len(arms), len(arms)):
        raise InputError(
            "`values` must be (L, R, R) with R different runs (arm, seed) and L `layers`; got "
            f"{values.shape}, {len(arms)} arms, {len(seeds)} seeds, {len(run)} different runs, {len(layers)} layers"
        )
    return run


def _over_seed_pairs(among: NDArray[np.float64], firsts: list[int], seconds: list[int]) -> NDArray[np.float64]:
    """(S, S) value of every pair of seeds; NaN on the diagonal, where the seeds are the same."""
    table = np.full((len(firsts), len(firsts)), np.nan)
    for s, other in permutations(range(len(firsts)), 2):
        table[s, other] = among[firsts[s], seconds[other]]
    return table


def _summary(treated: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, Any]:
    both = np.isfinite(treated) & np.isfinite(reference)
    pairs = int(both.sum())
    if not pairs:
        reason = DEGENERATE if len(treated) > 1 else ONE_SEED
        missing = dict.fromkeys(("treated", "reference", "difference", "se"), np.nan)
        return {**missing, "pairs": 0, "reason": reason}
    difference = treated - reference
    return {
        "treated": float(treated[both].mean()),
        "reference": float(reference[both].mean()),
        "difference": float(difference[both].mean()),
        "se": _jackknife_se(np.where(both, difference, np.nan)),
        "pairs": pairs,
        "reason": "",
    }


def _jackknife_se(table: NDArray[np.float64]) -> float:
    """Standard error of the mean of an (S, S) table of pairs when a seed, with its row and column, is left out."""
    count = len(table)
    left_out = [np.delete(np.delete(table, seed, axis=0), seed, axis=1) for seed in range(count)]
    if count < _LEAST_SEEDS or not all(np.isfinite(part).any() for part in left_out):
        return float("nan")
    means = np.array([np.nanmean(part) for part in left_out])
    return float(np.sqrt((count - 1) / count * ((means - means.mean()) ** 2).sum()))
