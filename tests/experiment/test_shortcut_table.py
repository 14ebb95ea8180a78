from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tailscope.experiment.shortcut_table import COLUMNS, shortcut_table
from tailscope.experiment.test_set import RunGrid
from tailscope.stats import MetricSamples, holm

SEEDS = (0, 1, 2)
GRID = RunGrid(("control", "focal"), SEEDS, tuple(f"{arm}{seed}" for arm in ("c", "f") for seed in SEEDS))
NONE = pd.DataFrame({"run": [], "metric": [], "class": [], "value": [], "reference": []})


def cell(metric, name, control, focal=0.0, *, spread=0.001, patients=40, seeds=3, reason=""):
    """Values of ±``spread`` around one number per arm, over the seeds and over the resamples."""
    wave = np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1)
    levels = np.array([[control], [focal]])
    return MetricSamples(
        lens="alignment", metric=metric, class_name=name, group="head", arms=GRID.arms,
        values=levels + spread * wave, resampled=levels + spread * np.linspace(-1, 1, 50), n=60, patients=patients,
        positive_patients=patients, negative_patients=patients, direction="lower", reason=reason,
    )  # fmt: skip


def verdict(looks, falls, **more):
    cells = [] if looks is None else [cell("on_tube", "mass", looks, **more)]
    cells += [] if falls is None else [cell("removal_of_tube", "mass", falls, **more)]
    return shortcut_table(cells, NONE, GRID).iloc[0]


@pytest.mark.parametrize(
    ("looks", "falls", "said"),
    [
        (0.3, 0.8, "shortcut"),
        (0.3, 0.0, "looks, without effect"),
        (0.3, -0.8, "looks, without effect"),
        (0.0, 0.8, "effect, without looking"),
        (-0.1, 0.8, "effect, without looking"),
        (-0.1, -0.2, "none found"),
        (0.3, None, "looks, effect not tested"),
        (None, 0.8, "effect, looking not tested"),
        (-0.1, None, "none found"),
        (None, -0.1, "none found"),
    ],
)
def test_both_measures_together_give_the_verdict(looks, falls, said):
    assert verdict(looks, falls)["verdict"] == said


def test_an_effect_that_is_neither_found_nor_excluded_leaves_the_verdict_open():
    looks = cell("on_tube", "mass", 0.3)
    row = shortcut_table([looks, cell("removal_of_tube", "mass", 0.1, spread=0.5)], NONE, GRID).iloc[0]
    assert (row["verdict"], row["reason"]) == ("undecided", "the interval of removal is too wide")


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"seeds": 2}, "2 seeds, expected 3 or more"), ({"patients": 19}, "19 patients have it, expected 20 or more")],
)
def test_few_seeds_or_patients_give_no_verdict(more, reason):
    row = verdict(0.3, 0.8, **more)
    assert (row["verdict"], row["reason"]) == ("undecided", reason)
    assert row["excess"] == pytest.approx(0.3)


def test_what_could_not_be_measured_says_why():
    row = shortcut_table([cell("on_tube", "mass", 0.3, reason="no map of this class was made")], NONE, GRID).iloc[0]
    assert (row["verdict"], row["reason"]) == ("undecided", "no map of this class was made")


def test_the_family_is_one_measure_over_all_classes_and_confounders_of_the_arm():
    rng = np.random.default_rng(0)
    metrics, classes = ("on_tube", "on_lead", "removal_of_tube"), ("mass", "hernia", "edema")
    levels = {(metric, name): rng.normal(0.02, 0.02, 2) for metric in metrics for name in classes}
    cells = [cell(*key, *level, spread=0.02) for key, level in levels.items()]
    table = shortcut_table(cells, NONE, GRID).set_index(["arm", "confounder", "class"])
    # s²_w is spread², because the seeds stand at −1, 0 and 1 of it
    seed, patient = 0.02**2 / 3, np.var(0.02 * np.linspace(-1, 1, 50), ddof=1)
    df = (seed + patient) ** 2 / (seed**2 / 4 + patient**2 / 39)
    for number, arm in enumerate(GRID.arms):
        for kind, column in (("on_", "p_adjusted"), ("removal_of_", "removal_p_adjusted")):
            family = [key for key in levels if key[0].startswith(kind)]
            found = np.array([levels[key][number] for key in family])
            p = 2 * stats.t.sf(np.abs(found) / np.sqrt(seed + patient), df)
            expected = holm(np.where(found > 0, p, 1.0))
            shown = [table.loc[(arm, metric.removeprefix(kind), name), column] for metric, name in family]
            np.testing.assert_allclose(shown, expected)


def test_share_and_chance_are_means_over_images_and_seeds_of_the_arm():
    evidence = pd.DataFrame(
        {"run": list(GRID.names), "metric": "on_tube", "class": "mass", "value": [1.0, 2, 3, 4, 5, 6], "reference": 0.5}
    )
    table = shortcut_table([cell("on_tube", "mass", 1.5, 4.5)], evidence, GRID).set_index("arm")
    assert table["share"].to_dict() == {"control": 2.0, "focal": 5.0}
    assert (table["chance"] == 0.5).all()


def test_other_metrics_are_passed_over_and_every_row_has_all_columns():
    other = cell("mass_inside", "mass", 0.3)
    table = shortcut_table([other, cell("on_tube", "mass", 0.3), cell("removal_of_tube", "mass", 0.4)], NONE, GRID)
    assert list(table.columns) == list(COLUMNS)
    assert list(table["arm"]) == ["control", "focal"]
    assert list(table["verdict"]) == ["shortcut", "none found"]


def test_without_an_audit_the_table_is_empty():
    assert shortcut_table([], NONE, GRID).empty
