from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from tailscope.core import InputError
from tailscope.stats import sign_flip_p, swap_p


def mean_swap(differences):
    """The swap form of a mean: exchanging turns the sign."""
    return lambda swapped: np.where(swapped, -differences, differences).mean(axis=1)


def ranking_swap(metric, control, treatment, labels):
    """A rank metric, exchange by exchange."""

    def difference(swapped):
        pairs = [(np.where(row, control, treatment), np.where(row, treatment, control)) for row in swapped]
        return np.array([metric(labels, ours) - metric(labels, theirs) for ours, theirs in pairs])

    return difference


def test_few_patients_are_enumerated():
    values = np.random.default_rng(0).normal(0.4, 1, 8)
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=8)])
    assert sign_flip_p(values, 999, seed=0) == (np.abs(sums) >= abs(values.sum()) - 1e-12).mean()


def test_the_enumerated_p_is_that_of_scipys_paired_permutation_test():
    random = np.random.default_rng(1)
    control, treatment = random.normal(0, 1, 9), random.normal(0.5, 1, 9)
    expected = stats.permutation_test(
        (treatment, control), lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=10_000
    )
    assert sign_flip_p(treatment - control, 600, seed=0) == pytest.approx(expected.pvalue)


def test_over_all_signs_of_the_data_the_enumerated_p_is_uniform():
    sizes = np.array([1.0, 2.1, 4.3, 8.7, 17.9])  # no two sums alike
    found = sorted(sign_flip_p(np.array(signs) * sizes, 99, seed=0) for signs in product((-1, 1), repeat=5))
    np.testing.assert_allclose(found, np.repeat(np.arange(1, 17) / 16, 2))


def test_random_signs_come_near_the_enumerated_p_and_are_never_zero():
    values = np.random.default_rng(2).normal(0.5, 1, 12)
    exact = sign_flip_p(values, 5000, seed=0)
    near = sign_flip_p(values, 4000, seed=0)
    assert near != exact
    assert near == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000))
    assert sign_flip_p(np.full(60, 1.0), 99, seed=0) == 1 / 100


@pytest.mark.parametrize("patients", [6, 40])
def test_neither_the_sign_nor_the_order_nor_missing_patients_change_p(patients):
    values = np.round(np.random.default_rng(3).normal(0.2, 1, patients), 1)
    first = sign_flip_p(values, 500, seed=4)
    assert 0 < first < 1
    assert sign_flip_p(-values, 500, seed=4) == first
    assert sign_flip_p(values[::-1], 500, seed=4) == first
    assert sign_flip_p(np.append(values, np.nan), 500, seed=4) == first


def test_the_seed_decides_which_signs_are_drawn():
    values = np.random.default_rng(3).normal(0.1, 1, 40)
    assert sign_flip_p(values, 500, seed=1) == sign_flip_p(values, 500, seed=1) != sign_flip_p(values, 500, seed=2)


def test_signs_that_are_as_many_as_the_resamples_are_still_all_tried():
    # 2⁴ = 16 signs and 16 resamples: 2/16, not 3/17
    assert sign_flip_p([1.0, 2.0, 3.0, 4.0], 16, seed=0) == 2 / 16


def test_no_difference_anywhere_gives_one_and_no_patient_none():
    assert sign_flip_p(np.zeros(50), 99, seed=0) == 1.0
    assert sign_flip_p(np.zeros(3), 99, seed=0) == 1.0
    assert np.isnan(sign_flip_p([np.nan], 99, seed=0))


def test_the_swap_form_of_a_mean_is_the_sign_flip_test():
    values = np.random.default_rng(5).normal(0.5, 1, 9)
    assert swap_p(mean_swap(values), np.arange(9), 600, seed=0) == sign_flip_p(values, 600, seed=0)


def test_all_images_of_a_patient_are_exchanged_together():
    seen = []

    def watched(swapped):
        seen.append(swapped)
        return mean_swap(np.arange(6.0))(swapped)

    swap_p(watched, np.array(["b", "a", "b", "c", "c", "a"]), 3, seed=0)
    swapped = np.concatenate(seen)
    assert (swapped[:, 0] == swapped[:, 2]).all()
    assert (swapped[:, 1] == swapped[:, 5]).all()
    assert len(np.unique(swapped, axis=0)) > 1


@pytest.mark.parametrize("metric", [roc_auc_score, average_precision_score])
def test_the_swap_test_of_a_rank_metric_is_that_of_all_exchanges(metric):
    random = np.random.default_rng(6)
    patients = np.repeat(np.arange(6), 3)
    labels = np.tile([1, 0, 0], 6)
    control = random.normal(size=18)
    treatment = control + labels + random.normal(0, 0.5, 18)
    difference = ranking_swap(metric, control, treatment, labels)
    found = [float(difference(np.array(row)[patients][None])[0]) for row in product((False, True), repeat=6)]
    expected = (np.abs(found) >= abs(found[0]) - 1e-12).mean()
    assert swap_p(difference, patients, 63, seed=0) == expected < 1


def test_the_swap_test_is_uniform_where_the_arms_are_exchangeable():
    random = np.random.default_rng(7)
    patients, labels = np.repeat(np.arange(20), 2), np.tile([1.0, 0.0], 20)
    found = []
    for _ in range(300):
        shared = np.repeat(random.normal(size=20), 2) + 0.7 * labels
        control, treatment = shared + random.normal(size=(2, 40))

        def difference(swapped, control=control, treatment=treatment):
            ours, theirs = (
                np.where(swapped, *pair)[..., None] for pair in ((control, treatment), (treatment, control))
            )
            wins = [(s[:, ::2] > s[:, 1::2].transpose(0, 2, 1)).mean(axis=(1, 2)) for s in (ours, theirs)]
            return wins[0] - wins[1]

        found.append(swap_p(difference, patients, 199, seed=0))
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("resamples", [20, 999])
def test_the_swap_test_depends_neither_on_the_order_of_the_images_nor_on_which_arm_is_control(resamples):
    random = np.random.default_rng(8)
    patients, values = np.array(list("aabbccddee")), random.normal(1.5, 1, 10)
    order = random.permutation(10)
    first = swap_p(mean_swap(values), patients, resamples, seed=1)
    assert 0 < first < 1
    assert swap_p(mean_swap(values[order]), patients[order], resamples, seed=1) == first
    assert swap_p(mean_swap(-values), patients, resamples, seed=1) == first


def test_an_exchange_without_a_value_counts_against_the_difference():
    def difference(swapped):
        return np.where(swapped.any(axis=1), np.nan, 1.0)

    assert swap_p(difference, ["a", "b"], 99, seed=0) == 1.0
    assert np.isnan(swap_p(lambda swapped: np.full(len(swapped), np.nan), ["a", "b"], 99, seed=0))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"`differences` must be \(P,\), one per patient; got \(1, 2\)"):
        sign_flip_p([[1.0, 2.0]], 99, seed=0)
    with pytest.raises(InputError, match=r"`clusters` must be \(N,\) with N of 1 or more; got \(0,\)"):
        swap_p(mean_swap(np.ones(1)), [], 99, seed=0)
    with pytest.raises(InputError, match="`resamples` must be 1 or more; got 0"):
        sign_flip_p([1.0], 0, seed=0)
