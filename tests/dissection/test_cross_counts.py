from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailscope.core import resize_bilinear
from tailscope.dissection._count_kernels import count_above
from tailscope.dissection.cells import cell_grid, cell_sums
from tailscope.dissection.cross_counts import cross_counts, pool_over, row_prefixes


def draw(
    kind: str, grid: tuple[int, int], size: tuple[int, int], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((4, 5, *grid)).astype(np.float32)
    if kind == "integers":  # corners that equal the threshold, and plateaus on both sides of it
        maps = rng.integers(-2, 3, maps.shape).astype(np.float32)
    if kind == "relu":
        maps = np.maximum(maps, 0)
    if kind == "nearly flat":  # neighbouring float32: where a row crosses the threshold is up to rounding
        maps = np.nextafter(np.float32(1), np.float32(maps > 0) * 2).astype(np.float32)
    if kind == "wide":  # the small value drowns in the rounding of the large one
        maps *= np.float32(10.0) ** rng.integers(-30, 30, maps.shape)
    if kind == "denormal":
        maps = (maps * 1e-43).astype(np.float32)
    thresholds = np.array([0.0, 0.5, 1.0, maps[0, 3, 0, 0], maps.mean()], dtype=np.float32)
    return maps, thresholds, rng.random((3, *size)) < 0.4


def pixel_by_pixel(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], bank: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cells = cell_grid((maps.shape[2], maps.shape[3]), (bank.shape[1], bank.shape[2]))
    table = np.tile(np.arange(len(bank)), (len(maps), 1))
    return count_above(maps, thresholds, (bank, cell_sums(bank, cells), table), cells)


KINDS = ["signed", "integers", "relu", "nearly flat", "wide", "denormal"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [((7, 7), (32, 32)), ((1, 1), (9, 5)), ((3, 5), (17, 20)), ((16, 16), (16, 16)),
                                   ((9, 8), (4, 5)), ((2, 3), (40, 300))])  # fmt: skip
def test_every_pair_has_the_pixels_that_counting_one_by_one_finds(
    kind: str, sizes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    maps, thresholds, bank = draw(kind, *sizes)
    found = cross_counts(maps, thresholds, row_prefixes(bank), cell_grid(*sizes))
    activated, inside = pixel_by_pixel(maps, thresholds, bank)
    assert found.activated.tolist() == activated.tolist()
    assert found.inside.tolist() == inside.tolist()


def test_pairs_have_the_pixels_of_the_upsampled_maps() -> None:
    maps, thresholds, bank = draw("signed", (7, 7), (32, 32))
    active = resize_bilinear(maps, (32, 32)) > thresholds[:, None, None]
    expected = np.einsum("nuyx,pyx->nup", active.astype(np.int64), bank.astype(np.int64))
    assert cross_counts(maps, thresholds, row_prefixes(bank), cell_grid((7, 7), (32, 32))).inside.tolist() == (
        expected.tolist()
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(-4, 4, width=32), min_size=6, max_size=6),
    st.sampled_from([0.0, 1.0, -0.5]),
    st.integers(1, 12),
    st.integers(1, 40),
)
def test_no_map_is_found_whose_runs_differ(values: list[float], threshold: float, height: int, width: int) -> None:
    maps = np.array(values, dtype=np.float32).reshape(1, 1, 2, 3)
    bank = np.random.default_rng(height * width).random((2, height, width)) < 0.5
    level = np.array([threshold], dtype=np.float32)
    found = cross_counts(maps, level, row_prefixes(bank), cell_grid((2, 3), (height, width)))
    activated, inside = pixel_by_pixel(maps, level, bank)
    assert (found.activated.tolist(), found.inside.tolist()) == (activated.tolist(), inside.tolist())


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, thresholds, bank = draw("signed", (7, 7), (32, 32))
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", threads)
        found.append(cross_counts(maps, thresholds, row_prefixes(bank), cell_grid((7, 7), (32, 32))))
    assert found[0].activated.tolist() == found[1].activated.tolist()
    assert found[0].inside.tolist() == found[1].inside.tolist()


def test_minus_infinity_activates_every_pixel() -> None:
    maps, _, bank = draw("signed", (3, 3), (8, 8))
    found = cross_counts(maps, np.full(5, -np.inf, dtype=np.float32), row_prefixes(bank), cell_grid((3, 3), (8, 8)))
    assert set(found.activated.ravel()) == {64}
    assert (found.inside == bank.sum(axis=(1, 2))).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_pooling_sums_each_masks_pixels_at_its_holder(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", threads)
    rng = np.random.default_rng(0)
    inside = rng.integers(0, 50, (6, 4, 3)).astype(np.int32)
    holders = np.array([rng.permutation(6)[:3] for _ in range(20)])
    pooled = np.ones((4, 20), dtype=np.int64)
    pool_over(inside, holders, pooled)
    expected = [[1 + sum(int(inside[row[p], u, p]) for p in range(3)) for row in holders] for u in range(4)]
    assert pooled.tolist() == expected
