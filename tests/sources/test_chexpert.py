"""The source `chexpert`, against made files with the real header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings
from tailscope.data.views import view_labels
from tailscope.sources import CheXpert
from tailscope.sources.chexpert_tables import CLASSES

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CLASSES)
COLUMN = {name: number for number, name in enumerate(CLASSES)}
FIRST = "patient00001/study1/view1_frontal.jpg"


def row(path: str, *, facts: str = "Female,68,Frontal,AP", **labels: str) -> str:
    cells = [""] * len(CLASSES)
    for name, value in labels.items():
        cells[COLUMN[name.replace("_", " ")]] = value
    return f"{path},{facts},{','.join(cells)}"


def write_table(root: Path, name: str, *rows: str, header: str = HEADER) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join([header, *rows]) + "\n")
    return root


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5), dtype=np.uint8)).save(path)


def two_studies(root: Path) -> Path:
    """One patient with a frontal and a lateral view, one with a frontal view; every state occurs."""
    prefix = "CheXpert-v1.0-small/train"
    labels = {"Edema": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"}
    lateral = FIRST.replace("view1_frontal", "view2_lateral")
    other = FIRST.replace("00001", "00002")
    for tail in (FIRST, lateral, other):
        write_image(root / prefix / tail)
    return write_table(
        root,
        "train.csv",
        row(f"{prefix}/{FIRST}", **labels),
        row(f"{prefix}/{lateral}", facts="Female,68,Lateral,", **labels),
        row(f"{prefix}/{other}", facts="Unknown,0,Frontal,PA", No_Finding="1.0", Support_Devices="1.0"),
    )


def test_blank_zero_and_minus_one_stay_distinct(tmp_path):
    labels = CheXpert()(two_studies(tmp_path)).labels
    first = labels[labels["image_id"] == FIRST].set_index("class")["state"]
    assert first["Edema"] == "positive"
    assert first["Pneumonia"] == "uncertain"
    assert first["Fracture"] == "negative"
    assert first["Cardiomegaly"] == "unmentioned"


def test_lateral_views_are_used_only_if_asked_for(tmp_path):
    root = two_studies(tmp_path)
    assert len(CheXpert()(root).images) == 2
    images = CheXpert(views="all")(root).images
    assert images["view"].tolist() == ["AP", "lateral", "PA"]
    assert images["patient_id"].tolist() == ["patient00001", "patient00001", "patient00002"]


def test_age_zero_and_unknown_sex_are_blank(tmp_path):
    images = CheXpert()(two_studies(tmp_path)).images
    assert images["age"].isna().tolist() == [False, True]
    assert images["sex"].isna().tolist() == [False, True]


def test_no_finding_does_not_touch_support_devices(tmp_path):
    labels = CheXpert()(two_studies(tmp_path)).labels
    positive = labels[(labels["state"] == "positive") & labels["image_id"].str.contains("00002")]
    assert positive["class"].tolist() == ["No Finding", "Support Devices"]


@pytest.mark.parametrize(
    ("listed", "stored"),
    [
        (f"CheXpert-v1.0-small/train/{FIRST}", f"CheXpert-v1.0-small/train/{FIRST}"),
        (f"CheXpert-v1.0/train/{FIRST}", f"train/{FIRST}"),
        (f"CheXpert-v1.0/train/{FIRST}", f"CheXpert-v1.0 batch 2 (train 1)/{FIRST}"),
        (f"train/{FIRST}", f"train/{FIRST}"),
    ],
)
def test_all_prefixes_resolve_to_one_key(tmp_path, listed, stored):
    write_image(tmp_path / stored)
    dataset = CheXpert()(write_table(tmp_path, "train.csv", row(listed)))
    assert dataset.images["image_id"].tolist() == [FIRST]
    assert dataset.images["path"].tolist() == [stored]
    assert dataset.read_pixels(0).shape == (4, 5)


def test_tables_may_lie_in_the_folder_of_the_images(tmp_path):
    inner = tmp_path / "CheXpert-v1.0-small"
    write_image(inner / "train" / FIRST)
    write_table(inner, "train.csv", row(f"CheXpert-v1.0-small/train/{FIRST}"))
    assert len(CheXpert()(tmp_path).images) == len(CheXpert()(inner).images) == 1


def test_each_table_is_a_published_split(tmp_path):
    names = {"train.csv": "train", "valid.csv": "valid", "test_labels.csv": "test"}
    for number, (table, folder) in enumerate(names.items(), 1):
        path = f"{folder}/{FIRST.replace('00001', f'0000{number}')}"
        write_image(tmp_path / path)
        write_table(tmp_path, table, row(f"CheXpert-v1.0/{path}"))
    assert CheXpert()(tmp_path).images["split"].tolist() == ["train", "val", "test"]


def test_a_table_without_facts_takes_the_view_from_the_name(tmp_path):
    header = "Path," + ",".join(CLASSES)
    lateral = FIRST.replace("view1_frontal", "view2_lateral")
    cells = ",0" * len(CLASSES)
    for tail in (FIRST, lateral):
        write_image(tmp_path / "test" / tail)
    write_table(tmp_path, "test_labels.csv", f"test/{FIRST}{cells}", f"test/{lateral}{cells}", header=header)
    assert CheXpert()(tmp_path).images["image_id"].tolist() == [FIRST]


@pytest.mark.parametrize(
    ("uncertain", "unmentioned", "counts"),
    [
        ("ignore", "negative", (1, 1, 0)),
        ("ones", "negative", (1, 1, 1)),
        ("zeros", "negative", (1, 2, 0)),
        ("ignore", "ignore", (1, 0, 0)),
    ],
)
def test_policies_give_their_counts(tmp_path, uncertain, unmentioned, counts):
    dataset = CheXpert()(two_studies(tmp_path))
    settings = DataSettings(uncertain=uncertain, unmentioned=unmentioned)
    targets = view_labels(dataset, settings).targets
    edema, pneumonia = targets[:, COLUMN["Edema"]], targets[:, COLUMN["Pneumonia"]]
    assert ((edema == 1).sum(), (pneumonia == 0).sum(), (pneumonia == 1).sum()) == counts


def test_a_study_with_different_labels_on_its_views_is_noted(tmp_path):
    root = two_studies(tmp_path)
    path = root / "train.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(",1.0", ",0.0", 1)
    path.write_text("\n".join(lines))
    notes = " ".join(CheXpert(views="all")(root).notes)
    assert "1 studies carry different labels on their views: 'patient00001/study1'" in notes


def test_missing_images_are_refused_or_skipped(tmp_path):
    root = two_studies(tmp_path)
    (root / f"CheXpert-v1.0-small/train/{FIRST}").unlink()
    with pytest.raises(DataError, match=r"1 of 2 listed images are missing.*missing: skip"):
        CheXpert()(root)
    assert len(CheXpert(missing="skip")(root).images) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(f"train/{FIRST}", Edema="2"), r"train\.csv, line 2: label '2' is unknown"),
        (row("train/view1_frontal.jpg"), "line 2: path .* is not patient"),
        (row(f"train/{FIRST}", facts="Male,old,Frontal,AP"), "line 2: age 'old' is not a number"),
        (row(f"../../{FIRST}"), "must be relative and stay below the root"),
        (row(f"train/{FIRST}") + "\n" + row(f"train/{FIRST}"), "1 images are listed more than once"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, line, message):
    write_image(tmp_path / "train" / FIRST)
    with pytest.raises(DataError, match=message):
        CheXpert()(write_table(tmp_path, "train.csv", line))


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no train\.csv"):
        CheXpert()(tmp_path)


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="`views` must be frontal or all"):
        CheXpert(views="lateral")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        CheXpert(missing="ignore")  # type: ignore[arg-type]
