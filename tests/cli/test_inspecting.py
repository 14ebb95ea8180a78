from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _cells(output, first):
    """The cells of the first table row that begins with ``first``."""
    return next(line.split() for line in output.splitlines() if line.split()[:1] == [first])


def test_a_configuration_shows_counts_annotations_sizes_and_splits(invoke, tiny):
    result = invoke("data", "inspect", tiny.configuration)
    assert result.exit_code == 0
    assert "csv: 24 images, 12 patients" in result.output
    assert "Classes (imbalance 1 : 1, groups by" in result.output
    assert _cells(result.output, "effusion")[1:5] == ["12", "12", "0", "0.500"]
    assert "mass   box        1       1                1" in result.output
    assert _cells(result.output, "32")[:4] == ["32", "32", "1", "24"]
    assert _cells(result.output, "train") == ["train", "12", "6"]
    assert "Leakage between published splits: none" in result.output


def test_a_source_is_inspected_with_its_settings(invoke, tiny):
    settings = ["--set", "patient_column=patient", "--set", "classes=[mass]"]
    result = invoke("data", "inspect", "csv", "--root", tiny.root, *settings)
    assert result.exit_code == 0
    assert "csv: 24 images, 12 patients" in result.output
    assert "effusion " not in result.output


def test_without_patients_that_is_said(invoke, tiny):
    result = invoke("data", "inspect", "csv", "--root", tiny.root)
    assert "csv: 24 images, no patient known: each image is its own group" in result.output


def test_label_states_are_shown_only_where_they_say_more_than_the_classes(invoke, tiny):
    assert "Label states" not in invoke("data", "inspect", tiny.configuration).output
    tiny.change("labels.csv", "mass", lambda table: ["-1", "", *table["mass"][2:]])
    said = invoke("data", "inspect", tiny.configuration).output
    assert "Label states (blank (unmentioned) is not negative until a policy says so)" in said
    assert ["mass", "11", "11", "1", "1"] in [line.split() for line in said.splitlines()]


def test_broken_and_identical_images_and_leakage_are_listed(invoke, tiny):
    (tiny.root / "images/03.png").write_text("this is no image")
    shutil.copy(tiny.root / "images/00.png", tiny.root / "images/04.png")
    result = invoke("data", "inspect", tiny.configuration)
    assert result.exit_code == 0
    assert "Unreadable images: 1" in result.output
    assert "03.png cannot be read as an image" in result.output
    assert "Identical images: 1\n  00.png, 04.png" in result.output
    assert "Leakage between published splits: 1" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nih"], "no dataset is named 'nih'. Known: "),
        (["chexprt"], "no dataset is named 'chexprt'; did you mean 'chexpert'?"),
        (["csv"], "data source 'csv' needs `root`, the folder that holds its files; got none"),
        (["csv", "--root", "nowhere"], "folder nowhere does not exist"),
        (["csv", "--root", ".", "--set", "label=x"], "dataset 'csv' has no setting 'label'; did you mean 'labels'?"),
        (["csv", "--root", ".", "--set", "labels"], "--set 'labels': expected key=value, e.g. labels=train.csv"),
        (["csv", "--root", ".", "--set", "labels=[a"], "--set 'labels=[a': the value is not YAML"),
        (["nowhere.yaml"], "nowhere.yaml is no file"),
    ],
)
def test_wrong_input_is_refused(invoke, arguments, message):
    result = invoke("data", "inspect", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.skipif(not DATA.exists(), reason="../shared is not here")
@pytest.mark.needs_data
def test_the_red_cells_are_counted(invoke):
    result = invoke("data", "inspect", "chula_rbc12", "--root", DATA / "chula_rbc12")
    assert result.exit_code == 0
    assert "chula_rbc12: 623 images" in result.output
    assert "Identical images: 21" in result.output
    assert "… and 11 more" in result.output


@pytest.mark.skipif(not DATA.exists(), reason="../shared is not here")
@pytest.mark.needs_data
def test_the_thousand_radiographs_are_counted(invoke):
    result = invoke("data", "inspect", "nih_chestxray14", "--root", DATA / "nih1000_64px")
    assert result.exit_code == 0
    assert "nih_chestxray14: 1,000 images, 264 patients" in result.output
    assert _cells(result.output, "Hernia")[:5] == ["Hernia", "9", "991", "0", "0.009"]


def _nih_tables(root):
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
    rows = [f"{n // 2:08}_{n % 2:03}.png,{('Mass', 'No Finding')[n % 2]},0,{n // 2},50,M,PA," for n in range(6)]
    (root / "Data_Entry_2017.csv").write_text("\n".join([header, *rows]))


def test_tables_without_any_image_are_counted_and_that_is_said(invoke, tmp_path):
    _nih_tables(tmp_path)
    result = invoke("data", "inspect", "nih_chestxray14", "--root", tmp_path)
    assert result.exit_code == 0
    assert "nih_chestxray14: 6 images, 3 patients\nNo image is there: these are the tables alone" in result.output
    assert _cells(result.output, "Mass")[1] == "3"
    assert "Unreadable images" not in result.output


def test_one_image_among_many_is_no_reason_to_count_tables_alone(invoke, tmp_path):
    _nih_tables(tmp_path)
    (tmp_path / "00000000_000.png").write_bytes(b"")
    result = invoke("data", "inspect", "nih_chestxray14", "--root", tmp_path)
    assert result.exit_code == 2
    assert "5 of 6 listed images are missing below" in result.stderr


def test_what_is_wrong_with_tables_is_told_along_with_the_absence_of_images(invoke, tmp_path):
    _nih_tables(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Mass", "Maas", 1))
    result = invoke("data", "inspect", "nih_chestxray14", "--root", tmp_path)
    assert result.exit_code == 2
    assert "line 2: finding 'Maas' is unknown" in result.stderr
    assert "6 of 6 listed images are missing below" in result.stderr


def test_a_page_shows_images_that_may_be_one(invoke, tiny):
    shutil.copy(tiny.root / "images/00.png", tiny.root / "images/04.png")
    page = tiny.root / "pairs.html"
    result = invoke("data", "inspect", tiny.configuration, "--pairs", page)
    assert result.exit_code == 0
    assert "1 pairs and groups of images that may be one" in result.output
    html = page.read_text()
    assert html.count("<img ") == 2
    assert "00.png" in html
    assert "p2, in val" in html
    assert tiny.root.as_posix() not in html


@pytest.mark.parametrize("name", ["pairs.txt", "nowhere/pairs.html"])
def test_a_page_that_cannot_be_written_is_refused_at_once(invoke, tiny, name):
    result = invoke("data", "inspect", tiny.configuration, "--pairs", tiny.root / name)
    assert result.exit_code == 2
    assert "expected the name of an .html file in a folder that exists" in result.stderr
    assert "reading images" not in result.stderr
