from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tailscope.alignment import METRICS
from tailscope.core import InputError, resize_bilinear


@pytest.mark.parametrize("name", METRICS.names())
def test_the_oracles_come_close_to_the_best_of_all_binary_maps_on_a_tiny_grid(name):
    mask = np.zeros((6, 6), dtype=bool)
    mask[1:4, 0:2] = True
    metric = METRICS.build(name)
    binary = np.array(list(product((0.0, 1.0), repeat=4))).reshape(-1, 2, 2)[1:]
    best = metric(resize_bilinear(binary, (6, 6)), mask).max()
    assert metric.attainable(mask, (2, 2)) >= 0.9 * best


def test_the_best_single_cell_attains_the_mass_of_its_tent():
    mask = np.zeros((1, 4), dtype=bool)
    mask[0, :2] = True
    # The tent of the left of two cells is 1, 3/4, 1/4, 0: 7/8 of its mass lies in the left half.
    assert METRICS.build("mass_inside").attainable(mask, (1, 2)) == pytest.approx(7 / 8)


def test_a_grid_finer_than_the_frame_is_scored():
    mask = np.array([[True, False]])
    assert METRICS.build("pointing_game").attainable(mask, (4, 8)) == 1


def test_a_grid_without_cells_is_refused():
    with pytest.raises(InputError, match=r"one \(H, W\) mask and a grid of 1 cell or more"):
        METRICS.build("mass_inside").attainable(np.ones((2, 2), dtype=bool), (0, 2))
