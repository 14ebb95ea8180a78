from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tailscope.core import InputError
from tailscope.performance import auroc
from tailscope.representation import principal
from tailscope.representation.logistic import balanced_log_loss, fit_balanced_logistic
from tailscope.representation.principal import PrincipalFeatures
from tailscope.representation.probes import RIDGES, LabelledFeatures, fit_probes


def drawn(images: int, width: int, seed: int = 0, classes: int = 3) -> LabelledFeatures:
    """Features of unlike size and place, correlated and rectified; rare and frequent classes; some labels unknown."""
    rng = np.random.default_rng(seed)
    plan = np.random.default_rng(99)
    mixing, direction = plan.normal(size=(5, width)), plan.normal(size=(width, classes)) / np.sqrt(width)
    raw = np.maximum(rng.normal(size=(images, 5)) @ mixing + rng.normal(size=(images, width)), 0)
    logits = (raw - 1) @ direction - np.linspace(0.5, 2.0, classes)
    targets = (rng.random((images, classes)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    size = 10.0 ** plan.integers(-2, 3, width)
    return LabelledFeatures((raw * size + 3 * size).astype(np.float32), targets)


def by_library(part: LabelledFeatures, number: int, ridge: float):
    """scikit-learn on standardised features, and what it says of features (N, D)."""
    known = ~np.isnan(part.targets[:, number])
    features = part.features.astype(np.float64)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    model = LogisticRegression(
        class_weight="balanced", C=1 / (ridge * known.sum()), solver="newton-cholesky", tol=1e-12, max_iter=500
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains where its line search meets rounding
        model.fit(((features - mean) / deviation)[known], part.targets[known, number])
    return lambda rows: model.decision_function((rows.astype(np.float64) - mean) / deviation)


@pytest.mark.parametrize(("images", "width"), [(120, 12), (60, 90)])
@pytest.mark.parametrize("ridge", [1e3, 1.0, 1e-2, 1e-4])
def test_the_logits_are_those_of_the_library_at_the_same_ridge(images, width, ridge):
    train, test = drawn(images, width), drawn(40, width, seed=1)
    scores = fit_probes(train, train, ridges=(ridge,)).scores(test.features)
    for number in range(3):
        expected = by_library(train, number, ridge)(test.features)
        np.testing.assert_allclose(scores[:, number], expected, rtol=1e-6, atol=1e-6)


def test_the_ridge_has_the_lowest_balanced_log_loss_on_validation():
    train, val = drawn(150, 30), drawn(100, 30, seed=2)
    probes = fit_probes(train, val)
    for number in range(3):
        losses = []
        known = ~np.isnan(val.targets[:, number])
        labels = val.targets[known, number]
        for ridge in RIDGES:
            logits = by_library(train, number, ridge)(val.features[known])
            each = np.log1p(np.exp(-np.where(labels == 1, logits, -logits)))
            losses.append((each[labels == 1].mean() + each[labels == 0].mean()) / 2)
        assert probes.ridge[number] == RIDGES[int(np.argmin(losses))]
        walked = np.isfinite(probes.losses[:, number])
        np.testing.assert_allclose(probes.losses[walked, number], np.array(losses)[walked], rtol=1e-6)
    assert len(set(probes.ridge)) > 1  # else the test would say little about the choice


def test_of_equally_good_ridges_the_largest_is_chosen():
    constant = LabelledFeatures(np.ones((6, 2)), np.array([[0.0], [1.0]] * 3))
    assert fit_probes(constant, constant).ridge.tolist() == [max(RIDGES)]


def test_the_path_of_a_class_ends_after_two_ridges_that_are_worse():
    train, val = drawn(60, 90), drawn(60, 90, seed=2)
    losses = fit_probes(train, val).losses
    ends = np.isfinite(losses).sum(axis=0)
    assert (ends - 1 - np.nanargmin(losses, axis=0) == 2).all()
    assert (ends < len(RIDGES)).all()


def test_the_order_of_the_images_is_not_seen():
    train, val = drawn(150, 30), drawn(100, 30, seed=2)
    order = np.random.default_rng(3).permutation(150)
    mixed = LabelledFeatures(train.features[order], train.targets[order])
    one, other = fit_probes(train, val), fit_probes(mixed, val)
    np.testing.assert_array_equal(one.ridge, other.ridge)
    np.testing.assert_allclose(one.scores(val.features), other.scores(val.features), rtol=1e-7, atol=1e-7)


def test_the_number_of_threads_is_not_seen():
    train, val = drawn(300, 64), drawn(100, 64, seed=2)
    with threadpool_limits(1):
        one = fit_probes(train, val).scores(val.features)
    with threadpool_limits(2):
        np.testing.assert_allclose(fit_probes(train, val).scores(val.features), one, rtol=1e-7, atol=1e-7)


def test_a_class_has_the_same_probe_whichever_classes_stand_beside_it():
    train, val = drawn(150, 30), drawn(100, 30, seed=2)
    alone = fit_probes(
        LabelledFeatures(train.features, train.targets[:, [1]]), LabelledFeatures(val.features, val.targets[:, [1]])
    )
    together = fit_probes(train, val).scores(val.features)[:, [1]]
    np.testing.assert_allclose(alone.scores(val.features), together, rtol=1e-7, atol=1e-7)


def test_features_that_do_not_fit_into_memory_give_the_same_probes(monkeypatch):
    train, val = drawn(150, 30), drawn(100, 30, seed=2)
    expected = fit_probes(train, val).scores(val.features)
    monkeypatch.setattr(principal, "_MOST_KEPT_BYTES", 0)
    monkeypatch.setattr(principal, "_BLOCK_VALUES", 7 * 30)
    np.testing.assert_allclose(fit_probes(train, val).scores(val.features), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("ridge", [1e-1, 1e-5])
def test_separable_classes_have_a_finite_solution_where_the_gradient_vanishes(ridge):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 50))
    targets = (np.arange(30) % 5 == 0).astype(float)[:, None]
    rotated = PrincipalFeatures.of(features)
    weights = fit_balanced_logistic(rotated, targets, ridge, np.zeros((31, 1)))
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    plain = rotated.axes @ weights[:-1, 0]
    share = np.where(targets[:, 0] == 1, 1 / 12, 1 / 48)
    slope = share * (1 / (1 + np.exp(-(standard @ plain + weights[-1, 0]))) - targets[:, 0])
    np.testing.assert_allclose(standard.T @ slope + ridge * plain, 0, atol=1e-9)
    assert abs(slope.sum()) < 1e-9


def test_the_strongest_ridge_ranks_by_the_difference_of_the_class_means():
    train, test = drawn(200, 10, classes=1), drawn(50, 10, seed=1, classes=1)
    scores = fit_probes(train, train, ridges=(1e6,)).scores(test.features)[:, 0]
    label = train.targets[:, 0]
    difference = train.features[label == 1].mean(axis=0) - train.features[label == 0].mean(axis=0)
    direction = difference / train.features.std(axis=0, dtype=np.float64) ** 2
    assert np.corrcoef(scores, test.features @ direction)[0, 1] > 1 - 1e-9


def test_scale_and_place_of_the_features_do_not_matter():
    train, val = drawn(150, 12), drawn(100, 12, seed=2)
    factors = np.linspace(0.1, 20, 12)
    moved = [LabelledFeatures(part.features.astype(np.float64) * factors + 5, part.targets) for part in (train, val)]
    np.testing.assert_allclose(
        fit_probes(*moved).scores(moved[1].features), fit_probes(train, val).scores(val.features), rtol=1e-6, atol=1e-6
    )


def test_a_constant_feature_has_no_weight_even_if_it_moves_on_the_test_split():
    train = drawn(150, 12)
    dead = LabelledFeatures(np.column_stack([train.features, np.full(150, 0.1, np.float32)]), train.targets)
    assert (fit_probes(dead, dead).weights[:, 12] == 0).all()


def test_features_without_any_variance_rank_at_chance():
    constant = LabelledFeatures(np.ones((6, 2)), np.array([[0.0], [1.0]] * 3))
    assert auroc(fit_probes(constant, constant).scores(constant.features), constant.targets).tolist() == [0.5]


def test_prevalence_leaves_a_balanced_probe_alone():
    """Negatives thrice over and negatives once give the same probe, if the features are standardised alike."""
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(80, 3)), np.repeat([[1.0], [0.0]], 40, axis=0)
    rotated = PrincipalFeatures.of(features)
    thrice = np.concatenate([np.arange(80), np.arange(40, 80), np.arange(40, 80)])
    same = PrincipalFeatures(
        features[thrice], rotated.mean, rotated.scale, rotated.axes, rotated.spectrum, rotated.kept[thrice]
    )
    start = np.zeros((4, 1))
    np.testing.assert_allclose(
        fit_balanced_logistic(same, targets[thrice], 0.1, start),
        fit_balanced_logistic(rotated, targets, 0.1, start),
        atol=1e-8,
    )


@pytest.mark.parametrize(
    ("split", "label", "reason"),
    [
        (0, 0.0, "no positive training image"),
        (0, 1.0, "no negative training image"),
        (1, 0.0, "no positive validation image"),
        (1, np.nan, "no positive validation image"),
    ],
)
def test_a_class_without_both_labels_is_undefined_and_says_why(split, label, reason):
    parts = [drawn(60, 5), drawn(60, 5, seed=2)]
    parts[split].targets[:, 1] = label
    probes = fit_probes(*parts)
    assert probes.reasons == ("", reason, "")
    assert np.isnan(probes.scores(parts[0].features)).all(axis=0).tolist() == [False, True, False]


def test_without_any_estimable_class_nothing_is_fitted():
    part = LabelledFeatures(np.zeros((3, 2)), np.full((3, 2), np.nan))
    probes = fit_probes(part, part)
    assert np.isnan(probes.weights).all()
    assert probes.reasons == ("no positive training image",) * 2


def test_a_fit_that_does_not_converge_is_undefined(monkeypatch):
    monkeypatch.setattr("tailscope.representation.logistic._MOST_STEPS", 1)
    train = drawn(60, 5)
    probes = fit_probes(train, train, ridges=(1e-3,))
    assert probes.reasons == ("the fit did not converge",) * 3
    assert np.isnan(probes.weights).all()


def test_the_balanced_log_loss_weighs_both_labels_alike():
    loss = balanced_log_loss(np.array([[2.0], [-1.0], [0.0], [9.0]]), np.array([[1.0], [0.0], [0.0], [np.nan]]))
    expected = (np.log1p(np.exp(-2)) + (np.log1p(np.exp(-1)) + np.log(2)) / 2) / 2
    np.testing.assert_allclose(loss, [expected], rtol=1e-12)


FINE = (np.zeros((4, 2)), np.array([[0.0], [1.0], [0.0], [1.0]]))


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (np.zeros((4, 2, 1)), FINE[1], r"`features` must be \(N, D\)"),
        (np.full((4, 2), np.nan), FINE[1], "must be finite"),
        (FINE[0], FINE[1][:3], r"`targets` must be \(4, K\)"),
        (FINE[0], FINE[1] / 2, "must be 0, 1 or NaN"),
    ],
)
def test_unsound_features_or_labels_are_refused(features, targets, message):
    with pytest.raises(InputError, match=message):
        LabelledFeatures(features, targets)


def test_other_features_on_validation_or_at_the_test_are_refused():
    part, other = LabelledFeatures(*FINE), LabelledFeatures(np.zeros((4, 3)), FINE[1])
    with pytest.raises(InputError, match="`val` must have"):
        fit_probes(part, other)
    with pytest.raises(InputError, match=r"\(N, 2\)"):
        fit_probes(part, part).scores(other.features)


@pytest.mark.parametrize("ridges", [(), (0.0,), (-1.0, 1.0), (np.nan,), (np.inf,)])
def test_a_ridge_that_is_no_positive_number_is_refused(ridges):
    with pytest.raises(InputError, match="`ridges`"):
        fit_probes(LabelledFeatures(*FINE), LabelledFeatures(*FINE), ridges=ridges)
