from __future__ import annotations

import numpy as np
import pytest

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection.cells import cell_grid, cell_sums

PAIRS = [((7, 7), (64, 64)), ((3, 5), (8, 4)), ((1, 4), (1, 4)), ((28, 8), (224, 30)), ((8, 6), (3, 2))]


@pytest.mark.parametrize(("grid", "size"), PAIRS)
def test_cells_say_where_core_takes_its_values_from(grid: tuple[int, int], size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).standard_normal(grid).astype(np.float32)
    cells = cell_grid(grid, size)
    padded = np.pad(maps, ((0, 1), (0, 1)), mode="edge").astype(np.float64)
    row = np.repeat(np.arange(grid[0]), np.diff(cells.row_start))
    column = np.repeat(np.arange(grid[1]), np.diff(cells.column_start))
    y, x = cells.row_share[:, None], cells.column_share[None, :]
    at = padded[row][:, column] * (1 - y) * (1 - x) + padded[row + 1][:, column] * y * (1 - x)
    at += padded[row][:, column + 1] * (1 - y) * x + padded[row + 1][:, column + 1] * y * x
    np.testing.assert_allclose(at, resize_bilinear(maps, size), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("grid", "size"), PAIRS)
def test_cell_sums_count_every_pixel_once(grid: tuple[int, int], size: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).random((3, *size)) < 0.4
    cells = cell_grid(grid, size)
    sums = cell_sums(masks, cells)
    assert sums.shape == (3, *grid)
    for r in range(grid[0]):
        for c in range(grid[1]):
            rows = slice(cells.row_start[r], cells.row_start[r + 1])
            columns = slice(cells.column_start[c], cells.column_start[c + 1])
            assert sums[:, r, c].tolist() == masks[:, rows, columns].sum(axis=(1, 2)).tolist()


def test_a_side_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="sides of 1 or more"):
        cell_grid((0, 3), (4, 4))
