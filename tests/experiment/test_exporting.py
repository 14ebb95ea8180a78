"""Results taken elsewhere: whole, in full precision, and without a row per image."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tailscope.core import InputError
from tailscope.experiment import export


def test_csv_holds_every_table_of_results_in_full_precision(finished, tmp_path):
    written = export(finished.path, "csv", tmp_path / "csv")
    assert [path.stem for path in written] == sorted(path.stem for path in finished.path.glob("*.parquet"))
    told = pd.read_csv(tmp_path / "csv" / "findings.csv")
    for column in ("difference", "lo", "hi", "se"):
        pd.testing.assert_series_equal(told[column], finished.findings[column], rtol=1e-14, check_dtype=False)


def test_json_is_one_file_of_tables_and_provenance(finished, tmp_path):
    (written,) = export(finished.path, "json", tmp_path / "json")
    content = json.loads(written.read_text())
    assert set(content["tables"]) == {path.stem for path in finished.path.glob("*.parquet")}
    assert len(content["tables"]["findings"]) == len(finished.findings)
    assert content["provenance"]["analysis_plan"]["hash"]


def test_no_export_names_an_image_or_a_patient(finished, tmp_path):
    images = pd.read_parquet(finished.path / "data" / "images.parquet")
    names = {*images["image_id"].astype(str), *images["patient_id"].astype(str)}
    for form in ("csv", "json"):
        for path in export(finished.path, form, tmp_path / form):
            text = path.read_text()
            assert not any(name in text for name in names)


def test_latex_has_a_file_for_every_table_of_the_page(finished, tmp_path):
    written = export(finished.path, "latex", tmp_path / "latex")
    tables = (finished.path / "report.html").read_text().count("<caption>")
    assert len(written) == tables + 1
    assert written[0].read_text().count("\\input{") == tables


@pytest.mark.draws
def test_figures_come_as_svg_and_pdf_with_captions(finished, tmp_path):
    written = export(finished.path, "figures", tmp_path / "figures")
    drawn = [path for path in written if path.suffix == ".svg"]
    assert len(drawn) == len({path.name for path in drawn}) == sum(path.suffix == ".pdf" for path in written)
    assert all(path.exists() for path in written)
    assert drawn[0].stem in (tmp_path / "figures" / "captions.txt").read_text()


def test_a_folder_that_is_no_experiment_is_refused(tmp_path):
    with pytest.raises(InputError, match="no experiment"):
        export(tmp_path, "csv", tmp_path / "out")


def test_an_unknown_form_is_refused_with_those_that_there_are(finished, tmp_path):
    with pytest.raises(InputError, match="one of csv, latex, json, figures; got 'word'"):
        export(finished.path, "word", tmp_path / "out")
    assert not (tmp_path / "out").exists()
