"""A JSON file is read, or one sentence says why not."""

from __future__ import annotations

import pytest

from tailscope.core import DataError
from tailscope.data.json_files import load_json, load_json_of


def written(folder, text, encoding="utf-8"):
    path = folder / "names.json"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_file_is_read_with_and_without_byte_order_mark(tmp_path):
    assert load_json(written(tmp_path, '{"a": [1]}')) == {"a": [1]}
    assert load_json(written(tmp_path, '{"a": [1]}', "utf-8-sig")) == {"a": [1]}


@pytest.mark.parametrize(("text", "encoding"), [("{", "utf-8"), ("é", "latin-1"), ("[" * 100_000, "utf-8")])
def test_what_is_no_json_is_refused_by_name_with_the_remedy(tmp_path, text, encoding):
    with pytest.raises(DataError, match=r"^names.json is not JSON \(.*\); fetch it$"):
        load_json(written(tmp_path, text, encoding), remedy="fetch it")


def test_a_file_that_is_not_there_is_refused_under_the_name_that_was_given(tmp_path):
    with pytest.raises(DataError, match=r"^set/names.json is not JSON"):
        load_json(tmp_path / "names.json", name="set/names.json")


def test_a_list_in_place_of_an_object_is_refused(tmp_path):
    assert load_json_of(list, written(tmp_path, "[1]"), "a list of records") == [1]
    with pytest.raises(DataError, match=r"names.json holds a list; expected an object by image"):
        load_json_of(dict, written(tmp_path, "[1]"), "an object by image")
