from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.cka import CONSTANT, centred_grams, cka_matrix, hsic1, minibatch_cka, minibatches


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def textbook_hsic1(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Song et al. 2012: sums over distinct indices of K_ij L_ij + K_ij L_qr - 2 K_ij L_iq, each a mean."""
    k, m, n = a @ a.T, b @ b.T, len(a)
    first = np.mean([k[i, j] * m[i, j] for i, j in permutations(range(n), 2)])
    second = np.mean([k[i, j] * m[q, r] for i, j, q, r in permutations(range(n), 4)])
    third = np.mean([k[i, j] * m[i, q] for i, j, q in permutations(range(n), 3)])
    return float(first + second - 2 * third)


def closed_form_hsic1(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Nguyen, Raghu and Kornblith 2021, eq. 3, written out."""
    k, m, n, one = a @ a.T, b @ b.T, len(a), np.ones(len(a))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return float((np.trace(k @ m) + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3)))


def biased_cka(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b))


@pytest.mark.parametrize("seed", range(4))
def test_hsic1_is_the_sum_over_distinct_indices(seed: int) -> None:
    a, b = normal(6, 3, seed=seed) + 2, normal(6, 5, seed=seed + 10) - 1
    assert hsic1(a, b) == pytest.approx(textbook_hsic1(a, b), rel=1e-9, abs=1e-12)


def test_one_minibatch_of_all_images_is_the_closed_form() -> None:
    a, b = normal(20, 7), normal(20, 4, seed=1) + normal(20, 7)[:, :4]
    expected = closed_form_hsic1(a, b) / np.sqrt(closed_form_hsic1(a, a) * closed_form_hsic1(b, b))
    assert minibatch_cka(a, b, np.arange(20)[None]).value == pytest.approx(expected, rel=1e-10)


def test_numerator_and_denominators_are_means_over_minibatches() -> None:
    a, b, batches = normal(12, 3), normal(12, 3, seed=1), np.arange(12).reshape(2, 6)
    batches = batches[:, ::-1]
    means = [np.mean([closed_form_hsic1(x[rows], y[rows]) for rows in batches]) for x, y in ((a, b), (a, a), (b, b))]
    assert minibatch_cka(a, b, batches).value == pytest.approx(means[0] / np.sqrt(means[1] * means[2]), rel=1e-10)


def test_hsic1_of_features_is_on_average_the_squared_cross_covariance() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1500):
        a = rng.normal(size=(6, 1))
        found.append(hsic1(a, 0.8 * a + 0.6 * rng.normal(size=(6, 1))))
    assert np.mean(found) == pytest.approx(0.64, abs=4 * np.std(found) / 1500**0.5)


def test_independent_features_have_no_similarity_on_average_where_the_biased_form_sees_one() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(8, 30)), rng.normal(size=(8, 30))) for _ in range(800)]
    unbiased = [minibatch_cka(a, b, np.arange(8)[None]).value for a, b in pairs]
    assert abs(np.mean(unbiased)) < 4 * np.std(unbiased) / 800**0.5
    assert np.std(unbiased) / 800**0.5 < 0.02
    assert np.mean([biased_cka(a, b) for a, b in pairs]) > 0.5


def test_orthogonal_transforms_shifts_and_isotropic_scaling_change_nothing() -> None:
    a, b, batches = normal(24, 5), normal(24, 5, seed=1) + normal(24, 5), np.arange(24).reshape(3, 8)
    rotation = np.linalg.qr(normal(5, 5, seed=2))[0]
    expected = minibatch_cka(a, b, batches).value
    assert minibatch_cka(-1e-3 * a @ rotation + 7, 1e4 * b, batches).value == pytest.approx(expected, rel=1e-9)
    assert minibatch_cka(a, a @ rotation, batches).value == pytest.approx(1, rel=1e-12)
    assert 0.2 < expected < 0.9


def test_stretching_one_axis_does_change_it() -> None:
    a, batches = normal(24, 5), np.arange(24).reshape(3, 8)
    assert minibatch_cka(a, a * [10, 1, 1, 1, 1], batches).value < 0.9


def test_a_large_common_offset_costs_no_digits() -> None:
    a, b, batches = normal(16, 4), normal(16, 4, seed=1) + normal(16, 4), np.arange(16).reshape(2, 8)
    expected = minibatch_cka(a, b, batches).value
    assert minibatch_cka(a + 1e6, b, batches).value == pytest.approx(expected, rel=1e-8)


def test_the_matrix_holds_every_pair_of_runs_and_layers() -> None:
    batches = np.arange(24).reshape(3, 8)
    sets = [normal(24, 4 + seed, seed=seed) + normal(24, 1, seed=9) for seed in range(4)]
    found = cka_matrix([centred_grams(one, batches) for one in sets])
    expected = [[minibatch_cka(a, b, batches).value for b in sets] for a in sets]
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    assert found.images == 24
    assert found.reasons == ("",) * 4


def test_maps_are_flattened_and_wide_features_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, batches = normal(10, 3, 2, 4), np.arange(10).reshape(2, 5)
    whole = centred_grams(maps, batches)
    np.testing.assert_array_equal(whole, centred_grams(maps.reshape(10, 24), batches))
    monkeypatch.setattr("tailscope.representation.cka._BLOCK_BYTES", 8 * 5 * 7)
    np.testing.assert_allclose(centred_grams(maps, batches), whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("constant", [np.full((8, 3), 0.1), np.eye(8)[:, :1], np.zeros((8, 1))])
def test_features_that_tell_no_images_apart_have_no_similarity_but_a_reason(constant: NDArray[np.float64]) -> None:
    found = minibatch_cka(constant, normal(8, 3), np.arange(8)[None])
    assert np.isnan(found.value)
    assert found.reason == CONSTANT
    assert found.n == 8


def test_a_degenerate_minibatch_counts_as_0_beside_others() -> None:
    a, b = normal(12, 3), normal(12, 3, seed=1)
    a[:6] = 0.3
    batches = np.arange(12).reshape(2, 6)
    both = closed_form_hsic1(b[:6], b[:6]) + closed_form_hsic1(b[6:], b[6:])
    expected = closed_form_hsic1(a[6:], b[6:]) / np.sqrt(closed_form_hsic1(a[6:], a[6:]) * both)
    assert minibatch_cka(a, b, batches).value == pytest.approx(expected, rel=1e-9)


def test_the_order_of_files_changes_nothing() -> None:
    ids = np.array([f"image{number}" for number in range(23)])
    patients = np.arange(23) // 2
    a, b, shuffled = normal(23, 4), normal(23, 3, seed=1), np.random.default_rng(3).permutation(23)
    drawn, again = minibatches(ids, patients, batch=5), minibatches(ids[shuffled], patients[shuffled], batch=5)
    np.testing.assert_array_equal(ids[drawn], ids[shuffled][again])
    assert minibatch_cka(a, b, drawn).value == minibatch_cka(a[shuffled], b[shuffled], again).value


def test_no_patient_stands_twice_and_every_image_can_be_drawn() -> None:
    patients = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5])
    drawn = [minibatches(np.arange(9), patients, batch=6, seed=seed) for seed in range(60)]
    assert all(sorted(patients[rows.ravel()]) == [0, 1, 2, 3, 4, 5] for rows in drawn)
    assert set(np.concatenate(drawn).ravel().tolist()) == set(range(9))


def test_the_last_short_minibatch_is_left_out() -> None:
    assert minibatches(np.arange(19), batch=5).shape == (3, 5)
    assert minibatches(np.arange(19), batch=100).shape == (1, 19)


def test_another_seed_draws_other_minibatches() -> None:
    assert (minibatches(np.arange(19), batch=5) != minibatches(np.arange(19), batch=5, seed=1)).any()


def test_two_images_of_a_patient_would_look_like_similarity() -> None:
    rng, doubled, single = np.random.default_rng(0), [], []
    for _ in range(300):
        a, b = rng.normal(size=(4, 20)), rng.normal(size=(4, 20))
        doubled.append(minibatch_cka(np.repeat(a, 2, axis=0), np.repeat(b, 2, axis=0), np.arange(8)[None]).value)
        single.append(minibatch_cka(a, b, np.arange(4)[None]).value)
    assert np.mean(doubled) > 0.5
    assert abs(np.mean(single)) < 0.2


@pytest.mark.parametrize(("count", "batch"), [(3, 8), (10, 3)])
def test_fewer_than_four_images_are_refused(count: int, batch: int) -> None:
    with pytest.raises(InputError, match="must be 4 or more"):
        minibatches(np.arange(count), batch=batch)
    with pytest.raises(InputError, match="n 4 or more"):
        centred_grams(normal(9, 2), np.arange(9).reshape(3, 3))


def test_ids_that_do_not_name_images_are_refused() -> None:
    with pytest.raises(InputError, match="4 different ids"):
        minibatches(["a", "b", "c", "d", "d"])
    with pytest.raises(InputError, match="`patients`"):
        minibatches(["a", "b", "c", "d"], [1, 2])


def test_features_that_do_not_fit_are_refused() -> None:
    rows = np.arange(8)[None]
    with pytest.raises(InputError, match="a row for each entry"):
        centred_grams(normal(7, 2), rows)
    with pytest.raises(InputError, match="same images"):
        minibatch_cka(normal(8, 2), normal(9, 2), rows)
    with pytest.raises(InputError, match="one shape"):
        cka_matrix([np.zeros((2, 6)), np.zeros((1, 6))])
    with pytest.raises(InputError, match="one shape"):
        cka_matrix([])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    features = normal(8, 2)
    features[5, 1] = value
    with pytest.raises(InputError, match="must be finite"):
        centred_grams(features, np.arange(8)[None])
