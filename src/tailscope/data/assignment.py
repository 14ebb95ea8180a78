"""Which image stands in which split: as published, cut anew, or published with what is lacking cut from training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.errors import DataError
from tailscope.core.records import SPLITS
from tailscope.data.settings import SplitSettings
from tailscope.data.splitting import deal
from tailscope.data.validation import some


@dataclass(frozen=True)
class Assignment:
    """A split, and how it came about.

    Args:
        split: (N,) in :data:`~tailscope.core.SPLITS`.
        notes: One sentence each.
    """

    split: NDArray[np.str_]
    notes: tuple[str, ...]


def assign_splits(
    published: pd.Series, groups: NDArray[np.str_], targets: NDArray[np.float32], settings: SplitSettings
) -> Assignment:
    """Assign every image to a split.

    Where the published split lacks validation or test, that part is cut from its training part, in the ratio that the
    settings' shares have to each other: without a published validation part, val / (1 − test) of the training images.

    Args:
        published: (N,) published split, null where there is none.
        groups: (N,) what must stay together.
        targets: (N, K) in {0, 1, NaN}.
        settings: The split policy.

    Raises:
        DataError: The published split is partial, or an official one is asked for and there is none.
    """
    shares = {"train": 1 - settings.test - settings.val, "val": settings.val, "test": settings.test}
    given = published.notna().to_numpy()
    if settings.by == "patient" or (settings.by == "auto" and not given.any()):
        note = f"patients dealt to {_text(shares)}, stratified by class, seed {settings.seed}"
        return Assignment(deal(groups, targets, shares, settings.seed), (note,))
    _require_published(published, settings)
    split = published.to_numpy(dtype=object).astype(np.str_)
    missing = [name for name in SPLITS if not (split == name).any()]
    if not missing:
        return Assignment(split, ("split as published",))
    pool = split == "train"
    rest = {name: shares[name] for name in ("train", *missing)}
    rest = {name: share / sum(rest.values()) for name, share in rest.items()}
    split[pool] = deal(groups[pool], targets[pool], rest, settings.seed)
    note = f"split as published; {' and '.join(missing)} cut from its training patients as {_text(rest)}"
    return Assignment(split, (note,))


def _require_published(published: pd.Series, settings: SplitSettings) -> None:
    present = set(published.dropna())
    problems = []
    if published.isna().any() and present:
        problems.append(
            f"{int(published.isna().sum())} of {len(published)} images have no published split; "
            "fill it in, leave them out, or cut anew (`split.by: patient`)"
        )
    lacking = [name for name in SPLITS if name not in present]
    if settings.by == "official" and lacking:
        problems.append(
            f"`split.by: official` needs all of {', '.join(SPLITS)}; the source has {some(sorted(present)) or 'none'}: "
            "use `split.by: auto`, which cuts the rest"
        )
    elif present and "train" not in present:
        problems.append(f"the published split has only {some(sorted(present))}, no train; use `split.by: patient`")
    if problems:
        raise DataError(problems)


def _text(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items())
