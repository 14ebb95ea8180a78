"""Who gets what pasted: splits by patient, and exact counts of findings and artifacts in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core.records import SPLITS
from tailscope.core.seeding import child_seed, uniforms
from tailscope.data.pasting import image_number
from tailscope.data.phantom_confounders import BASE_RATES
from tailscope.data.phantom_plan import Tie, highest, positives, with_artifacts
from tailscope.data.validation import raise_problems


@dataclass(frozen=True)
class PastePlan:
    """What :func:`plan_pastes` plans.

    Args:
        seed: Root seed.
        findings: Class to its share of positives in every split.
        test: Share of patients in the test split.
        val: Share of patients in validation.
        copies: Images made of each real one.
        ties: Artifacts tied to classes.
        tied_in_test: Whether ties hold in the test split as well.
    """

    seed: int
    findings: Mapping[str, float]
    test: float
    val: float
    copies: int
    ties: tuple[Tie, ...] = ()
    tied_in_test: bool = False


def plan_pastes(plan: PastePlan, image_ids: Sequence[str], patients: Sequence[str]) -> pd.DataFrame:
    """One row per pasted image, sorted by its id: what it is made from, its split, and what is pasted into it.

    Everything is drawn from (seed, name of image or patient), so the plan does not depend on the order of rows, and
    the split of a patient not on who else is there. Within a split, the images with the highest numbers of a class get
    it, independently of the other classes.

    Args:
        plan: Shares and ties.
        image_ids: N names of the real images.
        patients: N patients.

    Returns:
        Columns ``image_id``, ``base`` (row of the real image), ``number`` (from which the generator draws),
        ``patient``, ``split``, and a boolean column per class and per artifact.

    Raises:
        DataError: A split has too few images for a positive and a negative of a class.
    """
    table = _images(plan, image_ids, patients)
    parts = [_pasted(plan, table[table["split"] == split].reset_index(drop=True), split) for split in SPLITS]
    raise_problems([problem for split, part in zip(SPLITS, parts, strict=True) for problem in _gaps(plan, split, part)])
    return pd.concat(parts).sort_values("image_id", kind="stable").reset_index(drop=True)


def split_of(patient: str, seed: int, test: float, val: float) -> str:
    """The split of one patient, drawn from (seed, patient) alone.

    >>> split_of("p1", 0, 0.5, 0.4) == split_of("p1", 0, 0.5, 0.4), split_of("p1", 0, 0.999, 0.0005)
    (True, 'test')
    """
    draw = child_seed(seed, "pasted split", patient) / 2**63
    return "test" if draw < test else "val" if draw < test + val else "train"


def _images(plan: PastePlan, image_ids: Sequence[str], patients: Sequence[str]) -> pd.DataFrame:
    copy = list(range(plan.copies)) * len(image_ids)
    base = np.repeat(np.arange(len(image_ids)), plan.copies).tolist()
    names = [f"{image_ids[row]}#{number}" for row, number in zip(base, copy, strict=True)]
    splits = {patient: split_of(patient, plan.seed, plan.test, plan.val) for patient in sorted(set(patients))}
    table = pd.DataFrame(
        {
            "image_id": names,
            "base": base,
            "number": [image_number(name) for name in names],
            "patient": [patients[row] for row in base],
            "split": [splits[patients[row]] for row in base],
        }
    )
    return table.sort_values("image_id", kind="stable").reset_index(drop=True)


def _pasted(plan: PastePlan, table: pd.DataFrame, split: str) -> pd.DataFrame:
    numbers = table["number"].to_numpy(dtype=np.int64)

    def scores(name: str) -> NDArray[np.float64]:
        return np.asarray(uniforms(child_seed(plan.seed, "pasted", name), numbers, 1)[:, 0])

    for name, share in plan.findings.items():
        table[name] = highest(scores(name), positives(share, len(table), 1))
    holds = split != "test" or plan.tied_in_test
    return with_artifacts(table, plan.ties, {name: scores(name) for name in BASE_RATES}, holds=holds)


def _gaps(plan: PastePlan, split: str, part: pd.DataFrame) -> list[str]:
    return [
        f"the {split} split has {len(part)} images, too few for a positive and a negative of {name}; give more images "
        "or `copies`, or change the share of the split"
        for name in plan.findings
        if not 0 < int(part[name].sum()) < len(part)
    ]
