"""An array that grows on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tailscope.core import GrowingArray, InputError


def rows(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), dtype=np.float32)


def test_rows_may_come_in_any_order(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 3, "a")
    array.write(0, np.array([2, 0]), rows(2, 0))
    array.write(1, np.array([1]), rows(1))
    array.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "maps.npy"), rows(0, 1, 2))


def test_until_it_is_whole_it_does_not_have_its_name(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 2, "a")
    array.write(0, np.array([0]), rows(1))
    assert not (tmp_path / "maps.npy").exists()
    array.write(1, np.array([1]), rows(1))
    array.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"maps.npy", "maps.npy.inputs"}


def test_a_whole_array_is_known_by_its_inputs(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 1, "a")
    assert not array.is_whole
    array.write(0, np.array([0]), rows(1))
    array.finish()
    assert GrowingArray(tmp_path / "maps.npy", 1, "a").is_whole
    assert not GrowingArray(tmp_path / "maps.npy", 1, "b").is_whole


def test_it_goes_on_where_it_was_left(tmp_path: Path) -> None:
    GrowingArray(tmp_path / "maps.npy", 2, "a").write(5, np.array([0]), rows(7))
    again = GrowingArray(tmp_path / "maps.npy", 2, "a")
    assert again.is_finished(5)
    assert not again.is_finished(6)
    again.write(6, np.array([1]), rows(8))
    again.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "maps.npy"), rows(7, 8))


@pytest.mark.parametrize(("length", "inputs"), [(2, "b"), (3, "a")])
def test_with_other_inputs_it_starts_anew(tmp_path: Path, length: int, inputs: str) -> None:
    GrowingArray(tmp_path / "maps.npy", 2, "a").write(5, np.array([0]), rows(7))
    again = GrowingArray(tmp_path / "maps.npy", length, inputs)
    assert not again.is_finished(5)
    for number in range(length):
        again.write(number, np.array([number]), rows(number))
    again.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "maps.npy"), rows(*range(length)))


def test_a_journal_cut_off_in_a_line_loses_that_chunk_alone(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 2, "a")
    array.write(0, np.array([0]), rows(7))
    array.write(1, np.array([1]), rows(8))
    journal = tmp_path / "maps.npy.journal"
    journal.write_text(journal.read_text()[:-4])
    again = GrowingArray(tmp_path / "maps.npy", 2, "a")
    assert (again.is_finished(0), again.is_finished(1)) == (True, False)


def test_an_empty_journal_starts_anew(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 1, "a")
    array.write(0, np.array([0]), rows(7))
    (tmp_path / "maps.npy.journal").write_text("")
    assert not GrowingArray(tmp_path / "maps.npy", 1, "a").is_finished(0)


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "maps.npy", 2, "a")
    array.write(0, np.array([0]), rows(7))
    with pytest.raises(InputError, match=r"must keep the shape \(2, 3\); got \(4, 3\)"):
        array.write(1, np.array([1]), np.zeros((1, 4, 3), dtype=np.float32))


def test_no_rows_give_an_empty_array(tmp_path: Path) -> None:
    GrowingArray(tmp_path / "maps.npy", 0, "a").finish()
    assert np.load(tmp_path / "maps.npy").shape == (0, 1, 1)
