from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from experiment_content import small_content

from tailscope.core import InputError, MismatchError, SilentProgress
from tailscope.experiment import dry_run, rewrite_report, run, validate_config
from tailscope.stats import FINDING_COLUMNS


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished experiment that a test may change."""
    return shutil.copytree(finished.path, tmp_path / "copy")


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("runs/*/run.json"))]


def test_every_artifact_of_the_design_is_written(finished):
    runs = sorted(path.name for path in (finished.path / "runs").iterdir())
    assert [name.rsplit("-", 1)[0] for name in runs] == ["control-s0", "weighted_sampling-s0"]
    expected = {"run.json", "weights.safetensors", "history.parquet", "predictions.parquet", "audit.json"}
    for name in runs:
        assert {path.name for path in (finished.path / "runs" / name).iterdir() if path.is_file()} == expected
        for lens in ("alignment", "dissection"):
            assert (finished.path / "evidence" / lens / f"part-{name}.parquet").exists()
    for name in ("experiment.yaml", "provenance.json", "findings.parquet", "report.html", "data/split.parquet"):
        assert (finished.path / name).exists()


def test_no_scratch_and_no_partial_file_is_left(finished):
    left = [path.name for path in finished.path.rglob("*") if "scratch" in path.name or path.name.endswith(".partial")]
    assert left == []


def test_arms_of_one_seed_start_from_the_same_weights(finished):
    control, treated = records(finished.path)
    assert control["initial_weights"] == treated["initial_weights"]
    assert control["batch_order"] != treated["batch_order"]  # weighted sampling draws, and says so


def test_arms_without_a_sampler_see_the_same_batches(tmp_path):
    result = run(
        small_content(treatments=["control", "focal"], lenses={"alignment": None, "dissection": None}), tmp_path
    )
    control, focal = records(result.path)
    assert control["batch_order"] == focal["batch_order"]


def test_findings_have_the_stated_columns_and_lenses(finished):
    assert list(finished.findings.columns) == list(FINDING_COLUMNS)
    assert set(finished.findings["lens"]) == {"performance", "alignment", "dissection", "representation"}
    assert set(finished.findings["arm"]) == {"weighted_sampling"}


def test_one_seed_gives_no_verdict(finished):
    assert not finished.findings["verdict"].isin(["better", "worse", "equivalent"]).any()


def test_the_analysis_plan_was_frozen_with_a_hash(finished):
    plan = json.loads((finished.path / "provenance.json").read_text())["analysis_plan"]
    assert len(plan["hash"]) == 64
    assert plan["statistics"]["primary"] == ["mass_inside", "best_iou_matched", "probe_auroc"]


def test_a_second_run_does_nothing_again_and_finds_the_same(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/*")}
    evidence = {path: path.stat().st_mtime_ns for path in copy.glob("evidence/*/*")}
    findings = pd.read_parquet(copy / "findings.parquet")
    again = run(small_content(), copy)
    assert {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/*")} == before
    assert {path: path.stat().st_mtime_ns for path in copy.glob("evidence/*/*")} == evidence
    pd.testing.assert_frame_equal(again.findings, findings)


def test_numbers_do_not_depend_on_the_folder_or_the_time(finished, tmp_path):
    again = run(small_content(), tmp_path / "elsewhere")
    pd.testing.assert_frame_equal(again.findings, finished.findings)


def test_an_added_arm_extends_the_folder(copy):
    weights = {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/weights.safetensors")}
    result = run(small_content(treatments=["control", "weighted_sampling", "focal"]), copy)
    assert set(result.findings["arm"]) == {"weighted_sampling", "focal"}
    assert {path: path.stat().st_mtime_ns for path in weights} == weights


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"training": {"epochs": 2, "batch_size": 32, "lr": 3e-3}}, "training"),
        ({"model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 16}}}, "model"),
    ],
)
@pytest.mark.filterwarnings("ignore::tailscope.models.CoarseGridWarning")
def test_a_folder_of_another_experiment_is_refused(copy, changes, what):
    with pytest.raises(MismatchError, match=f"holds an experiment with other {what}"):
        run(small_content(**changes), copy)


def test_the_report_can_be_written_again(copy):
    (copy / "report.html").unlink()
    rewrite_report(copy)
    assert "<html" in (copy / "report.html").read_text()


def test_a_report_never_trains(copy):
    content = yaml.safe_load((copy / "experiment.yaml").read_text())
    content["seeds"] = [0, 1]
    (copy / "experiment.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"2 of 4 runs are not finished, the first is control-s1-.*tailscope run"):
        rewrite_report(copy)
    assert len(list((copy / "runs").iterdir())) == 2


def test_a_replaced_analysis_plan_stays_on_record(copy):
    before = json.loads((copy / "provenance.json").read_text())
    run(small_content(treatments=["control", "weighted_sampling", "focal"]), copy)
    after = json.loads((copy / "provenance.json").read_text())
    assert after["earlier_plans"] == [before["analysis_plan"]]
    assert after["analysis_plan"]["hash"] != before["analysis_plan"]["hash"]


def test_the_matched_iou_carries_no_reason_of_the_fixed_fraction(finished):
    table = finished.table("dissection")
    matched = table[(table["metric"] == "iou_matched") & table["value"].notna()]
    assert (matched["reason"] == "").all()


@pytest.mark.parametrize(("metrics", "expected"), [(["iou"], True), (["iou", "mass_inside"], False)])
def test_an_alignment_without_its_primary_metric_says_so(tmp_path, metrics, expected):
    content = small_content(treatments=["control"], lenses={"alignment": {"metrics": metrics}, "dissection": None})
    notes = dry_run(validate_config(content), tmp_path, SilentProgress()).notes
    assert any("no primary metric" in note for note in notes) == expected


def test_evidence_follows_predictions_that_changed(copy):
    path = next(copy.glob("runs/control*/predictions.parquet"))
    table = pd.read_parquet(path)
    table.assign(logit=-table["logit"]).to_parquet(path, index=False)
    before = pd.read_parquet(copy / "estimates.parquet").set_index(["metric", "arm", "class"])["value"]
    run(small_content(), copy)
    after = pd.read_parquet(copy / "estimates.parquet").set_index(["metric", "arm", "class"])["value"]
    evidence = pd.read_parquet(next(copy.glob("evidence/performance/part-control*"))).set_index(["metric", "class"])
    for name in ("effusion", "mass"):
        assert after["auroc", "control", name] == pytest.approx(1 - before["auroc", "control", name])
        assert evidence.loc[("auroc", name), "value"] == pytest.approx(after["auroc", "control", name])


def test_a_renamed_arm_is_named_in_the_findings(copy):
    treatments = ["control", {"name": "weighted_sampling", "label": "weighted-sampling"}]
    labels = [["control", {"name": "weighted_sampling", "label": label}] for label in ("a b", "a-b")]
    assert set(run(small_content(treatments=treatments), copy).findings["arm"]) == {"weighted-sampling"}
    for chosen in labels:
        result = run(small_content(treatments=chosen), copy)
        assert set(result.findings["arm"]) == {chosen[1]["label"]}


def test_the_report_tells_nothing_of_images_patients_or_places(finished):
    page = (finished.path / "report.html").read_text()
    images = pd.read_parquet(finished.path / "data" / "images.parquet")
    assert not [name for column in ("image_id", "patient_id") for name in images[column] if name in page]
    assert str(finished.path) not in page


def test_tables_are_read_by_name(finished):
    history = finished.table("history")
    assert set(history["arm"]) == {"control", "weighted_sampling"}
    assert len(finished.table("predictions")) == 2 * 2 * (48 + 96)


def test_unknown_tables_propose_the_nearest(finished):
    with pytest.raises(KeyError, match="no table is named 'finding'; did you mean 'findings'"):
        finished.table("finding")


def test_predictions_are_the_networks_logits(finished):
    table = finished.table("predictions")
    assert np.isfinite(table["logit"]).all()
    assert set(table["split"]) == {"val", "test"}


def test_alignment_evidence_names_every_annotated_pair_once(finished):
    table = finished.table("alignment")
    annotations = pd.read_parquet(finished.path / "data" / "annotations.parquet")
    split = pd.read_parquet(finished.path / "data" / "split.parquet").set_index("image_id")["split"]
    expected = annotations[annotations["image_id"].map(split) == "test"][["image_id", "class"]].drop_duplicates()
    own = table[table["metric"] != "on_other_classes"]  # that one needs another class on the image
    for _, part in own.groupby(["run", "metric"]):
        assert set(zip(part["image_id"], part["class"], strict=True)) == set(
            expected.itertuples(index=False, name=None)
        )
        assert not part.duplicated(["image_id", "class"]).any()


def test_excess_is_value_minus_reference(finished):
    table = finished.table("alignment").dropna(subset=["excess"])
    assert np.allclose(table["value"] - table["reference"], table["excess"])


def test_performance_evidence_holds_more_than_is_compared(finished):
    table = pd.read_parquet(next(finished.path.glob("evidence/performance/part-control*.parquet")))
    assert {"auroc", "average_precision", "ap_gain", "brier", "calibration_slope", "sensitivity"} <= set(
        table["metric"]
    )
    assert {"effusion", "mass", "macro"} <= set(table["class"])


def test_evidence_and_estimates_agree(finished):
    evidence = pd.concat([pd.read_parquet(path) for path in finished.path.glob("evidence/performance/part-*.parquet")])
    for name in ("auroc", "average_precision", "ap_gain"):
        for arm in ("control", "weighted_sampling"):
            mine = evidence[(evidence["metric"] == name) & evidence["run"].str.startswith(arm)].set_index("class")[
                "value"
            ]
            table = finished.table("estimates")
            table = table[(table["metric"] == name) & (table["arm"] == arm)].set_index("class")["value"]
            for row in ("effusion", "mass", "macro"):
                assert mine[row] == pytest.approx(table[row], abs=1e-9)


@pytest.mark.parametrize("lens", ["performance", "alignment", "dissection"])
def test_every_lens_is_averaged_over_classes_and_groups(finished, lens):
    table = finished.table("estimates")
    table = table[(table["lens"] == lens) & (table["arm"] == "control")]
    metric = {"performance": "auroc", "alignment": "mass_inside", "dissection": "best_iou_matched"}[lens]
    values = table[table["metric"] == metric].set_index("class")["value"]
    assert values["macro"] == pytest.approx(values[["effusion", "mass"]].mean())
