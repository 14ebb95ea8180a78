"""Scenes that the tests of alignment share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def maps(rng: np.random.Generator) -> NDArray[np.float64]:
    """(5, 6, 7), with zeros that tie."""
    return rng.normal(size=(5, 6, 7)).clip(min=-0.2)


@pytest.fixture
def masks(rng: np.random.Generator) -> NDArray[np.bool_]:
    """(5, 6, 7), none of them empty or full."""
    drawn = rng.random((5, 6, 7)) < 0.3
    drawn[:, 0, 0], drawn[:, 5, 6] = True, False
    return drawn
