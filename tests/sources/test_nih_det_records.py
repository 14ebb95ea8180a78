"""The records of ChestX-Det, and the recovery of NIH's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailscope.core import DataError
from tailscope.sources.nih_det_records import read_names, read_records, recovered_names, shape_of

RING = [[10, 20], [30, 20], [30, 60]]


def record(name: str = "36199.png", **changed: Any) -> dict[str, Any]:
    return {"file_name": name, "syms": ["Mass"], "boxes": [[10, 20, 30, 60]], "polygons": [RING]} | changed


def write(folder: Path, *records: Any) -> Path:
    (folder / "ChestX_Det_train.json").write_text(json.dumps(records))
    return folder


def test_polygon_and_box_are_two_forms_of_one_instance(tmp_path):
    [read], problems = read_records(write(tmp_path, record()), "chestx_det")
    [instance] = read.instances
    assert problems == []
    assert shape_of("a", "Mass", instance, "boxes")[2:4] == ("box", [10, 20, 30, 60])
    assert shape_of("a", "Mass", instance, "polygons")[2:4] == ("polygon", [RING])


def test_records_without_polygons_give_boxes(tmp_path):
    value = record()
    del value["polygons"]
    [read], _ = read_records(write(tmp_path, value), "chestx_det")
    assert shape_of("a", "Mass", read.instances[0], "polygons")[2] == "box"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"syms": []}, "0 findings, 1 boxes and 1 polygons; expected one of each"),
        ({"polygons": [RING, RING]}, "1 findings, 1 boxes and 2 polygons"),
        ({"syms": ["Masss"]}, "finding 'Masss' is unknown; did you mean 'Mass'"),
        ({"boxes": [[1, 2, 3]]}, "a box is not four numbers"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, changed, message):
    _, [problem] = read_records(write(tmp_path, record("1.png"), record(**changed)), "chestx_det")
    assert problem.startswith("ChestX_Det_train.json, record 2: ")
    assert message in problem


def test_an_image_with_two_records_is_a_problem(tmp_path):
    _, [problem] = read_records(write(tmp_path, record(), record()), "chestx_det")
    assert "record 2: image '36199.png' stands in ChestX_Det_train.json, record 1 already" in problem


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("{}", "expected a list"), (None, "holds neither")]
)
def test_a_file_that_is_no_list_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "train.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_records(tmp_path, "chestx_det10")


def test_names_are_read_from_a_table_and_from_json_alike(tmp_path):
    (tmp_path / "names.csv").write_text("chestx_det,nih\n36199.png,00000003_003.png\n")
    (tmp_path / "names.json").write_text('{"36199.png": "00000003_003.png"}')
    assert (
        read_names(tmp_path / "names.csv") == read_names(tmp_path / "names.json") == {"36199.png": "00000003_003.png"}
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("names.csv", "a,b\n00000003_003.png,36199.png\n", r"1 names are not NIH's: '36199\.png'"),
        ("names.csv", "a\n36199.png\n", "has one column"),
        ("names.json", "[]", "holds a list; expected an object"),
        ("names.json", "{", "is not JSON"),
    ],
)
def test_wrong_names_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_names(tmp_path / name)


def test_names_are_recovered_only_where_the_content_agrees():
    first, renamed = record("00000003_003.png"), record("36199.png")
    assert recovered_names([first], [renamed]) == {"36199.png": "00000003_003.png"}
    with pytest.raises(DataError, match="records '1' differ in findings or boxes"):
        recovered_names([first], [renamed | {"syms": ["Nodule"]}])
    with pytest.raises(DataError, match="has 1 records, the published one 0"):
        recovered_names([first], [])
