"""The source `nih_chestxray14`, against made files with the real headers and against the real tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.sources import NihChestXray14
from tailscope.sources.nih_tables import FINDINGS, parse_age, read_boxes, read_entries

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")

TAIL = "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
HEAD = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age"
HEADERS = {
    "A, 2017": (f"{HEAD},Patient Gender,{TAIL},", ","),
    "B, v2020": (f"{HEAD},Patient Gender,{TAIL}", ""),
    "C, v2020 from Box": (f"{HEAD},Patient Sex,{TAIL},", ""),
}
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
ROWS = (
    ("00000001_000.png", "Cardiomegaly|Emphysema", "1", "58"),
    ("00000001_001.png", "No Finding", "1", "058Y"),
    ("00000002_000.png", "Infiltration", "2", "006M"),
    ("00000003_000.png", "Hernia", "3", "155"),
)


def write_nih(root: Path, *, header: str = "B, v2020", boxes: str = "", flat: bool = True) -> Path:
    line, end = HEADERS[header]
    rows = [f"{name},{labels},0,{patient},{age},F,PA,2682,2749,0.143,0.143{end}" for name, labels, patient, age in ROWS]
    root.mkdir(exist_ok=True)
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([line, *rows]))
    if boxes:
        (root / "BBox_List_2017.csv").write_text(f"{BOX_HEADER}\n{boxes}\n")
    for number, (name, *_) in enumerate(ROWS):
        folder = root / ("images" if flat else f"images_{1 + number % 2:03}/images")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 10 * number, dtype=np.uint8)).save(folder / name)
    return root


@pytest.mark.parametrize("header", HEADERS)
def test_all_headers_parse_alike(tmp_path, header):
    dataset = NihChestXray14()(write_nih(tmp_path / "nih", header=header))
    images = dataset.images
    assert images["patient_id"].tolist() == ["1", "1", "2", "3"]
    assert images["sex"].tolist() == ["F"] * 4
    assert images["view"].tolist() == ["PA"] * 4
    assert images["age"].tolist()[:3] == [58, 58, 0.5]
    assert math.isnan(images["age"].iloc[3])
    positive = dataset.labels[dataset.labels["state"] == "positive"]
    assert list(zip(positive["image_id"], positive["class"], strict=True)) == [
        ("00000001_000.png", "Cardiomegaly"),
        ("00000001_000.png", "Emphysema"),
        ("00000002_000.png", "Infiltration"),
        ("00000003_000.png", "Hernia"),
    ]


def test_flat_and_numbered_folders_give_the_same_images(tmp_path):
    flat = NihChestXray14()(write_nih(tmp_path / "flat"))
    numbered = NihChestXray14()(write_nih(tmp_path / "numbered", flat=False))
    assert numbered.images["path"].tolist()[1] == "images_002/images/00000001_001.png"
    assert flat.content() == numbered.content()


def test_no_finding_is_a_class_only_if_asked_for(tmp_path):
    root = write_nih(tmp_path / "nih")
    labels = NihChestXray14(no_finding=True)(root).labels
    positive = labels[(labels["class"] == "No Finding") & (labels["state"] == "positive")]
    assert positive["image_id"].tolist() == ["00000001_001.png"]
    assert NihChestXray14()(root).classes == FINDINGS


def test_official_lists_become_the_published_split(tmp_path):
    root = write_nih(tmp_path / "nih")
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000003_000.png\n")
    (root / "test_list.txt").write_text("00000002_000.png\n99999999_000.png\n")
    assert NihChestXray14()(root).images["split"].tolist() == ["train", "train", "test", "train"]


def test_an_image_in_both_lists_is_refused(tmp_path):
    root = write_nih(tmp_path / "nih")
    (root / "train_val_list.txt").write_text("00000001_000.png\n")
    (root / "test_list.txt").write_text("00000001_000.png\n")
    with pytest.raises(DataError, match=r"'00000001_000\.png' stands in train_val_list"):
        NihChestXray14()(root)


def test_a_box_row_of_six_fields_under_nine_becomes_edges_in_the_published_frame(tmp_path):
    root = write_nih(tmp_path / "nih", boxes="00000002_000.png,Infiltrate,100.5,200,50,25.25")
    [shape] = NihChestXray14()(root).annotations.itertuples()
    assert shape[2] == "Infiltration"
    assert json.loads(shape.geometry) == [100.5, 200, 150.5, 225.25]
    assert (shape.ref_height, shape.ref_width) == (1024, 1024)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("00000009_000.png,Mass,1,1,5,5", r"BBox_List_2017\.csv, line 2: no image is named"),
        ("00000002_000.png,Mass,1,1,-5,5", "line 2: box .* is inverted or empty"),
        ("00000002_000.png,Mass,1020,1,50,5", "line 2: box .* lies outside its frame of 1024 × 1024"),
        ("00000002_000.png,Masses,1,1,5,5", "no class is named 'Masses'; did you mean 'Mass'"),
        ("00000002_000.png,Mass,1,1,5", "are not four numbers"),
    ],
)
def test_a_wrong_box_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        NihChestXray14()(write_nih(tmp_path / "nih", boxes=row))


def test_missing_images_are_refused_with_their_count(tmp_path):
    root = write_nih(tmp_path / "nih")
    (root / "images/00000002_000.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 listed images are missing.*00000002_000\.png.*missing: skip"):
        NihChestXray14()(root)


def test_missing_images_can_be_skipped_with_their_boxes_and_are_noted(tmp_path):
    root = write_nih(tmp_path / "nih", boxes="00000002_000.png,Infiltrate,100,200,50,25")
    (root / "images/00000002_000.png").unlink()
    dataset = NihChestXray14(missing="skip")(root)
    assert len(dataset.images) == 3
    assert dataset.annotations.empty
    assert "1 listed images are not on disk and were skipped" in dataset.notes


def test_metadata_without_any_image_is_refused(tmp_path):
    root = write_nih(tmp_path / "nih")
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="4 of 4 listed images are missing below"):
        NihChestXray14(missing="skip")(root)


def test_an_unknown_finding_is_refused_with_its_line(tmp_path):
    root = write_nih(tmp_path / "nih")
    path = root / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text().replace("Hernia", "Hernai"))
    with pytest.raises(DataError, match="line 5: finding 'Hernai' is unknown; did you mean 'Hernia'"):
        NihChestXray14()(root)


def test_rgba_files_are_read_as_grey(tmp_path):
    root = write_nih(tmp_path / "nih")
    Image.new("RGBA", (4, 4), (50, 50, 50, 255)).save(root / "images/00000001_000.png")
    pixels = NihChestXray14()(root).read_pixels(0)
    assert pixels.shape == (4, 4)
    assert (pixels == 50).all()


def test_a_file_name_on_disk_twice_is_refused(tmp_path):
    root = write_nih(tmp_path / "nih")
    write_nih(root, flat=False)
    with pytest.raises(DataError, match=r"00000001_000\.png exists twice"):
        NihChestXray14()(root)


def test_a_folder_without_label_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no Data_Entry_2017\*\.csv"):
        NihChestXray14()(tmp_path)


def test_an_unknown_policy_for_missing_images_is_refused():
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        NihChestXray14(missing="ignore")  # type: ignore[arg-type]


def test_an_age_that_is_no_age_is_refused():
    with pytest.raises(DataError, match="age 'old' cannot be read"):
        parse_age("old")


@needs_shared
@pytest.mark.needs_data
def test_the_whole_label_file_parses_to_the_published_counts():
    entries, problems = read_entries(SHARED / "data/nih_full_metadata/Data_Entry_2017_v2020.csv.gz")
    shapes, _, box_problems = read_boxes(SHARED / "data/nih_full_metadata/BBox_List_2017.csv")
    assert (problems, box_problems) == ([], [])
    assert (len(entries), len({entry.patient for entry in entries})) == (112120, 30805)
    assert sum("Hernia" in entry.findings for entry in entries) == 227
    assert sum("Infiltration" in entry.findings for entry in entries) == 19894
    assert sum(not entry.findings for entry in entries) == 60361
    assert all(int(entry.patient) == int(entry.image[:8]) for entry in entries)
    assert (len(shapes), len({shape[0] for shape in shapes})) == (984, 880)
    findings = {entry.image: entry.findings for entry in entries}
    assert all(shape[1] in findings[shape[0]] for shape in shapes)


@needs_shared
@pytest.mark.needs_data
def test_boxes_land_on_images_reduced_to_64_pixels(tmp_path):
    dataset = NihChestXray14()(SHARED / "data/nih1000_64px")
    data = prepare(dataset, DataSettings(image_size=(64, 64), split=SplitSettings(by="patient")), tmp_path)
    assert data.pixels.shape == (1000, 64, 64, 1)
    assert len(data.annotated) == 9
    # x 209.898…423.593, y 568.714…823.629 of 1024 are x 13.12…26.47, y 35.54…51.48 of 64; centres lie at the halves
    row = data.image_ids.tolist().index("00000181_061.png")
    expected = np.zeros((64, 64), dtype=bool)
    expected[36:51, 13:26] = True
    assert np.array_equal(data.masks(row, "Atelectasis"), expected)
    for row, column in data.annotated:
        [shape] = data.annotations[data.annotations["image_id"] == data.image_ids[row]].itertuples()
        x0, y0, x1, y1 = (edge / 16 for edge in json.loads(shape.geometry))
        ys, xs = np.nonzero(data.masks(row, data.classes[column]))
        edges = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert np.abs(np.array(edges) - [x0, y0, x1, y1]).max() <= 0.5
