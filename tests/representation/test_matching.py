from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.representation.correlation import activation_correlation
from tailscope.representation.matching import MatchingNull, UnitMatch, match_units, matching_null


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def even_and_odd(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = np.arange(count)[:, None].repeat(2, axis=1)
    return rows[::2], rows[1::2]


def test_a_permuted_network_is_recovered_exactly() -> None:
    a, order = normal(40, 12, 3, 3), np.random.default_rng(1).permutation(12)
    match = match_units(activation_correlation(a, 2 * a[:, order] + 1))
    np.testing.assert_array_equal(order[match.partner], np.arange(12))
    np.testing.assert_allclose(match.correlation, 1, rtol=1e-12)


def test_a_noisy_permuted_copy_is_recovered_with_its_true_correlation() -> None:
    a, order = normal(200, 12, 2, 2), np.random.default_rng(1).permutation(12)
    noisy = 0.6 * a[:, order] + 0.8 * normal(200, 12, 2, 2, seed=2)
    match = match_units(activation_correlation(a, noisy))
    np.testing.assert_array_equal(order[match.partner], np.arange(12))
    np.testing.assert_allclose(match.correlation, 0.6, atol=0.1)


def test_two_halves_agree_on_the_pairs() -> None:
    a, order = normal(200, 12, 2, 2), np.random.default_rng(1).permutation(12)
    noisy = 0.6 * a[:, order] + 0.8 * normal(200, 12, 2, 2, seed=2)
    matches = [match_units(activation_correlation(a, noisy, half)) for half in even_and_odd(200)]
    np.testing.assert_array_equal(matches[0].partner, matches[1].partner)


def test_pairs_of_unrelated_units_correlate_on_their_own_half_only() -> None:
    a, b = normal(60, 30), normal(60, 30, seed=1)
    halves = [activation_correlation(a, b, half) for half in even_and_odd(60)]
    match = match_units(halves[0])
    held_out = match.scored_on(halves[1])
    assert match.correlation.mean() > 0.3
    assert abs(held_out.correlation.mean()) < 3 / np.sqrt(30 * 30)
    np.testing.assert_array_equal(held_out.partner, match.partner)


def test_no_other_assignment_has_a_greater_sum() -> None:
    correlation = np.random.default_rng(0).uniform(-1, 1, (6, 6))
    best = max(sum(correlation[unit, other] for unit, other in enumerate(order)) for order in permutations(range(6)))
    match = match_units(correlation)
    assert match.correlation.sum() == pytest.approx(best)
    assert sorted(match.partner) == list(range(6))


def test_dead_units_stay_unmatched() -> None:
    a, order = normal(40, 6, 2, 2), np.array([3, 1, 5, 0, 4, 2])
    a[:, 4] = 0.0
    b = a[:, order].copy()
    b[:, 1] = 7.0  # the copy of unit 1
    match = match_units(activation_correlation(a, b))
    assert match.partner[[0, 2, 3, 5]].tolist() == [3, 5, 0, 2]
    assert match.partner[[1, 4]].tolist() == [-1, -1]
    assert np.isnan(match.correlation[[1, 4]]).all()
    assert match.matched.tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (5, 3)])
def test_a_wider_network_keeps_units_without_partner(rows: int, columns: int) -> None:
    correlation = np.random.default_rng(0).uniform(0.1, 1, (rows, columns))
    match = match_units(correlation)
    assert match.matched.sum() == 3
    assert len(set(match.partner[match.matched].tolist())) == 3


def test_a_network_of_dead_units_matches_nothing() -> None:
    match = match_units(np.zeros((3, 2)))
    assert match.partner.tolist() == [-1, -1, -1]


def test_only_drops_the_other_pairs() -> None:
    match = match_units(np.array([[0.1, 0.9, 0.0], [0.8, 0.7, 0.0], [0.0, 0.0, 0.0]]))
    kept = match.only(np.array([False, True, True]))
    assert kept.partner.tolist() == [-1, 0, -1]
    np.testing.assert_array_equal(kept.correlation, [np.nan, 0.8, np.nan])


def test_unmatched_units_stay_so_on_other_images() -> None:
    match = UnitMatch(np.array([1, -1]), np.array([0.5, np.nan]))
    np.testing.assert_array_equal(match.scored_on(np.array([[0.1, 0.2], [0.3, 0.4]])).correlation, [0.2, np.nan])
    with pytest.raises(InputError, match="all partners"):
        match.scored_on(np.zeros((2, 1)))


def test_p_counts_the_draws_whose_best_pair_is_as_good() -> None:
    null = MatchingNull(np.array([0.5, 0.4, 0.3, 0.2]), np.zeros(4))
    match = UnitMatch(np.array([0, 1, 2, -1]), np.array([0.6, 0.4, -0.1, np.nan]))
    np.testing.assert_array_equal(null.p(match), [0.2, 0.6, 1.0, np.nan])


def test_related_units_are_above_chance_and_unrelated_ones_are_not() -> None:
    a, ids = normal(80, 10), np.arange(80)
    b = np.hstack([a[:, :5] + 0.5 * normal(80, 5, seed=1), normal(80, 5, seed=2)])
    p = matching_null(a, b, ids).p(match_units(activation_correlation(a, b)))
    assert (p[:5] == 0.05).all()
    assert (p[5:] > 0.05).all()


def test_unrelated_networks_rarely_have_any_unit_above_chance() -> None:
    found = []
    for seed in range(60):
        a, b = normal(20, 4, seed=2 * seed), normal(20, 4, seed=2 * seed + 1)
        null = matching_null(a, b, np.arange(20), seed=seed)
        found.append((null.p(match_units(activation_correlation(a, b))) <= 0.05).any())
    assert np.mean(found) <= 0.14  # 0.05 + 3 standard errors


def test_images_of_a_patient_do_not_count_as_independent() -> None:
    patients, ids = np.repeat(np.arange(8), 5), np.arange(40)
    by_patient, by_image = [], []
    for seed in range(120):
        a, b = (normal(8, 3, seed=2 * seed + side)[patients] for side in (0, 1))
        match = match_units(activation_correlation(a, b))
        by_patient.append(matching_null(a, b, ids, patients, seed=seed).p(match).min() <= 0.05)
        if seed < 20:
            by_image.append(matching_null(a, b, ids, seed=seed).p(match).min() <= 0.05)
    assert np.mean(by_patient) <= 0.11  # 0.05 + 3 standard errors
    assert np.mean(by_image) > 0.6


def test_a_shared_place_alone_is_not_above_chance() -> None:
    place = np.zeros((1, 6, 3, 3))
    place[0, np.arange(6), np.arange(6) // 3, np.arange(6) % 3] = 5
    found = []
    for seed in range(30):
        a, b = (normal(15, 6, 3, 3, seed=2 * seed + side) + place for side in (0, 1))
        match = match_units(activation_correlation(a, b))
        assert match.correlation.min() > 0.5
        found.append((matching_null(a, b, np.arange(15), seed=seed).p(match) <= 0.05).any())
    assert np.mean(found) <= 0.17  # 0.05 + 3 standard errors


def test_the_order_of_files_does_not_change_the_null() -> None:
    a, b = normal(20, 4), normal(20, 4, seed=1)
    ids, patients = np.array([f"i{number}" for number in range(20)]), np.arange(20) // 3
    order = np.random.default_rng(0).permutation(20)
    expected = matching_null(a, b, ids, patients, draws=3)
    found = matching_null(a[order], b[order], ids[order], patients[order], draws=3)
    np.testing.assert_allclose(found.highest, expected.highest, rtol=1e-12)
    assert len(set(expected.highest.tolist())) == 3


def test_a_null_without_live_units_is_nan() -> None:
    assert np.isnan(matching_null(np.zeros((5, 2)), normal(5, 2), np.arange(5), draws=2).highest).all()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="finite matrix"):
        match_units(np.array([[np.nan]]))
    with pytest.raises(InputError, match="`draws` must be 1 or more"):
        matching_null(normal(5, 2), normal(5, 2), np.arange(5), draws=0)
    with pytest.raises(InputError, match="unique"):
        matching_null(normal(5, 2), normal(5, 2), np.zeros(5))
