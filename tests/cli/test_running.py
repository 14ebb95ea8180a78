from __future__ import annotations

import json
import shutil

import pytest

from tailscope import experiment
from tailscope.cli import examining
from tailscope.core import LockedError, TrainingError, folder_lock
from tailscope.experiment import schema


def test_a_dry_run_shows_runs_counts_and_needs_and_trains_nothing(invoke, tiny):
    result = invoke("run", tiny.configuration, "--out", tiny.out, "--dry-run")
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    order = [row[0] for row in rows if row[-2:] == ["to", "do"]]
    assert order == ["control", "weighted_sampling"]
    assert ["effusion", "head", "0.500", "6", "6", "0", "0"] in rows
    assert ["mass", "head", "0.500", "6", "3", "3", "1"] in rows
    assert "With one seed nobody knows the noise of training" in result.output
    assert "images: 12 train + 6 val + 6 test" in result.output
    assert "disk: decoded pixels: 24.6 kB" in result.output
    assert "memory: network and optimiser: 6.0 MB" in result.output
    assert result.output.rstrip().endswith("Nothing was trained.")
    assert not (tiny.out / "runs").exists()
    assert not (tiny.out / "experiment.yaml").exists()


def test_unknown_targets_are_counted_only_where_there_are_some(invoke, tiny):
    assert "unknown" not in invoke("run", tiny.configuration, "--out", tiny.out, "--dry-run").output
    tiny.change("labels.csv", "mass", lambda table: ["-1", *table["mass"][1:]])
    assert "unknown" in invoke("run", tiny.configuration, "--out", tiny.out, "--dry-run").output


def test_an_override_changes_the_plan(invoke, tiny):
    result = invoke("run", tiny.configuration, "--out", tiny.out, "--dry-run", "--set", "seeds=[0, 1]")
    assert "4 (2 arms × 2 seeds)" in result.output


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished experiment that a test may change."""
    return shutil.copytree(finished, tmp_path / "copied")


def test_a_finished_experiment_run_again_trains_nothing_and_tells_what_was_found(invoke, copied):
    weights = {path: path.stat().st_mtime_ns for path in copied.glob("runs/*/weights.safetensors")}
    result = invoke("run", copied / "experiment.yaml", "--out", copied)
    assert result.exit_code == 0
    assert len(weights) == 2
    assert weights == {path: path.stat().st_mtime_ns for path in weights}
    assert "run 1 of 2: control-s0-" in result.output
    assert "(done)" in result.output
    for title in ("auroc", "average_precision", "mass_inside"):
        assert f"\n{title}" in result.output
    assert "• Not compared: one seed per arm" in result.output
    assert result.output.rstrip().endswith(f"Report: {(copied / 'report.html').as_posix()}")


def test_report_writes_the_page_again(invoke, copied):
    (copied / "report.html").unlink()
    result = invoke("report", copied)
    assert result.exit_code == 0
    assert (copied / "report.html").is_file()
    assert "Report: " in result.output


def test_report_refuses_a_folder_that_is_no_experiment(invoke, tmp_path):
    result = invoke("report", tmp_path)
    assert result.exit_code == 2
    assert (
        f"{tmp_path} is no experiment folder: it holds no experiment.yaml; `tailscope run` makes one" in result.stderr
    )


def test_a_folder_in_use_fails_with_1(invoke, tiny):
    with folder_lock(tiny.out):
        result = invoke("run", tiny.configuration, "--out", tiny.out)
    assert result.exit_code == 1
    assert "out is in use by process" in result.stderr
    assert "wait for it, stop it, or choose another --out" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TrainingError("the loss is not finite"), 1, "Failed: the loss is not finite"),
        (LockedError("in use"), 1, "Failed: in use"),
        (OSError(28, "No space left on device"), 1, "Failed: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "Stopped. Nothing is lost: run the same command again to go on."),
    ],
)
def test_a_run_that_stops_says_why(invoke, tiny, monkeypatch, error, code, message):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr(experiment, "run", stop)
    result = invoke("run", tiny.configuration, "--out", tiny.out)
    assert result.exit_code == code
    assert result.stderr.strip() == message


def test_a_bug_keeps_its_traceback(invoke, tiny, monkeypatch):
    monkeypatch.setattr(experiment, "run", lambda *_, **__: [][1])
    with pytest.raises(IndexError, match="list index out of range"):
        invoke("run", tiny.configuration, "--out", tiny.out)


def test_demo_conducts_the_embedded_configuration(invoke, tmp_path, monkeypatch):
    seen = []

    def stop(configuration, out, **_):
        seen.append((configuration.data.source, out))
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", stop)
    result = invoke("demo", "--out", tmp_path / "demo")
    assert "The demo trains 3 treatments × 2 seeds on generated chest radiographs" in result.output
    assert seen == [("phantom", tmp_path / "demo")]


def test_the_schema_is_valid_json_and_describes_every_section(invoke):
    result = invoke("schema")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed == json.loads(json.dumps(schema()))
    assert printed["type"] == "object"
    assert {"data", "model", "treatments", "seeds", "training", "lenses", "compare"} <= set(printed["properties"])
    assert {"data", "model", "treatments"} == set(printed["required"])


def test_doctor_names_versions_and_hardware(invoke):
    result = invoke("doctor")
    assert result.exit_code == 0
    for name in ("python: 3.", "torch: ", "timm: ", "cores: ", "accelerators: ", "free disk here: "):
        assert name in result.output


def test_doctor_warns_of_a_full_disk(invoke, monkeypatch):
    monkeypatch.setattr(examining, "_LOW_DISK_GB", 10**9)
    assert "a large data set's cache will not fit" in invoke("doctor").output
