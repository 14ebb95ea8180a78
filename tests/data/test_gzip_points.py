"""Any stretch of a gzipped file."""

from __future__ import annotations

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tailscope.data import gzip_points
from tailscope.data.gzip_points import GzipPoints

RNG = np.random.default_rng(0)
# bytes that can be packed, and bytes that cannot
PLAIN = RNG.integers(0, 8, 400_000, dtype=np.uint8).tobytes() + RNG.bytes(300_000) + b"\0" * 300_000


@pytest.fixture(autouse=True)
def near(monkeypatch):
    monkeypatch.setattr(gzip_points, "_SPAN", 20_000)
    monkeypatch.setattr(gzip_points, "_PACKED", 1000)
    monkeypatch.setattr(gzip_points, "_UNPACKED", 3000)


@pytest.fixture
def listed(tmp_path):
    """Points of a gzipped file that was read through."""

    def make(packed: bytes) -> GzipPoints:
        (tmp_path / "a.gz").write_bytes(packed)
        points = GzipPoints(tmp_path / "a.gz")
        with (tmp_path / "a.gz").open("rb") as stream:
            reader = points.through(stream)
            parts = []
            while part := reader.read(777):
                parts.append(part)
        assert b"".join(parts) == PLAIN
        return points

    return make


STRETCHES = [(int(start), int(size)) for start, size in RNG.integers(0, [len(PLAIN), 9000], (60, 2))]


@pytest.mark.parametrize("most", [4, 400])
def test_any_stretch_in_any_order_is_as_in_the_unpacked_file(listed, monkeypatch, most):
    monkeypatch.setattr(gzip_points, "_POINTS", most)
    points = listed(gzip.compress(PLAIN))
    for start, size in [*STRETCHES, *sorted(STRETCHES), (0, len(PLAIN)), (len(PLAIN) - 5, 10), (len(PLAIN), 1)]:
        assert points.read(start, size) == PLAIN[start : start + size]


def test_the_number_of_points_is_bounded_and_they_reach_to_the_end(listed, monkeypatch):
    monkeypatch.setattr(gzip_points, "_POINTS", 6)
    kept = listed(gzip.compress(PLAIN))._points.kept
    assert 3 <= len(kept) <= 6
    assert kept[0].unpacked == 0
    assert kept[-1].unpacked > len(PLAIN) / 2


def test_streams_behind_each_other_and_padding_are_one_file(listed):
    packed = gzip.compress(PLAIN[:500_000]) + gzip.compress(b"") + gzip.compress(PLAIN[500_000:]) + b"\0" * 2000
    points = listed(packed)
    for start, size in STRETCHES:
        assert points.read(start, size) == PLAIN[start : start + size]


def test_threads_do_not_disturb_each_other(listed):
    points = listed(gzip.compress(PLAIN))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda stretch: points.read(*stretch), STRETCHES * 4))
    assert found == [PLAIN[start : start + size] for start, size in STRETCHES * 4]


def test_reading_on_unpacks_nothing_twice(listed, monkeypatch):
    points = listed(gzip.compress(PLAIN))
    points.read(100_000, 1000)
    starts = []
    nearest = points._nearest
    monkeypatch.setattr(points, "_nearest", lambda start: starts.append(nearest(start)) or starts[-1])
    points.read(101_000, 1000)
    points.read(103_000, 10)
    assert [point.unpacked for point in starts] == [101_000, 102_000]


def test_a_file_that_ends_early_or_is_broken_is_an_error(listed):
    packed = gzip.compress(PLAIN)
    with pytest.raises(EOFError, match="ends early"):
        listed(packed[: len(packed) // 2])
    with pytest.raises(zlib.error):
        listed(packed[:-8] + b"\1\2\3\4" + packed[-4:])
    with pytest.raises(zlib.error):
        listed(packed + b"no padding")
