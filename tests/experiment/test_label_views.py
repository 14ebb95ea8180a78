"""Label views as a factor: which runs there are, on which labels, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from experiment_content import small_content

from tailscope.core import ConfigurationError, DataError, SilentProgress
from tailscope.experiment import run, validate_config
from tailscope.experiment.dry_run import dry_run
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.label_view_table import LABEL_VIEW_COLUMNS, label_view_table
from tailscope.experiment.label_views import by_labels, labels_of, view_runs
from tailscope.experiment.plan import planned_runs
from tailscope.experiment.preparing import prepare_experiment
from tailscope.experiment.provenance import analysis_plan
from tailscope.experiment.roles import roles_of
from tailscope.stats import ComparisonSettings, MetricSamples, compare

SETTINGS = ComparisonSettings()
LENSES = {"dissection": None, "representation": None, "alignment": None}


@pytest.fixture
def root(csv_folder):
    """60 images, two of each patient; a third of the labels is uncertain."""
    cells = ["1", "0", "-1", "0"]
    lines = [f"{n:02}.png,p{n // 2},{cells[n % 4]},{cells[(n + n // 7) % 4]}" for n in range(60)]
    return csv_folder(labels="image,patient,mass,hernia\n" + "\n".join(lines))


@pytest.fixture
def content(root):
    def build(**changes):
        data = {"source": "csv", "root": str(root), "args": {"patient_column": "patient"}, "image_size": 32}
        data |= {"split": {"by": "patient", "test": 0.3, "val": 0.25}, **changes.pop("data", {})}
        return small_content(**{"data": data, "lenses": LENSES, "seeds": [0, 1], **changes})

    return build


@pytest.fixture
def prepared(content, tmp_path):
    def build(**changes):
        folder = ExperimentFolder(tmp_path / "experiment")
        return prepare_experiment(validate_config(content(**changes)), folder, SilentProgress())

    return build


def runs_of(prepared):
    roles = roles_of(prepared.config, prepared.data.counts)
    return view_runs(prepared.config, prepared.further, roles)


def test_every_arm_of_the_families_is_run_under_every_further_view_and_seed(prepared):
    arms = ["control", "focal", "temperature", {"name": "ensemble"}]
    again = {"resamples": 100, "second_control": True}
    found = runs_of(prepared(label_views=["ignore", "zeros", "ones"], treatments=arms, compare=again))
    assert [(one.arm, one.seed) for one in found] == [
        (f"{arm} [{view}]", seed) for seed in (0, 1) for view in ("zeros", "ones") for arm in ("control", "focal")
    ]
    assert len({one.name for one in found}) == len(found)


def test_the_arms_of_the_first_view_are_those_without_views(prepared):
    without, viewed = prepared(), prepared(label_views=["ignore", "zeros"])
    assert planned_runs(viewed.config, viewed.data) == planned_runs(without.config, without.data)
    assert viewed.data.fingerprint == without.data.fingerprint


def test_views_share_images_split_and_test_labels_and_differ_in_the_labels_of_training(prepared):
    found = prepared(label_views=["zeros", "ones", "soft(0.5)"])
    plain = prepared()
    test = plain.data.split == "test"
    for data in (found.data, *found.further.values()):
        assert np.array_equal(data.split, plain.data.split)
        assert np.array_equal(data.targets[test], plain.data.targets[test], equal_nan=True)
    unknown = np.isnan(plain.data.targets) & ~test[:, None]
    assert (found.data.targets[unknown] == 0).all()
    assert (found.further["ones"].targets[unknown] == 1).all()
    assert np.isnan(found.further["soft(0.5)"].targets[unknown]).all()
    assert set(found.further["soft(0.5)"].soft[unknown & (plain.data.split == "train")[:, None]]) == {0.5}


def test_an_arm_is_trained_on_the_labels_of_its_view(prepared):
    found = prepared(label_views=["zeros", "ones"])
    asked = found.config, found.data, found.further
    assert labels_of(*asked, "control") is found.data
    assert labels_of(*asked, "control [ones]") is found.further["ones"]
    everything = (*planned_runs(found.config, found.data), *runs_of(found))
    grouped = {id(labels): arms for labels, arms in by_labels(*asked, everything)}
    assert grouped[id(found.data)] == ["control", "weighted_sampling"]
    assert grouped[id(found.further["ones"])] == ["control [ones]", "weighted_sampling [ones]"]


def test_views_are_named_by_what_they_state_and_told_in_the_notes(prepared):
    views = ["ignore", {"uncertain": {"mass": "ones", "hernia": "soft(0.5)"}}, {"uncertain": "zeros", "label": "no"}]
    found = prepared(label_views=views)
    assert found.config.further_views == ("mass=ones, hernia=soft(0.5)", "no")
    notes = [note for note in found.notes if note.startswith("label view")]
    assert len(notes) == 3
    assert re.match(r"label view 'no': \d+ positive, \d+ negative and 0 unknown training labels; test labels", notes[2])
    assert re.search(r"[1-9]\d* of them with a probability in training", notes[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_views": ["zeros"]}, "`label_views` compares two views or more"),
        ({"label_views": ["zeros", "zeros"]}, "`label_views` holds 'zeros' twice; each must differ"),
        ({"label_views": ["zeros", "maybe"]}, r"`uncertain` must be one of zeros, ones, ignore, soft\(p\)"),
        ({"label_views": ["zeros", "soft(2)"]}, "needs a probability between 0 and 1"),
        ({"label_views": ["zeros", {"unmentoned": "ignore"}]}, "is no setting; did you mean 'unmentioned'"),
        (
            {"label_views": ["zeros", "soft(0.5)"], "data": {"labels": "binary"}},
            "`labels: binary` takes no probability",
        ),
        (
            {"label_views": ["zeros", "ones"], "treatments": ["control", {"name": "focal", "label": "control [ones]"}]},
            r"arm 'control \[ones\]' would share its folder's name",
        ),
    ],
)
def test_wrong_views_are_refused_with_the_configuration(content, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        validate_config(content(**changes))


def test_views_that_train_alike_are_refused_by_name(prepared):
    views = ["ignore", {"unmentioned": "ignore"}, "ones"]
    with pytest.raises(DataError, match="'ignore' and 'unmentioned=ignore' give the same training labels; leave one"):
        prepared(label_views=views)


def test_a_treatment_that_takes_no_probability_is_refused_under_its_view(prepared):
    with pytest.raises(DataError, match=r"arm 'two_way \[soft\(0.5\)\]': its loss is no sum over images and classes"):
        prepared(label_views=["ignore", "soft(0.5)"], treatments=["control", "two_way"])


def test_binary_labels_may_be_viewed_by_hard_policies(prepared):
    found = prepared(label_views=["zeros", "ones"], data={"labels": "binary"})
    assert found.data.classes == ("any finding",)
    assert (found.further["ones"].targets >= found.data.targets).all() or np.isnan(found.data.targets).any()


def test_the_views_are_frozen_with_the_plan_and_a_plan_without_them_stays_as_it_was(content):
    plain, viewed = (validate_config(content(**one)) for one in ({}, {"label_views": ["zeros", "ones"]}))
    assert "label_views" not in analysis_plan(plain, SETTINGS)
    assert [view["uncertain"] for view in analysis_plan(viewed, SETTINGS)["label_views"]] == ["zeros", "ones"]


def test_the_dry_run_counts_the_runs_of_further_views(content, tmp_path):
    plan = dry_run(validate_config(content(label_views=["ignore", "zeros", "ones"])), tmp_path / "x", SilentProgress())
    assert len(plan.runs) == 12
    assert dict(plan.needs)["runs"] == "12 (2 arms × 2 seeds, and 8 under 2 further label views)"


def cell(arms, rng, shift=0.0, name="mass", metric="auroc"):
    values = 0.7 + shift + 0.01 * rng.standard_normal((len(arms), 3))
    resampled = values.mean(axis=1, keepdims=True) + 0.03 * rng.standard_normal((len(arms), 200))
    return MetricSamples("performance", metric, name, "head", arms, values, resampled, 300, 60, 60, 240)


def scene():
    rng = np.random.default_rng(0)
    own = [cell(("control", "focal"), rng, name=name) for name in ("mass", "edema")]
    ones = [cell(("control [ones]", "focal [ones]"), rng, 0.2, name) for name in ("mass", "edema")]
    return own, {"ones": ones}


def test_the_table_holds_each_view_against_the_first_and_each_treatment_against_control_of_its_view():
    own, of_view = scene()
    table = label_view_table(own, of_view, SETTINGS)
    assert tuple(table.columns) == LABEL_VIEW_COLUMNS
    pairs = set(zip(table["comparison"], table["arm"], table["control"], strict=True))
    assert pairs == {
        ("view", "control [ones]", "control"),
        ("view", "focal [ones]", "focal"),
        ("treatment", "focal [ones]", "control [ones]"),
    }
    assert set(table["view"]) == {"ones"}
    assert table["difference"].to_numpy() == pytest.approx((table["value"] - table["control_value"]).to_numpy())
    raised = table[table["comparison"] == "view"]
    assert (raised["difference"] > 0.15).all()
    assert set(raised["verdict"]) == {"better"}


def test_within_a_view_the_numbers_are_those_of_the_comparison_alone():
    own, of_view = scene()
    table = label_view_table(own, of_view, SETTINGS)
    alone = compare(of_view["ones"], SETTINGS)
    found = table[table["comparison"] == "treatment"].reset_index(drop=True)
    for column in ("difference", "lo", "hi", "p_adjusted"):
        assert found[column].tolist() == alone[column].tolist()


def test_half_networks_of_control_are_not_held_across_views():
    rng = np.random.default_rng(1)
    own = [cell(("control", "focal"), rng, metric="auroc_with_control_head")]
    ones = [cell(("control [ones]", "focal [ones]"), rng, metric="auroc_with_control_head")]
    table = label_view_table(own, {"ones": ones}, SETTINGS)
    assert set(table["comparison"]) == {"treatment"}


def test_a_cell_that_one_view_cannot_estimate_is_estimated_by_none():
    own, of_view = scene()
    of_view["ones"][0] = replace(of_view["ones"][0], reason="no positive test image")
    table = label_view_table(own, of_view, SETTINGS)
    mass = table[(table["class"] == "mass")]
    assert mass["difference"].isna().all()
    assert set(mass["reason"]) == {"no positive test image"}


def test_an_experiment_with_views_keeps_its_main_findings_and_adds_a_table_and_a_chapter(content, tmp_path):
    plain = run(content(seeds=[0]), tmp_path / "plain")
    viewed = run(content(seeds=[0], label_views=["ignore", "ones"]), tmp_path / "viewed")
    pd.testing.assert_frame_equal(viewed.findings, plain.findings)
    table = pd.read_parquet(viewed.path / "label_views.parquet")
    assert {"control [ones]", "weighted_sampling [ones]"} == set(table["arm"])
    names = sorted(path.name for path in (viewed.path / "runs").iterdir())
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "control-ones-s0", "control-s0", "weighted_sampling-ones-s0", "weighted_sampling-s0",
    ]  # fmt: skip
    page = viewed.report.read_text(encoding="utf-8")
    assert '<section id="label-views">' in page
    assert "Every arm was trained under 2 label views (uncertain: ignore; uncertain: ones)" in page
    assert '<section id="label-views">' not in plain.report.read_text(encoding="utf-8")
