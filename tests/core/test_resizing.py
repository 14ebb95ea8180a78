from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tailscope.core import resize_bilinear


@pytest.mark.parametrize("target", [(5, 9), (64, 48), (3, 2), (1, 1), (7, 7)])
def test_it_agrees_with_torch(target):
    maps = np.random.default_rng(0).normal(size=(3, 2, 7, 7)).astype(np.float32)
    oracle = torch.nn.functional.interpolate(torch.from_numpy(maps), target, mode="bilinear", align_corners=False)
    assert np.allclose(resize_bilinear(maps, target), oracle.numpy(), atol=1e-6)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40))
def test_no_maximum_grows_and_no_minimum_shrinks(h, w, height, width):
    maps = np.random.default_rng(h * w).normal(size=(h, w)).astype(np.float32)
    resized = resize_bilinear(maps, (height, width))
    assert resized.max() <= maps.max() + 1e-6
    assert resized.min() >= maps.min() - 1e-6


def test_a_constant_stays_constant():
    assert np.allclose(resize_bilinear(np.full((3, 3), 2.0), (50, 31)), 2.0)


def test_the_same_size_is_handed_through():
    maps = np.ones((2, 4, 4), np.float32)
    assert resize_bilinear(maps, (4, 4)) is maps
