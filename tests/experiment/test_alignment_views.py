"""The primary metric over other selections of the pairs."""

from __future__ import annotations

import pandas as pd
import pytest

from tailscope.experiment.alignment_tables import views_table
from tailscope.experiment.alignment_views import view_table
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.test_set import RunGrid

CLASSES = ("mass",)
GRID = RunGrid(("control", "focal"), (0,), ("c", "f"))


def predictions(folder: ExperimentFolder, run: str, test: list[float]) -> None:
    """Validation logits −1 (20 negatives) and 1, so that the operating point is −1; then the test images."""
    val = pd.DataFrame(
        {
            "image_id": [f"v{n}" for n in range(21)],
            "split": "val",
            "logit": [-1.0] * 20 + [1.0],
            "target": [0.0] * 20 + [1.0],
        }
    )
    tested = pd.DataFrame({"image_id": list("abc"), "split": "test", "logit": test, "target": [1.0] * 3})
    place = folder.run(run)
    place.mkdir(parents=True)
    pd.concat([val, tested]).assign(run=run, **{"class": "mass"}).to_parquet(place / "predictions.parquet")


@pytest.fixture
def views(tmp_path) -> pd.Series:
    folder = ExperimentFolder(tmp_path)
    predictions(folder, "c", [5.0, 5.0, -5.0])
    predictions(folder, "f", [5.0, -5.0, 5.0])
    rows = [
        {
            "run": run,
            "arm": arm,
            "image_id": image,
            "excess": excess,
            "degenerate": flat,
            "reference": 0.25,
            "value": 0.0,
        }
        for run, arm, values in (
            ("c", "control", ((0.1, False), (0.3, False), (0.5, False))),
            ("f", "focal", ((0.2, False), (0.4, False), (0.0, True))),
        )
        for image, (excess, flat) in zip("abc", values, strict=True)
    ]
    evidence = pd.DataFrame(rows).assign(method="gradcam", **{"class": "mass"})
    table = view_table(folder, GRID, evidence, CLASSES)
    return table.set_index(["arm", "view"])["excess"].round(6)


def test_all_pairs_are_the_plain_mean(views) -> None:
    assert views["control", "all pairs"] == 0.3
    assert views["focal", "all pairs"] == 0.2


def test_true_positives_are_those_of_the_arm_itself(views) -> None:
    assert views["control", "true positives"] == 0.2  # a and b
    assert views["focal", "true positives"] == 0.1  # a and c


def test_pairs_that_both_call_are_compared_with_control_of_the_same_seed(views) -> None:
    assert views["focal", "called by both arms"] == 0.2  # a alone
    assert views["control", "called by both arms"] == 0.2  # a and b: with itself


def test_degenerate_maps_can_be_dropped_or_count_as_a_miss(views) -> None:
    assert views["focal", "degenerate maps dropped"] == 0.3
    assert views["focal", "degenerate maps as a miss"] == round((0.2 + 0.4 - 0.25) / 3, 6)


def test_means_over_classes_are_over_those_that_every_arm_has(tmp_path) -> None:
    folder = ExperimentFolder(tmp_path)
    predictions(folder, "c", [5.0, 5.0, -5.0])
    predictions(folder, "f", [-5.0, -5.0, -5.0])  # calls nothing
    rows = [
        {"run": run, "arm": arm, "image_id": image, "excess": 0.5, "degenerate": False, "reference": 0.25}
        for run, arm in (("c", "control"), ("f", "focal"))
        for image in "abc"
    ]
    evidence = pd.DataFrame(rows).assign(method="gradcam", metric="mass_inside", **{"class": "mass"})
    table = views_table(folder, GRID, evidence, {"mass": "head"}, CLASSES)
    averaged = set(table.loc[table["class"] == "macro", "view"])
    assert averaged == set(table["view"]) - {"true positives", "called by both arms"}
