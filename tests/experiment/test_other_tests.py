"""The same networks on further data sets: nothing is trained again, all lenses look, and the page says what holds."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from experiment_content import ARGS, small_content
from sklearn.metrics import roc_auc_score
from undrawn import without_charts

from tailscope.cli.running import run_experiment
from tailscope.core import InputError, LeakageError, MismatchError, SilentProgress
from tailscope.data import DataSettings, Phantom, prepare
from tailscope.experiment import dry_run, rewrite_report, run, validate_config
from tailscope.experiment.lens_config import Lenses
from tailscope.experiment.other_tests import lenses_for
from tailscope.experiment.querying import query

LENSES = {
    "alignment": {"metrics": ["mass_inside", "pointing_game"], "soundness": None},
    "dissection": {"derangements": 100, "cards": 0, "causes": None},
    "representation": {},
}
OTHER = {
    "name": "clinic",
    "source": "phantom",
    "args": {**ARGS, "seed": 5, "prevalence": {"effusion": 0.6}, "test": 80},
}
AGAIN = {"name": "again", "source": "phantom", "args": dict(ARGS)}


def content(*others, **changes):
    return small_content(lenses=LENSES, test_on=list(others), **changes)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two arms, one seed, tested on another phantom and once more on the experiment's own test split."""
    with without_charts():
        return run(content(OTHER, AGAIN), tmp_path_factory.mktemp("elsewhere") / "small")


@pytest.fixture
def copy(result, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(result.path, tmp_path / "copy")


def table(result, test, name):
    return pd.read_parquet(result.path / "test_on" / test / f"{name}.parquet")


def predictions(folder, run_name, split):
    found = pd.read_parquet(folder / "runs" / run_name / "predictions.parquet")
    return found[found["split"] == split].reset_index(drop=True)


def runs_of(result):
    return sorted(path.name for path in (result.path / "runs").iterdir())


def test_networks_are_trained_once(result):
    assert len(runs_of(result)) == 2
    assert list((result.path / "test_on").rglob("*.safetensors")) == []


def test_validation_predictions_are_those_of_the_experiment(result):
    for name in runs_of(result):
        here, there = (predictions(folder, name, "val") for folder in (result.path, result.path / "test_on" / "clinic"))
        pd.testing.assert_frame_equal(here, there)


def test_auroc_is_that_of_the_predictions_on_the_other_images(result):
    estimates = table(result, "clinic", "estimates")
    for name in runs_of(result):
        found = predictions(result.path / "test_on" / "clinic", name, "test")
        own = found[found["class"] == "effusion"]
        assert len(own) == 80
        assert own["image_id"].str.startswith("clinic/").all()
        expected = roc_auc_score(own["target"], own["logit"])
        row = estimates.query("metric == 'auroc' and `class` == 'effusion'").set_index("arm")
        assert row.loc[name.rsplit("-s0", 1)[0], "value"] == pytest.approx(expected, abs=1e-12)


def test_a_class_without_labels_there_is_not_estimable_and_drops_no_image(result):
    estimates = table(result, "clinic", "estimates").query("metric == 'auroc' and `class` == 'mass'")
    assert estimates["value"].isna().all()
    assert estimates["reason"].str.contains("no positive test image").all()
    counts = table(result, "clinic", "data/class_counts").set_index("class")
    assert counts.loc["effusion", ["test_positives", "test_negatives"]].sum() == 80
    assert counts.loc["mass", ["test_positives", "test_negatives"]].sum() == 0


def test_class_groups_come_from_training(result):
    here = pd.read_parquet(result.path / "data/class_counts.parquet").set_index("class")
    there = table(result, "clinic", "data/class_counts").set_index("class")
    for column in ("prevalence", "group", "train_positives", "val_positives"):
        assert here[column].to_dict() == there[column].to_dict()


def test_the_own_test_split_as_a_further_set_gives_every_number_again(result):
    keys = ["lens", "metric", "class", "arm"]
    here = pd.read_parquet(result.path / "estimates.parquet").set_index(keys)["value"]
    there = table(result, "again", "estimates").set_index(keys)["value"]
    assert there.index.equals(here.index)
    # Where a placebo is painted follows from a hash of the image's id, and ids of a further set begin with its name.
    by_id = here.index.get_level_values("metric").str.startswith("removal_of_")
    np.testing.assert_allclose(there[~by_id], here[~by_id], rtol=0, atol=1e-6)
    assert {"performance", "alignment", "dissection", "representation"} <= set(here[~by_id].index.get_level_values(0))
    assert here[~by_id].notna().sum() > 200


def test_the_page_says_what_holds_elsewhere(result):
    page = result.report.read_text(encoding="utf-8")
    assert "On other data" in page
    assert "clinic: 80 images; 1 of 2 classes are labelled there" in page
    assert "Findings here and on clinic" in page
    assert "also tested on 80 images of clinic" in page
    assert any("On clinic, 80 images" in sentence for sentence in result.sentences)


def test_the_page_of_the_other_set_says_where_networks_were_trained(result):
    page = result.other_reports["clinic"].read_text(encoding="utf-8")
    assert "small on clinic" in page
    assert "80 test images of clinic" in page
    assert "trained and selected on 96 training and 48 validation images, generated as chest phantoms" in page
    assert "it does not label &#39;mass&#39;" in page
    assert "On other data" not in page


def test_no_path_of_this_machine_is_on_the_page(result):
    for page in (result.report, *result.other_reports.values()):
        assert str(result.path) not in page.read_text(encoding="utf-8")


def test_the_tables_of_a_further_test_can_be_queried(result):
    found = query(result.path / "test_on" / "clinic", "select count(*) as n from predictions where split = 'test'")
    assert found["n"].tolist() == [2 * 80 * 2]


def test_a_second_run_does_nothing_again_and_names_both_pages(copy, capsys):
    files = [path for path in copy.rglob("*") if path.parent.name != "data" and path.suffix in {".parquet", ".npy"}]
    before = {path: path.stat().st_mtime_ns for path in files}
    run_experiment(validate_config(content(OTHER, AGAIN)), copy, dry_run=False, progress=SilentProgress())
    assert {path: path.stat().st_mtime_ns for path in files} == before
    told = capsys.readouterr().out
    assert "Report on clinic: " in told
    assert told.rstrip().endswith("report.html")


def test_a_further_set_is_added_without_training(copy):
    weights = {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/weights.safetensors")}
    third = {**OTHER, "name": "third", "args": {**OTHER["args"], "seed": 6, "test": 20}}
    again = run(content(third), copy)
    assert again.other_reports["third"].exists()
    assert {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/weights.safetensors")} == weights


def test_other_policies_under_the_same_name_are_refused(copy):
    changed = {**OTHER, "class_map": {"mass": "effusion"}}
    with pytest.raises(MismatchError, match="give the entry of `test_on` another `name`"):
        run(content(changed, AGAIN), copy)


def test_the_folder_of_a_further_test_is_no_experiment(result):
    with pytest.raises(InputError, match="is a further test of an experiment, and made with it; give its folder"):
        rewrite_report(result.path / "test_on" / "clinic")


def test_images_of_the_training_split_are_refused_before_training(tmp_path):
    with pytest.raises(LeakageError, match="stand in the test set, the training data"):
        run(content({**AGAIN, "part": "all"}), tmp_path / "none")
    assert not (tmp_path / "none" / "runs").exists()


def test_two_sets_of_one_name_are_refused():
    with pytest.raises(InputError, match="`test_on` holds two data sets of the name 'phantom'; give each a `name`"):
        validate_config(content({**OTHER, "name": None}, {**AGAIN, "name": None}))


def test_the_dry_run_counts_the_images_and_the_positives(tmp_path):
    plan = dry_run(validate_config(small_content(test_on=[OTHER])), tmp_path / "plan", SilentProgress())
    told = dict(plan.needs)["also tested on clinic"]
    data = prepare(Phantom(**OTHER["args"])(None), DataSettings(image_size=(64, 64)), tmp_path / "cache")
    positives = int((data.targets[data.rows("test")] == 1).sum())
    assert told == f"80 images ({positives} effusion)"
    assert any(note.startswith("on clinic: ") and "'mass'" in note for note in plan.notes)


def test_subgroups_and_confounders_that_the_other_set_lacks_are_left_out_with_a_note(tmp_path):
    lenses = Lenses.model_validate(
        {"performance": {"subgroups": ["sex", "age"]}, "alignment": {"shortcuts": {"confounders": ["chest_tube"]}}}
    )
    data = prepare(Phantom(**OTHER["args"])(None), DataSettings(image_size=(64, 64)), tmp_path)
    assert lenses_for(data, lenses) == (lenses, [])
    silent = replace(data, attributes={"age": data.attributes["age"]})
    kept, notes = lenses_for(silent, lenses)
    assert kept.performance.subgroups == ("age",)
    assert kept.alignment.shortcuts.confounders == ()
    assert notes == ["'sex' makes no subgroups of these images", "'chest_tube' is no extra mask of these images"]
