import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tailscope.core import InputError
from tailscope.stats import clustered_auroc_covariance, delong_covariance


def tied_case(seed=0, n=60, arms=3):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.3).astype(float)
    labels[random.random(n) < 0.1] = np.nan
    scores = np.round(random.normal(size=(arms, n)) + np.nan_to_num(labels) + random.normal(size=n), 1)
    return scores, labels


def placements(score, labels):
    """Pair by pair, as the papers define them: ψ is 1, 1/2 or 0."""
    positives, negatives = score[labels == 1], score[labels == 0]
    psi = (positives[:, None] > negatives).astype(float) + 0.5 * (positives[:, None] == negatives)
    return psi.mean(axis=1), psi.mean(axis=0)


def area(score, labels):
    known = ~np.isnan(labels)
    return roc_auc_score(labels[known], score[known])


def test_auroc_is_that_of_scikit_learn_with_ties_and_unknown_labels():
    scores, labels = tied_case()
    expected = [area(score, labels) for score in scores]
    np.testing.assert_allclose(delong_covariance(scores, labels)[0], expected, rtol=0, atol=1e-14)


def test_the_covariance_is_that_of_the_placements_counted_pair_by_pair():
    scores, labels = tied_case()
    found = [placements(score, labels) for score in scores]
    above, below = (np.array(part) for part in zip(*found, strict=True))
    expected = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    np.testing.assert_allclose(delong_covariance(scores, labels)[1], expected, rtol=1e-12)


def test_the_covariance_is_the_sum_of_the_jackknives_of_positives_and_of_negatives():
    # deleting a positive moves AUROC by its placement's deviation over n⁺ − 1, so the two agree exactly
    scores, labels = tied_case(n=40)
    expected = np.zeros((3, 3))
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        without = np.array([[area(np.delete(s, row), np.delete(labels, row)) for row in rows] for s in scores])
        expected += np.cov(without, ddof=0) * (rows.size - 1)
    np.testing.assert_allclose(delong_covariance(scores, labels)[1], expected, rtol=1e-9)


def test_a_case_computed_by_hand():
    # control: placements of positives 1, 1/2, of negatives 1/2, 1; treatment ranks perfectly: no deviation at all
    found, covariance = delong_covariance([[3, 1, 2, 0], [3, 2, 1, 0]], [1, 1, 0, 0])
    assert found.tolist() == [0.75, 1.0]
    assert covariance.tolist() == [[0.125, 0.0], [0.0, 0.0]]


def test_one_image_per_patient_makes_the_clustered_form_delongs_exactly():
    scores, labels = tied_case()
    area_found, covariance = clustered_auroc_covariance(scores, labels, np.arange(labels.size)[::-1])
    np.testing.assert_allclose(area_found, delong_covariance(scores, labels)[0], rtol=0, atol=0)
    np.testing.assert_allclose(covariance, delong_covariance(scores, labels)[1], rtol=1e-12)


def test_the_clustered_form_is_that_of_the_paper_term_by_term():
    scores, labels = tied_case(n=80)
    patients = np.random.default_rng(1).integers(0, 25, labels.size)
    covariance = clustered_auroc_covariance(scores, labels, patients)[1]
    # a patient without any known label is none
    names = np.unique(patients[~np.isnan(labels)])
    n, m = int((labels == 1).sum()), int((labels == 0).sum())
    sums = np.zeros((2, 3, names.size))
    for arm, score in enumerate(scores):
        above, below = placements(score, labels)
        for place, name in enumerate(names):
            own = (above[patients[labels == 1] == name], below[patients[labels == 0] == name])
            sums[:, arm, place] = [part.sum() - part.size * above.mean() for part in own]
    i10, i01 = (sum((labels[patients == name] == value).any() for name in names) for value in (1, 0))
    for r in range(3):
        for s in range(3):
            s10 = i10 / ((i10 - 1) * n) * (sums[0, r] * sums[0, s]).sum()
            s01 = i01 / ((i01 - 1) * m) * (sums[1, r] * sums[1, s]).sum()
            s11, s11_turned = (
                names.size / (names.size - 1) * (sums[0, a] * sums[1, b]).sum() for a, b in ((r, s), (s, r))
            )
            assert covariance[r, s] == pytest.approx(s10 / n + s01 / m + (s11 + s11_turned) / (m * n), rel=1e-12)


def clustered_experiment(random, patients=60, images=4):
    """Images of a patient share a part of their scores and mostly, not always, their label."""
    likely = np.where(random.random((patients, 1)) < 0.5, 0.8, 0.1)
    labels = (random.random((patients, images)) < likely).astype(float)
    shared = random.normal(size=(patients, 1))
    scores = [labels + 1.5 * shared + random.normal(size=labels.shape) for _ in range(2)]
    return np.array(scores).reshape(2, -1), labels.ravel(), np.repeat(np.arange(patients), images)


def test_the_clustered_variance_is_that_of_repeated_experiments_where_delongs_is_too_small():
    random = np.random.default_rng(3)
    areas, clustered, plain = [], [], []
    for _ in range(600):
        scores, labels, patients = clustered_experiment(random)
        found, covariance = clustered_auroc_covariance(scores, labels, patients)
        areas.append(found)
        clustered.append(covariance)
        plain.append(delong_covariance(scores, labels)[1])
    # 600 experiments know a variance to √(2/600) = 6 %
    true = np.cov(np.array(areas).T)
    assert np.mean(clustered, axis=0)[0, 0] == pytest.approx(true[0, 0], rel=0.15)
    assert np.mean(clustered, axis=0)[0, 1] == pytest.approx(true[0, 1], rel=0.2)
    assert np.mean(plain, axis=0)[0, 0] < 0.6 * true[0, 0]


def test_scores_of_one_patient_moved_together_change_neither_covariance():
    scores, labels = tied_case()
    first = delong_covariance(scores, labels)[1]
    np.testing.assert_array_equal(delong_covariance(np.exp(scores) * 3, labels)[1], first)


def test_the_order_of_the_images_changes_nothing():
    scores, labels = tied_case()
    patients = np.random.default_rng(1).integers(0, 25, labels.size)
    order = np.random.default_rng(2).permutation(labels.size)
    first = clustered_auroc_covariance(scores, labels, patients)[1]
    second = clustered_auroc_covariance(scores[:, order], labels[order], patients[order])[1]
    np.testing.assert_allclose(second, first, rtol=1e-12)


def test_identical_scores_have_a_difference_without_variance():
    scores, labels = tied_case()
    covariance = delong_covariance(scores[[0, 0]], labels)[1]
    assert np.ptp(covariance) <= 1e-15


@pytest.mark.parametrize(
    ("labels", "areas"), [([1, 1, 1, np.nan], np.nan), ([0, 0, np.nan, 0], np.nan), ([1, 0, 0, 0], 1.0)]
)
def test_too_few_of_a_label_leave_the_covariance_undefined(labels, areas):
    for found in (
        delong_covariance([[3, 2, 1, 0]], labels),
        clustered_auroc_covariance([[3, 2, 1, 0]], labels, list("abcd")),
    ):
        np.testing.assert_array_equal(found[0], [areas])
        assert np.isnan(found[1]).all()


def test_positives_of_one_patient_alone_have_no_variance():
    found, covariance = clustered_auroc_covariance([[4, 3, 2, 1, 0]], [1, 1, 0, 0, 0], list("aabcd"))
    assert found.tolist() == [1.0]
    assert np.isnan(covariance).all()


def test_no_known_label_at_all_is_undefined():
    found, covariance = clustered_auroc_covariance([[1.0, 2.0]], [np.nan, np.nan], ["a", "b"])
    assert np.isnan(found).all()
    assert np.isnan(covariance).all()


def test_the_score_of_an_unlabelled_image_may_be_missing():
    found = delong_covariance([[3, 1, 2, 0, np.nan]], [1, 1, 0, 0, np.nan])
    assert found[1].tolist() == [[0.125]]


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([1.0, 2.0], [0, 1], r"`scores` must be \(A, N\) and `labels` \(N,\); got \(2,\) and \(2,\)"),
        ([[1.0, 2.0]], [0, 1, 1], r"got \(1, 2\) and \(3,\)"),
        ([[1.0, 2.0]], [0, 2], r"`labels` must be 0, 1 or NaN; got \[2.0\]"),
        ([[1.0, np.nan]], [0, 1], "`scores` must be numbers where the label is known"),
    ],
)
def test_what_does_not_fit_is_refused(scores, labels, words):
    with pytest.raises(InputError, match=words):
        delong_covariance(scores, labels)


def test_a_patient_per_image_is_asked_for():
    with pytest.raises(InputError, match=r"`clusters` must have one entry per image, \(2,\); got \(1,\)"):
        clustered_auroc_covariance([[1.0, 2.0]], [0, 1], ["a"])
