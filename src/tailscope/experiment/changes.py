"""Which unit of control became which unit of an arm, and which concepts were gained and lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailscope.core import ExperimentData, Progress, child_seed
from tailscope.experiment.activations import Pass, remove_activations
from tailscope.experiment.folder import ExperimentFolder, write_evidence
from tailscope.experiment.plan import Run
from tailscope.models import Layer, Network
from tailscope.representation import UNMATCHED, activation_correlation, concept_changes, match_units, matching_null

CHANGES = "concept_changes"
_MOST = 256  # images on which units are matched; the work grows with them, the correlation hardly changes
_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Partner:
    """The run that another one is held against: control of the same seed, or for control of another seed.

    Args:
        run: The run.
        network: Its trained network.
        batch_size: Images at a time.
    """

    run: Run
    network: Network
    batch_size: int


def partner_of(run: Run, runs: Sequence[Run], control: str) -> Run | None:
    """Whom a run is held against; None for control of the first seed.

    Example:
        >>> runs = [Run(arm, seed, f"{arm}{seed}") for seed in (0, 1) for arm in ("control", "focal")]
        >>> [partner and partner.name for partner in (partner_of(run, runs, "control") for run in runs)]
        [None, 'control0', 'control0', 'control1']
    """
    controls = [one for one in runs if one.arm == control]
    if run.arm == control:
        return controls[0] if run.seed != controls[0].seed else None
    return next((one for one in controls if one.seed == run.seed), None)


def measure_changes(
    folder: ExperimentFolder,
    run: Run,
    partner: Partner,
    data: ExperimentData,
    seen: tuple[Layer, NDArray[np.float32]],
    progress: Progress,
) -> None:
    """Match the units of a run with those of its partner, and write what became of the detectors.

    Args:
        folder: It holds the evidence of both runs.
        run: The run.
        partner: Whom it is held against.
        data: The experiment's data.
        seen: The layer, and its activations (N, U, h, w) on the test split.
        progress: Moves by images.
    """
    layer, activations = seen
    rows = data.rows("test")
    places = _sample(data, rows)
    scratch = folder.scratch(run.name) / "partner.scratch.npy"
    with progress.task(f"{run.name}: matching units", places.size) as advance:
        passed = Pass(partner.network, [layer], data.pixels, rows[places], partner.batch_size)
        theirs = passed.write([scratch], partner.run.name, advance)[0]
    mine = np.asarray(activations[places])
    match = match_units(activation_correlation(theirs, mine))
    ids, patients = data.image_ids[rows[places]], data.patient_ids[rows[places]]
    alike = match.only(matching_null(theirs, mine, ids, patients).p(match) <= _ALPHA)
    del theirs
    remove_activations([scratch])
    units = [_units(folder, name, layer.name) for name in (partner.run.name, run.name)]
    table = concept_changes(units[0], units[1], alike).classes.assign(
        run=run.name,
        layer=layer.name,
        partner=partner.run.name,
        matched_share=float((alike.partner != UNMATCHED).mean()),
    )
    write_evidence(folder.evidence(CHANGES, run.name), table)


def _sample(data: ExperimentData, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of up to 256 test images, by a hash of their ids."""
    order = sorted(
        range(rows.size), key=lambda place: child_seed(0, "images of matching", str(data.image_ids[rows[place]]))
    )
    return np.array(sorted(order[:_MOST]), dtype=np.int64)


def _units(folder: ExperimentFolder, run: str, layer: str) -> pd.DataFrame:
    """class, unit, detector (missing where there is no test) and iou_matched of one layer."""
    table = pd.read_parquet(folder.evidence("dissection", run))
    table = table[(table["metric"] == "iou_matched") & (table["layer"] == layer)]
    tested = table["p_reason"] == ""
    detector = table["detector"].astype("boolean").where(tested)
    return pd.DataFrame(
        {
            "class": table["class"],
            "unit": table["unit"].astype(np.int64),
            "detector": detector,
            "iou_matched": table["value"],
        }
    )
