"""The source `covid_chestxray`, under both published headers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.sources import CovidChestXray

EARLY = "Patientid,offset,sex,age,finding,survival,view,date,location,filename,doi, url,license,notes"
LATE = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,went_icu,in_icu,"
    "needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,"
    "view,modality,date,location,folder,filename,doi,url,license,clinical_notes,other_notes,"
)
DEFAULTS = {"patientid": "1", "sex": "M", "age": "65", "view": "PA", "modality": "X-ray", "folder": "images"}


def write_set(root: Path, *rows: dict[str, str], header: str = LATE) -> Path:
    """Images 0.png, 1.png … with these cells."""
    names = header.split(",")
    (root / "images").mkdir()
    with (root / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for number, row in enumerate(rows):
            values = {**DEFAULTS, "filename": f"{number}.png", "other_notes": "two\nlines", **row}
            writer.writerow([values.get(name.strip().lower(), "") for name in names])
            Image.fromarray(np.full((4, 5, 3), 9 * number, dtype=np.uint8)).save(root / "images" / f"{number}.png")
    return root


def states(dataset, image: str) -> dict[str, str]:
    labels = dataset.labels[dataset.labels["image_id"] == image]
    return dict(zip(labels["class"], labels["state"], strict=True))


COVID, VIRAL, PLAIN, NONE = (
    {"finding": name} for name in ("Pneumonia/Viral/COVID-19", "Pneumonia/Viral", "Pneumonia", "No Finding")
)


def test_every_name_on_the_path_is_positive_and_kinds_of_the_last_are_unmentioned(tmp_path):
    dataset = CovidChestXray()(write_set(tmp_path, COVID, VIRAL, PLAIN, NONE))
    assert dataset.classes == ("COVID-19", "No Finding", "Pneumonia", "Viral")
    assert states(dataset, "0.png") == {
        "COVID-19": "positive", "No Finding": "negative", "Pneumonia": "positive", "Viral": "positive",
    }  # fmt: skip
    assert states(dataset, "1.png")["COVID-19"] == "unmentioned"
    assert states(dataset, "2.png")["Viral"] == "unmentioned"
    assert set(states(dataset, "3.png").values()) == {"positive", "negative"}


@pytest.mark.parametrize(("header", "variant"), [(EARLY, "early header"), (LATE, "late header")])
def test_both_headers_parse_alike(tmp_path, header, variant):
    dataset = CovidChestXray()(write_set(tmp_path, {"finding": "COVID-19", "license": "CC BY"}, header=header))
    assert CovidChestXray.recognise(tmp_path) == f"metadata.csv, {variant}"
    [image] = dataset.images.itertuples()
    assert (image.patient_id, image.age, image.sex, image.view, image.licence) == ("1", 65, "M", "PA", "CC BY")


def test_early_lists_with_commas_are_several_findings(tmp_path):
    dataset = CovidChestXray()(write_set(tmp_path, {"finding": "COVID-19, ARDS"}, header=EARLY))
    assert set(states(dataset, "0.png").values()) == {"positive"}
    assert dataset.classes == ("ARDS", "COVID-19")


@pytest.mark.parametrize("cells", [{"modality": "CT"}, {"view": "Axial"}, {"view": "Coronal"}, {"folder": "volumes"}])
def test_computed_tomography_is_left_out(tmp_path, cells):
    dataset = CovidChestXray()(write_set(tmp_path, COVID, COVID | cells))
    assert dataset.images["image_id"].tolist() == ["0.png"]
    assert "1 slices or volumes of computed tomography were left out" in dataset.notes


@pytest.mark.parametrize("finding", ["todo", "Unknown", ""])
def test_images_without_a_finding_are_left_out(tmp_path, finding):
    dataset = CovidChestXray()(write_set(tmp_path, COVID, {"finding": finding}))
    assert len(dataset.images) == 1
    assert any(note.startswith("1 radiographs have no finding") for note in dataset.notes)


def test_views_are_spelt_alike_and_missing_facts_are_blank(tmp_path):
    rows = [COVID | {"view": view, "age": "", "sex": ""} for view in ("AP Supine", "APS", "L", "AP")]
    images = CovidChestXray()(write_set(tmp_path, *rows)).images
    assert images["view"].tolist() == ["AP supine", "AP supine", "lateral", "AP"]
    assert images[["age", "sex", "licence"]].isna().all(axis=None)


def test_the_licence_of_each_image_is_kept_and_missing_ones_counted(tmp_path):
    dataset = CovidChestXray()(write_set(tmp_path, COVID | {"license": "CC BY-NC-SA"}, COVID))
    assert dataset.images["licence"].tolist() == ["CC BY-NC-SA", None]
    assert "1 images name no licence" in dataset.notes


def test_missing_images_are_refused_or_skipped(tmp_path):
    (write_set(tmp_path, COVID, NONE) / "images/0.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are missing.*'0\.png'.*missing: skip"):
        CovidChestXray()(tmp_path)
    assert CovidChestXray(missing="skip")(tmp_path).classes == ("No Finding",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (COVID | {"age": "old"}, "age 'old' cannot be read"),
        (COVID | {"filename": "../0.png"}, "must be relative"),
        (COVID | {"filename": "0.png"}, r"image '0\.png' stands in metadata\.csv, line"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        CovidChestXray()(write_set(tmp_path, COVID, row))


def test_another_table_of_this_name_is_not_recognised_and_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("filename,label\na.png,1\n")
    assert CovidChestXray.recognise(tmp_path) is None
    with pytest.raises(DataError, match="has no column 'patientid'"):
        CovidChestXray()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        CovidChestXray(missing="no")  # type: ignore[arg-type]
