"""A cache that does not hold what was written is found, and made anew."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tailscope.data import cache_files
from tailscope.data.cache import ReadingPlan, open_pixels
from tailscope.data.cache_files import checksum
from tailscope.data.settings import DataSettings

COUNT, ROW_BYTES = 200, 48
CONTENT = [f"{number}" for number in range(COUNT)]
SETTINGS = DataSettings(image_size=(6, 8))


def read(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, (12, 16), dtype=np.uint8)


def refuse(row: int) -> np.ndarray:
    raise AssertionError(f"row {row} was decoded again")


@pytest.fixture
def built(tmp_path):
    """Folder, and its pixels as they should be."""
    pixels = np.array(open_pixels(read, CONTENT, SETTINGS, tmp_path).pixels)
    return tmp_path, pixels


def one(folder, kind):
    (path,) = folder.glob(f"{kind}-*")
    return path


def flip(path, at, *, keep_time=False):
    """Turn a bit; at the distance ``at`` from the end."""
    state, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) - at] ^= 1
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def row_at(row):
    """Distance of a byte of a row from the end."""
    return (COUNT - row) * ROW_BYTES - 7


@pytest.mark.parametrize("row", [0, 77, 199])
def test_a_changed_file_is_compared_as_a_whole_and_made_anew(built, row):
    folder, pixels = built
    flip(one(folder, "pixels"), row_at(row))
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels had 1 damaged rows of 200 compared and was made anew",)
    assert np.array_equal(cache.pixels, pixels)
    assert open_pixels(refuse, CONTENT, SETTINGS, folder).notes == ()


def test_a_sample_is_compared_at_every_opening(built):
    folder, pixels = built
    flip(one(folder, "pixels"), row_at(0), keep_time=True)
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels had 1 damaged rows of 64 compared and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


def test_every_row_is_compared_on_request(built):
    folder, pixels = built
    flip(one(folder, "pixels"), row_at(1), keep_time=True)
    assert open_pixels(refuse, CONTENT, SETTINGS, folder).notes == ()  # row 1 is not in the sample
    cache = open_pixels(read, CONTENT, SETTINGS, folder, ReadingPlan(whole=True))
    assert cache.notes == ("the cache of pixels had 1 damaged rows of 200 compared and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


def test_an_undamaged_copy_is_compared_as_a_whole_once(built, monkeypatch):
    folder, pixels = built
    os.utime(one(folder, "pixels"))
    compared: list[int] = []
    monkeypatch.setattr(cache_files, "checksum", lambda values: compared.append(1) or checksum(values))
    assert np.array_equal(open_pixels(refuse, CONTENT, SETTINGS, folder).pixels, pixels)
    assert len(compared) == COUNT + 1  # and the sizes
    compared.clear()
    open_pixels(refuse, CONTENT, SETTINGS, folder)
    assert len(compared) == 64 + 1


@pytest.mark.parametrize("kept", [0, 60, -1])
def test_a_file_that_was_cut_off_is_made_anew(built, kept):
    folder, pixels = built
    path = one(folder, "pixels")
    path.write_bytes(path.read_bytes()[:kept])
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels could not be read and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


@pytest.mark.parametrize("at", [5, 12, 30, 60])
def test_a_damaged_header_is_found(built, at):
    folder, pixels = built
    path = one(folder, "pixels")
    for bit in (1, 4, 64):
        data = bytearray(path.read_bytes())
        data[at] ^= bit
        path.write_bytes(data)
        assert np.array_equal(open_pixels(read, CONTENT, SETTINGS, folder).pixels, pixels)


def test_bytes_behind_the_pixels_are_damage(built):
    folder, pixels = built
    with one(folder, "pixels").open("ab") as stream:
        stream.write(b"more")
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels had another length than when it was written and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


def test_damaged_sizes_are_found(built):
    folder, _ = built
    flip(one(folder, "sizes"), 3)
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels had damaged sizes of images and was made anew",)
    assert cache.sizes.tolist() == [[12, 16]] * COUNT


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rows": "zz", "sizes": 1, "length": 1, "modified": 1}'])
def test_checksums_that_cannot_be_read_are_damage(built, text):
    folder, pixels = built
    one(folder, "checksums").write_text(text)
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels could not be read and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


def test_a_cache_of_other_images_is_not_used(built):
    folder, pixels = built
    np.save(one(folder, "pixels"), pixels[:-1])
    cache = open_pixels(read, CONTENT, SETTINGS, folder)
    assert cache.notes == ("the cache of pixels had another shape than its images and was made anew",)
    assert np.array_equal(cache.pixels, pixels)


def test_a_cache_of_an_older_version_gets_its_checksums(built):
    folder, pixels = built
    expected = one(folder, "checksums").read_bytes()
    one(folder, "checksums").unlink()
    assert np.array_equal(open_pixels(refuse, CONTENT, SETTINGS, folder).pixels, pixels)
    assert one(folder, "checksums").read_bytes() == expected


def test_no_images_are_no_damage(tmp_path):
    for _ in range(2):
        cache = open_pixels(refuse, [], SETTINGS, tmp_path)
        assert cache.pixels.shape == (0, 6, 8, 1)
        assert cache.notes == ()
