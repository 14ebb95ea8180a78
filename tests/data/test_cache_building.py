"""Decoding on all cores, and going on after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tailscope.core import DataError
from tailscope.data.cache import ReadingPlan, open_pixels
from tailscope.data.cache_building import Work, cores
from tailscope.data.settings import DataSettings

COUNT = 200
CONTENT = [f"{number}" for number in range(COUNT)]
SETTINGS = DataSettings(image_size=(6, 8))


def image(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, (12, 16 + row % 3), dtype=np.uint8)


def files(folder):
    """Name to content of what lies in a folder; checksums without the time of change."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("checksums")}


@pytest.fixture
def whole(tmp_path):
    """The files of a cache that was built undisturbed."""
    open_pixels(image, CONTENT, SETTINGS, tmp_path / "whole", ReadingPlan(threads=1))
    return files(tmp_path / "whole")


class Reader:
    """Counts what is read, and stops at a row."""

    def __init__(self, stop_at: int | None = None, colour: frozenset[int] = frozenset()) -> None:
        self.rows: list[int] = []
        self.stop_at = stop_at
        self.colour = colour

    def __call__(self, row: int) -> np.ndarray:
        if row == self.stop_at:
            raise RuntimeError("the power went out")
        self.rows.append(row)
        return (
            np.dstack([image(row), image(row + 1)[:, : image(row).shape[1]], image(row)])[:, :16]
            if (row in self.colour)
            else image(row)
        )


@pytest.mark.parametrize("threads", [2, 5, None])
def test_any_number_of_threads_makes_the_same_files(whole, tmp_path, threads):
    open_pixels(image, CONTENT, SETTINGS, tmp_path / "other", ReadingPlan(threads=threads))
    assert files(tmp_path / "other") == whole


def test_any_order_makes_the_same_files(whole, tmp_path):
    order = np.random.default_rng(0).permutation(COUNT).tolist()
    reader = Reader()
    open_pixels(reader, CONTENT, SETTINGS, tmp_path / "other", ReadingPlan(order=order, threads=1))
    assert files(tmp_path / "other") == whole
    assert reader.rows == order


def test_as_many_images_are_decoded_at_once_as_there_are_threads(tmp_path):
    together = threading.Barrier(3, timeout=60)

    def read(row: int) -> np.ndarray:
        if row < 3:
            together.wait()  # passes only when three are inside
        return image(row)

    open_pixels(read, CONTENT, SETTINGS, tmp_path, ReadingPlan(threads=3))
    assert together.n_waiting == 0


def test_few_images_are_held_at_once():
    begun: list[int] = []
    work = Work(lambda row: begun.append(row) or image(row), range(COUNT), SETTINGS, threads=2)
    for done, _ in enumerate(work.images(range(COUNT), 1)):
        assert len(begun) <= done + 1 + 2 * 4
    assert len(begun) == COUNT


def test_there_is_at_least_one_core():
    assert cores() >= 1


def test_an_attempt_that_broke_off_goes_on_where_it_was(whole, tmp_path):
    folder = tmp_path / "other"
    with pytest.raises(RuntimeError, match="power"):
        open_pixels(Reader(stop_at=150), CONTENT, SETTINGS, folder, ReadingPlan(threads=1))
    assert not list(folder.glob("pixels-*"))
    second, seen = Reader(), []
    plan = ReadingPlan(threads=1, progress=lambda done, total: seen.append((done, total)))
    open_pixels(second, CONTENT, SETTINGS, folder, plan)
    assert second.rows == list(range(128, COUNT))  # two chunks of 64 were listed
    assert seen == [(done, COUNT) for done in range(128, COUNT + 1)]
    assert files(folder) == whole


def test_a_killed_process_loses_no_more_than_a_chunk(whole, tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
import numpy as np
from tailscope.data.cache import ReadingPlan, open_pixels
from tailscope.data.settings import DataSettings
def read(row):
    if row == 170:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.random.default_rng(row).integers(0, 256, (12, 16 + row % 3), dtype=np.uint8)
plan = ReadingPlan(threads=2)
open_pixels(read, list(map(str, range(200))), DataSettings(image_size=(6, 8)), Path(sys.argv[1]), plan)
"""
    folder = tmp_path / "other"
    killed = subprocess.run([sys.executable, "-c", script, str(folder)], timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    reader = Reader()
    open_pixels(reader, CONTENT, SETTINGS, folder, ReadingPlan(threads=1))
    assert reader.rows == list(range(128, COUNT))
    assert files(folder) == whole


@pytest.fixture
def broken_off(tmp_path):
    """A folder with an attempt that broke off at row 150."""
    with pytest.raises(RuntimeError):
        open_pixels(Reader(stop_at=150), CONTENT, SETTINGS, tmp_path / "other", ReadingPlan(threads=1))
    return tmp_path / "other"


def resumed(folder):
    reader = Reader()
    open_pixels(reader, CONTENT, SETTINGS, folder, ReadingPlan(threads=1))
    return reader.rows


def test_rows_that_do_not_fit_their_checksum_are_decoded_again(broken_off, whole):
    (partial,) = broken_off.glob(".pixels-*.partial")
    data = bytearray(partial.read_bytes())
    data[len(data) - COUNT * 48 + 5 * 48] ^= 1
    partial.write_bytes(data)
    assert resumed(broken_off) == [5, *range(128, COUNT)]
    assert files(broken_off) == whole


def test_an_entry_that_was_cut_off_is_not_believed(broken_off, whole):
    (listed,) = broken_off.glob(".pixels-*.rows")
    listed.write_bytes(listed.read_bytes()[:-7])
    assert resumed(broken_off) == list(range(127, COUNT))
    assert files(broken_off) == whole


@pytest.mark.parametrize("lost", [".pixels-*.rows", ".pixels-*.partial"])
def test_without_one_of_its_files_an_attempt_begins_anew(broken_off, whole, lost):
    (path,) = broken_off.glob(lost)
    path.unlink()
    assert resumed(broken_off) == list(range(COUNT))
    assert files(broken_off) == whole


def test_a_file_of_pixels_that_was_cut_off_is_begun_anew(broken_off, whole):
    (partial,) = broken_off.glob(".pixels-*.partial")
    partial.write_bytes(partial.read_bytes()[:-100])
    assert resumed(broken_off) == list(range(COUNT))
    assert files(broken_off) == whole


def test_other_content_begins_anew(broken_off):
    reader = Reader()
    open_pixels(reader, [*CONTENT[:-1], "new"], SETTINGS, broken_off, ReadingPlan(threads=1))
    assert reader.rows == list(range(COUNT))


def test_a_colour_that_was_found_before_the_break_is_remembered(tmp_path):
    with pytest.raises(RuntimeError):
        open_pixels(Reader(150, frozenset({3})), CONTENT, SETTINGS, tmp_path, ReadingPlan(threads=1))
    reader = Reader(colour=frozenset({3}))
    cache = open_pixels(reader, CONTENT, SETTINGS, tmp_path, ReadingPlan(threads=1))
    assert reader.rows == list(range(128, COUNT))
    assert cache.pixels.shape == (COUNT, 6, 8, 3)
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["checksums", "pixels", "sizes"]


def test_problems_are_told_in_the_order_of_rows(tmp_path):
    def read(row: int) -> np.ndarray:
        if row in (7, 90):
            raise DataError(f"image {row} is broken")
        return image(row)

    with pytest.raises(DataError) as caught:
        open_pixels(read, CONTENT, SETTINGS, tmp_path, ReadingPlan(order=range(COUNT - 1, -1, -1)))
    assert caught.value.problems == ("image 7 is broken", "image 90 is broken")
