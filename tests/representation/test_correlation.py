from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.correlation import activation_correlation


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def by_numpy(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = [np.moveaxis(values, 1, 0).reshape(values.shape[1], -1) for values in (a, b)]
    return np.corrcoef(*flat)[: a.shape[1], a.shape[1] :]


def test_it_is_pearsons_correlation_over_images_and_positions() -> None:
    a = normal(15, 4, 2, 3)
    b = normal(15, 5, 2, 3, seed=1) + a[:, :1]
    np.testing.assert_allclose(activation_correlation(a, b), by_numpy(a, b), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        activation_correlation(a[:, :, 0, 0], b[:, :, 0, 0]), by_numpy(a[:, :, :1, :1], b[:, :, :1, :1]), atol=1e-12
    )


@pytest.mark.parametrize("chunk", [1, 2, 7, 15, 100])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_chunks_change_nothing_even_far_from_zero(chunk: int, offset: float) -> None:
    a, b = normal(15, 4, 2, 3), normal(15, 4, 2, 3, seed=1) + normal(15, 4, 2, 3)
    found = activation_correlation(a + offset, b - offset, chunk_images=chunk)
    np.testing.assert_allclose(found, by_numpy(a, b), rtol=0, atol=1e-9)


def test_the_order_of_images_changes_nothing() -> None:
    a, b, order = normal(15, 4, 2, 3), normal(15, 4, 2, 3, seed=1), np.random.default_rng(2).permutation(15)
    found = activation_correlation(a[order], b[order], chunk_images=4)
    np.testing.assert_allclose(found, activation_correlation(a, b), rtol=0, atol=1e-12)


def test_float32_is_summed_in_float64() -> None:
    a, b = (normal(40, 3, 4, 4, seed=seed).astype(np.float32) + 100 for seed in (0, 1))
    expected = by_numpy(a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(activation_correlation(a, b, chunk_images=3), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_a_constant_unit_correlates_with_nothing(chunk: int) -> None:
    a, b = normal(10, 3, 2, 2), normal(10, 3, 2, 2, seed=1)
    a[:, 1], b[:, 0] = 0.1, 0.0
    found = activation_correlation(a, b, chunk_images=chunk)
    assert (found[1] == 0).all()
    assert (found[:, 0] == 0).all()
    assert (found[[0, 2]][:, 1:] != 0).all()


def test_one_image_without_positions_makes_every_unit_constant() -> None:
    assert (activation_correlation(normal(1, 3), normal(1, 2)) == 0).all()


def test_pairs_choose_and_reorder_images() -> None:
    a, b = normal(12, 3, 2, 2), normal(9, 3, 2, 2, seed=1)
    pairs = np.array([[0, 8], [3, 2], [11, 2], [5, 5]])
    found = activation_correlation(a, b, pairs, chunk_images=3)
    np.testing.assert_allclose(found, by_numpy(a[pairs[:, 0]], b[pairs[:, 1]]), rtol=0, atol=1e-12)


def test_memory_maps_are_read_but_not_written(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", normal(10, 3, 2, 2))
    stored = np.load(tmp_path / "a.npy", mmap_mode="r")
    found = activation_correlation(stored, stored, chunk_images=4)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-12)


def test_arrays_that_are_not_written_to() -> None:
    a = normal(10, 3)
    before = a.copy()
    activation_correlation(a, a)
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize(
    ("a", "b"), [((5, 2), (6, 2)), ((5, 2, 2, 2), (5, 2, 3, 2)), ((5,), (5,)), ((5, 2), (5, 2, 1, 1))]
)
def test_other_images_or_positions_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="same images and positions"):
        activation_correlation(np.zeros(a), np.zeros(b))


@pytest.mark.parametrize("pairs", [np.zeros((0, 2), int), np.array([[0, 5]]), np.array([[-1, 0]]), np.array([0, 1])])
def test_pairs_that_name_no_images_are_refused(pairs: NDArray[np.int64]) -> None:
    with pytest.raises(InputError, match="`pairs` must be"):
        activation_correlation(normal(5, 2), normal(5, 2), pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_refused(value: float) -> None:
    a = normal(5, 2)
    a[4, 1] = value
    with pytest.raises(InputError, match="must be finite"):
        activation_correlation(a, normal(5, 2), chunk_images=2)
