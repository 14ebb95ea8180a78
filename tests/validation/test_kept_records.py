"""A stopped simulation goes on where it was, and never with another setting's records."""

import pandas as pd
import pytest
from kept_records import Keeper


def refuse():
    raise AssertionError("made again")


def records():
    return pd.DataFrame({"hidden": [0.0, 1.0]})


def test_records_that_were_kept_are_read_and_not_made_again(tmp_path):
    Keeper(tmp_path / "new").get("null 3", (3, "family"), records)
    pd.testing.assert_frame_equal(Keeper(tmp_path / "new").get("null 3", (3, "family"), refuse), records())


def test_another_setting_of_the_same_name_is_made(tmp_path):
    Keeper(tmp_path).get("null 3", (3, "family"), records)
    with pytest.raises(AssertionError, match="made again"):
        Keeper(tmp_path).get("null 3", (5, "family"), refuse)


def test_what_was_stopped_while_it_was_made_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError, match="made again"):
        Keeper(tmp_path).get("null 3", (3, "family"), refuse)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_is_kept():
    Keeper().get("null 3", (3, "family"), records)
    with pytest.raises(AssertionError, match="made again"):
        Keeper().get("null 3", (3, "family"), refuse)
