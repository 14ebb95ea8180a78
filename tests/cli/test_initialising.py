from __future__ import annotations

import pytest
import yaml

from tailscope.cli.initialising import write_configuration
from tailscope.experiment import load_config


def _chula(root):
    (root / "Dataset").mkdir(parents=True)
    (root / "Label").mkdir()


def _nih(root):
    root.mkdir()
    (root / "Data_Entry_2017_v2020.csv").write_text("Image Index,Finding Labels\n00000001_000.png,Mass\n")


def _chexpert(root):
    root.mkdir()
    (root / "train.csv").write_text("Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding\n")


def _csv(root):
    root.mkdir()
    (root / "labels.csv").write_text("image,mass\na.png,1\n")


@pytest.mark.parametrize(
    ("make", "source"), [(_chula, "chula_rbc12"), (_nih, "nih_chestxray14"), (_chexpert, "chexpert"), (_csv, "csv")]
)
def test_the_files_of_each_source_are_recognised(invoke, tmp_path, make, source):
    make(tmp_path / "set")
    out = tmp_path / "experiment.yaml"
    result = invoke("init", tmp_path / "set", "--out", out)
    assert result.exit_code == 0
    assert f"set holds {source} (" in result.output
    assert f"; wrote {out}. Look at it, then:\n  tailscope run {out} --dry-run" in result.output
    config = load_config(out)
    assert config.data.source == source
    assert config.data.root == (tmp_path / "set").resolve()
    assert config.name == "set"
    assert config.compare.control == config.arms[0] == "control"


def test_the_tables_of_a_folder_of_ones_own_are_filled_in(invoke, tiny):
    out = tiny.root / "written.yaml"
    assert invoke("init", tiny.root, "--out", out).exit_code == 0
    assert yaml.safe_load(out.read_text())["data"]["args"] == {
        "labels": "labels.csv",
        "images": "images",
        "image_column": "image",
        "patient_column": "patient",
        "split_column": "split",
        "annotations": "boxes.csv",
    }


def test_what_a_folder_of_ones_own_lacks_stands_as_a_comment(invoke, tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "table.tsv").write_text("file\tmass\na.png\t1\n")
    out = tmp_path / "written.yaml"
    assert invoke("init", tmp_path, "--out", out).exit_code == 0
    text = out.read_text()
    assert yaml.safe_load(text)["data"]["args"] == {"labels": "table.tsv", "images": ".", "image_column": "file"}
    assert "# patient_column: …   without it every image is its own patient" in text


@pytest.mark.parametrize("folder", ["my: set", "2024", "it's #1", "naïve", "true"])
def test_a_folder_of_any_name_gives_a_sound_configuration(tmp_path, folder):
    _csv(tmp_path / folder)
    write_configuration(tmp_path / folder, tmp_path / "written.yaml")
    config = load_config(tmp_path / "written.yaml")
    assert config.data.root == (tmp_path / folder).resolve()


def test_a_root_below_the_configuration_is_written_relative_to_it(invoke, tmp_path):
    _csv(tmp_path / "set")
    invoke("init", tmp_path / "set", "--out", tmp_path / "written.yaml")
    assert yaml.safe_load((tmp_path / "written.yaml").read_text())["data"]["root"] == "set"


def test_the_written_configuration_runs_as_it_is(invoke, tiny):
    out = tiny.root / "written.yaml"
    invoke("init", tiny.root, "--out", out)
    small = [f"--set={text}" for text in ("model.name=test_resnet", "model.pretrained=false", "data.image_size=32")]
    result = invoke("run", out, "--out", tiny.out, "--dry-run", *small)
    assert result.exit_code == 0, result.output
    assert "9 (3 arms × 3 seeds)" in result.output


def test_an_existing_file_is_never_overwritten(invoke, tiny):
    before = tiny.configuration.read_text()
    result = invoke("init", tiny.root, "--out", tiny.configuration)
    assert result.exit_code == 2
    assert "tiny.yaml exists; nothing was written: choose another --out, or delete it" in result.stderr
    assert tiny.configuration.read_text() == before


def test_a_folder_of_something_else_is_refused_with_what_is_known(invoke, tmp_path):
    result = invoke("init", tmp_path, "--out", tmp_path / "written.yaml")
    assert result.exit_code == 2
    assert "no data set was recognised in" in result.stderr
    assert all(name in result.stderr for name in ("chexpert, ", "coco, ", "csv, ", "nih_chestxray14, "))
    assert not (tmp_path / "written.yaml").exists()


def test_a_root_that_is_no_folder_is_refused(invoke, tmp_path):
    result = invoke("init", tmp_path / "nowhere", "--out", tmp_path / "written.yaml")
    assert result.exit_code == 2
    assert "nowhere is no folder; give the folder or the archive that holds the data set" in result.stderr
