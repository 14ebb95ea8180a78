import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

import tailscope.performance.ranking as engine
from tailscope.core import InputError, side_by_side
from tailscope.performance import (
    ap_gain,
    auroc,
    average_precision,
    expected_random_ap,
    resampled_auroc,
    resampled_average_precision,
)

RNG = np.random.default_rng(0)


def tied_case(n=60, k=4):
    scores = RNG.integers(0, 8, (n, k)) / 8.0
    labels = (RNG.random((n, k)) < 0.3).astype(float)
    labels[RNG.random((n, k)) < 0.1] = np.nan
    return scores, labels


@pytest.mark.parametrize(("ours", "oracle"), [(auroc, roc_auc_score), (average_precision, average_precision_score)])
def test_a_metric_equals_scikit_learn_with_ties_and_unknown_labels(ours, oracle):
    scores, labels = tied_case()
    expected = []
    for k in range(scores.shape[1]):
        known = ~np.isnan(labels[:, k])
        expected.append(oracle(labels[known, k], scores[known, k]))
    np.testing.assert_allclose(ours(scores, labels), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize(
    ("ours", "oracle"),
    [(resampled_auroc, roc_auc_score), (resampled_average_precision, average_precision_score)],
)
def test_a_resampled_metric_equals_scikit_learn_on_repeated_images(ours, oracle, dtype):
    scores, labels = tied_case()
    multiplicity = RNG.poisson(1.0, (5, len(scores))).astype(dtype)
    found = ours(scores, labels, multiplicity)
    for r, counts in enumerate(multiplicity):
        for k in range(scores.shape[1]):
            known = ~np.isnan(labels[:, k])
            repeated = np.repeat(np.flatnonzero(known), counts[known])
            assert found[r, k] == pytest.approx(oracle(labels[repeated, k], scores[repeated, k]), abs=1e-9)


@pytest.mark.parametrize("metric", [resampled_auroc, resampled_average_precision])
def test_a_resample_has_the_same_value_in_any_block_of_resamples(metric, monkeypatch):
    scores, labels = tied_case()
    multiplicity = RNG.poisson(1.0, (150, len(scores)))
    expected = np.concatenate([metric(scores, labels, row[None]) for row in multiplicity])
    np.testing.assert_array_equal(metric(scores, labels, multiplicity), expected)
    monkeypatch.setattr(engine, "_BLOCK", 7)
    np.testing.assert_array_equal(metric(scores, labels, multiplicity), expected)


@pytest.mark.parametrize("metric", [resampled_auroc, resampled_average_precision])
def test_a_resampled_metric_does_not_depend_on_the_number_of_threads(metric, monkeypatch):
    scores, labels = tied_case(n=300, k=5)
    multiplicity = RNG.poisson(1.0, (200, len(scores)))
    alone = metric(scores, labels, multiplicity)
    used = []
    monkeypatch.setattr(engine, "_WORTH_A_THREAD", 1)
    monkeypatch.setitem(vars(engine.config), "NUMBA_NUM_THREADS", 3)
    monkeypatch.setattr(engine, "side_by_side", lambda *given: used.append(given[2]) or side_by_side(*given))
    np.testing.assert_array_equal(metric(scores, labels, multiplicity), alone)
    assert used == [3, 3]


@pytest.mark.parametrize("metric", [resampled_auroc, resampled_average_precision])
def test_the_order_of_the_images_does_not_matter(metric):
    scores, labels = tied_case()
    multiplicity = RNG.poisson(1.0, (70, len(scores)))
    order = RNG.permutation(len(scores))
    found = metric(scores[order], labels[order], multiplicity[:, order])
    np.testing.assert_array_equal(found, metric(scores, labels, multiplicity))


def test_the_multiplicities_are_read_and_not_changed():
    scores, labels = tied_case()
    multiplicity = RNG.poisson(1.0, (3, len(scores)))
    before = multiplicity.copy()
    multiplicity.setflags(write=False)
    resampled_auroc(scores, labels, multiplicity)
    np.testing.assert_array_equal(multiplicity, before)


@pytest.mark.parametrize("metric", [auroc, average_precision, ap_gain])
@pytest.mark.parametrize("labels", [[0, 0, np.nan], [1, 1, np.nan], [np.nan] * 3])
def test_a_class_without_both_labels_is_not_estimable(metric, labels):
    assert np.isnan(metric([0.1, 0.2, 0.3], labels)).all()


@pytest.mark.parametrize("metric", [resampled_auroc, resampled_average_precision])
@pytest.mark.parametrize("counts", [[0, 1], [1, 0], [0, 0]])
def test_a_resample_without_both_labels_is_not_estimable(metric, counts):
    assert np.isnan(metric([0.1, 0.2], [0, 1], np.array([counts]))).all()


def test_the_nan_of_one_class_leaves_the_others():
    values = auroc([[0.1, 0.1], [0.9, 0.9]], [[0, 1], [1, 1]])
    assert values[0] == 1
    assert np.isnan(values[1])


def test_the_score_of_an_unlabelled_image_may_be_missing():
    assert auroc([0.1, np.nan, 0.9], [0, np.nan, 1]).tolist() == [1.0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=20))
def test_a_monotone_transformation_leaves_auroc_and_ap(pairs):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs], dtype=float)
    for metric in (auroc, average_precision):
        np.testing.assert_array_equal(metric(scores, labels), metric(np.exp(scores) * 3, labels))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=20))
def test_reversed_scores_give_one_minus_auroc(pairs):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs], dtype=float)
    np.testing.assert_allclose(auroc(-scores, labels), 1 - auroc(scores, labels), atol=1e-12)


@pytest.mark.parametrize(("positives", "total"), [(1, 4), (2, 5), (3, 6)])
def test_the_chance_level_is_the_mean_ap_over_all_rankings(positives, total):
    from itertools import combinations

    values = []
    for chosen in combinations(range(total), positives):
        label = np.zeros(total)
        label[list(chosen)] = 1
        values.append(average_precision_score(label, -np.arange(total)))
    assert expected_random_ap(positives, total) == pytest.approx(np.mean(values), abs=1e-12)


def test_the_chance_level_without_positives_is_not_estimable():
    assert np.isnan(expected_random_ap([0, 3], [5, 2])).all()


def test_ap_gain_is_the_gain_over_chance():
    scores, labels = tied_case()
    k, known = 0, ~np.isnan(labels[:, 0])
    chance = float(expected_random_ap(int(np.nansum(labels[:, k])), int(known.sum())))
    expected = (average_precision(scores, labels)[k] - chance) / (1 - chance)
    assert ap_gain(scores, labels)[k] == pytest.approx(expected)


@pytest.mark.parametrize("multiplicity", [np.ones((2, 3), int), np.ones(2, int), np.ones((1, 2))])
def test_a_multiplicity_that_does_not_fit_is_refused(multiplicity):
    with pytest.raises(InputError, match=r"`multiplicity` must be \(R, 2\) integers"):
        resampled_auroc([0.1, 0.2], [0, 1], multiplicity)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 2], "must be 0, 1 or NaN; got \\[2.0\\]"),
        ([0.1, np.nan], [0, 1], "got NaN"),
        ([0.1, 0.2], [0], "must both be"),
        (0.1, 1, "must both be"),
    ],
)
def test_scores_and_labels_that_do_not_fit_are_refused(scores, labels, message):
    with pytest.raises(InputError, match=message):
        auroc(scores, labels)
