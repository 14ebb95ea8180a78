"""The tables of the chapter on features."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class RepresentationTables:
    """What is known of the features; a table may be None or empty, and its place then says why.

    Args:
        cka: layer, arm_a, seed_a, arm_b, seed_b, value: linear CKA of two runs, at most 1.
        relative: layer, arm, cka_to_control, control_to_control, difference, pairs, reason.
        probes: arm, class (or an average), group, probe_auroc and head_auroc (each with _lo and _hi), their differences
            from control (likewise), verdict, sentence, reason.
        swap: arm, seed, class, features_of, head_of, auroc, reason.
        geometry: arm, seed, class (or an average), group, scatter_ratio, classifier_cosine, self_duality,
            effective_rank, reason.
    """

    cka: pd.DataFrame | None = None
    relative: pd.DataFrame | None = None
    probes: pd.DataFrame | None = None
    swap: pd.DataFrame | None = None
    geometry: pd.DataFrame | None = None
