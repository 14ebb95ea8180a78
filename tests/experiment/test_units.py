"""The lens on units in a finished experiment: its tables agree with each other and with the room's own functions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import yaml
from experiment_content import small_content

from tailscope.core import InputError
from tailscope.experiment import run
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.units import layers_path


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """Two layers, the paper's counts, two seeds of control."""
    content = small_content(treatments=["control"], seeds=[0, 1])
    content["lenses"] |= {
        "alignment": None,
        "representation": None,
        "dissection": {
            "layer": ["auto", "layer3"],
            "derangements": 100,
            "as_published": {"batch_size": 16},
            "fractions": [0.01, 0.1],
        },
    }
    return run(content, tmp_path_factory.mktemp("layered") / "small")


def test_every_layer_has_its_tables_and_findings_are_about_the_first(layered):
    folder = ExperimentFolder(layered.path)
    table = layered.table("dissection")
    assert list(table["layer"].unique()) == ["layer4", "layer3"]
    estimates = layered.table("estimates")
    units = estimates[(estimates["metric"] == "units_per_100") & (estimates["class"] == "effusion")]["value"].iloc[0]
    first = table[(table["layer"] == "layer4") & (table["metric"] == "units_per_100") & (table["class"] == "effusion")]
    assert units == pytest.approx(first["excess"].mean())
    for name in table["run"].unique():
        summaries = json.loads(layers_path(folder, name).read_text())
        assert [layer["layer"] for layer in summaries] == ["layer4", "layer3"]


def test_detectors_of_the_summary_are_those_of_the_units(layered):
    folder = ExperimentFolder(layered.path)
    table = layered.table("dissection")
    table = table[table["metric"] == "iou_matched"]
    for name, mine in table.groupby("run"):
        for summary in json.loads(layers_path(folder, name).read_text()):
            units = mine[mine["layer"] == summary["layer"]]
            counted = units.groupby("class")["detector"].sum()
            stated = {key: value for key, value in summary["detectors"].items() if value is not None}
            assert stated == {key: int(counted[key]) for key in stated}


def test_extra_masks_of_the_data_set_are_concepts_beside_the_classes(layered):
    concepts = set(layered.table("dissection")["class"])
    assert {"effusion", "mass"} < concepts
    assert concepts & {"chest_tube", "laterality_marker", "ecg_lead"}


def test_the_curve_has_a_point_for_each_fraction_and_rises_to_its_cap_at_most(layered):
    curve = layered.table("fraction_curves")
    assert sorted(curve["fraction"].unique()) == [0.01, 0.1]
    known = curve[curve["best"].notna()]
    assert len(known)
    assert known["best"].between(0, 1).all()


def test_the_papers_counts_stand_apart(layered):
    published = layered.table("published_concepts")
    assert set(published["class"]) >= {"effusion", "mass", "[Global]"}
    assert (published["minimum"] <= published["mean"]).all()


def test_control_is_matched_with_its_first_seed_and_that_one_with_nobody(layered):
    changes = layered.table("concept_changes")
    assert [name.startswith("control-s1") for name in changes["run"].unique()] == [True]
    assert changes["partner"].str.startswith("control-s0").all()
    tested = changes[changes["reason"] == ""]
    assert (tested["kept"] + tested["lost"] == tested["detectors_a"]).all()
    assert (tested["kept"] + tested["gained"] == tested["detectors_b"]).all()


def test_cards_show_strong_images_of_different_patients(layered):
    cards = layered.table("unit_cards")
    patients = layered.table("images").set_index("image_id")["patient_id"]
    for _, card in cards.groupby(["class", "unit"]):
        values = card.sort_values("rank")["value"].to_numpy()
        assert (np.diff(values) <= 0).all()
        assert patients[card["image_id"]].is_unique


def test_causes_are_in_standard_deviations_and_specificity_is_a_difference(layered):
    causes = layered.table("causes")
    wide = causes.pivot_table(index=["run", "class"], columns="metric", values="value")
    np.testing.assert_allclose(wide["specificity"], wide["own_drop"] - wide["other_drop"], atol=1e-9)


@pytest.mark.parametrize(
    ("layer", "said"),
    [("layer44", "layer4"), (["layer4", "layer4"], "twice"), ("fc", "before pooling"), ([], "list of names")],
)
def test_a_layer_that_cannot_be_looked_at_is_refused_before_training(tmp_path, layer, said):
    content = small_content()
    content["lenses"]["dissection"] = {"layer": layer}
    with pytest.raises(InputError, match=said):
        run(content, tmp_path / "small")
    assert not (tmp_path / "small" / "runs").exists()


def test_unknown_columns_are_null_and_no_number_is_infinite(layered):
    table = layered.table("dissection")
    numbers = table.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(dtype=float, na_value=np.nan)).any()
    assert isinstance(table, pd.DataFrame)


class StopsWithin:
    """Progress that interrupts the work after the first item of one task, and notes how far each task came."""

    def __init__(self, task: str) -> None:
        self.stopped_task = task
        self.moved: dict[str, int] = {}

    @contextmanager
    def task(self, description: str, total: int, unit: str = "images") -> Iterator[Callable[[int], None]]:
        name = description.split(": ")[-1]

        def advance(count: int) -> None:
            self.moved[name] = self.moved.get(name, 0) + count
            if name == self.stopped_task:
                raise KeyboardInterrupt

        yield advance

    def say(self, text: str) -> None:
        """Nobody listens."""


def test_a_run_stopped_in_the_middle_of_a_layer_goes_on_there_and_ends_with_the_same_tables(layered, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(layered.path, stopped)
    shutil.rmtree(stopped / "evidence" / "dissection")
    content = yaml.safe_load((stopped / "experiment.yaml").read_text())
    watch = StopsWithin("units of layer3")
    with pytest.raises(KeyboardInterrupt):
        run(content, stopped, progress=watch)
    kept = [len(list(place.iterdir())) for place in sorted(stopped.rglob("counted.scratch/*"))]
    classes = watch.moved["units of layer4"]
    assert sorted(kept) == [1, classes]  # the whole first layer, and one class of the second
    run(content, stopped)
    for one in sorted((layered.path / "evidence" / "dissection").glob("part-*.parquet")):
        other = stopped / "evidence" / "dissection" / one.name
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other), check_exact=True)
    assert not list(stopped.rglob("*scratch*"))
