"""Images read one after the other from an `.npz` file, against numpy's own reading."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailscope.core import DataError
from tailscope.sources import npz_pixels
from tailscope.sources.npz_pixels import NpzContent, NpzPixels, member_of, read_labels

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 7, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> NpzPixels:
    root = tmp_path_factory.mktemp("npz")
    np.savez_compressed(root / "a.npz", first=IMAGES[:15], second=IMAGES[15:])
    return NpzPixels(root, "a.npz", tuple(member_of(root / "a.npz", name) for name in ("first", "second")))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=20))
def test_rows_in_any_order_are_numpys(made, rows):
    for row in rows:
        assert np.array_equal(made(row), IMAGES[row])


def test_going_back_further_than_what_is_kept_starts_anew(made, monkeypatch):
    monkeypatch.setattr(npz_pixels, "_KEPT", 2)
    fresh = pickle.loads(pickle.dumps(made))
    assert all(np.array_equal(fresh(row), IMAGES[row]) for row in (14, 0, 13, 39, 15, 3))


def test_several_threads_get_their_own_rows(made):
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(made, range(40)))
    assert np.array_equal(np.stack(read), IMAGES)


def test_equal_images_and_no_others_have_equal_digests(tmp_path):
    images = np.stack([IMAGES[0], IMAGES[1], IMAGES[0]])
    np.savez(tmp_path / "a.npz", a=images)
    one, two, three = NpzContent(NpzPixels(tmp_path, "a.npz", (member_of(tmp_path / "a.npz", "a"),)))()
    assert one == three
    assert one != two


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 3), np.float32), np.zeros((2, 3, 3, 3, 1), np.uint8), np.zeros((2, 3, 3, 9), np.uint8)]
)
def test_what_is_no_8_bit_image_is_refused(tmp_path, array):
    np.savez(tmp_path / "a.npz", a=array)
    with pytest.raises(DataError, match=r"expected uint8, \(N, H, W\) or \(N, H, W, 3\)"):
        member_of(tmp_path / "a.npz", "a")


def test_a_missing_or_broken_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 1)))
    with pytest.raises(DataError, match="no readable array 'b'"):
        member_of(tmp_path / "a.npz", "b")
    with pytest.raises(DataError, match="no readable array 'b'"):
        read_labels(tmp_path / "a.npz", "b")
    with pytest.raises(DataError, match=r"expected whole numbers, \(N, L\)"):
        read_labels(tmp_path / "a.npz", "a")
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="download the file again"):
        member_of(tmp_path / "b.npz", "a")


def test_a_file_that_went_bad_after_its_header_was_read_is_refused(tmp_path):
    path: Path = tmp_path / "a.npz"
    np.savez_compressed(path, a=IMAGES)
    member = member_of(path, "a")
    data = bytearray(path.read_bytes())
    data[2000:2400] = bytes(400)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="is broken"):
        NpzContent(NpzPixels(tmp_path, "a.npz", (member,)))()


def test_an_array_that_ends_early_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=IMAGES[:2])
    longer = npz_pixels.Member("a", (3, *IMAGES.shape[1:]))
    with pytest.raises(DataError, match="a ends early"):
        NpzPixels(tmp_path, "a.npz", (longer,))(2)
