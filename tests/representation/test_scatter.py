from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tailscope.core import InputError
from tailscope.representation.scatter import class_scatter


def drawn(seed: int = 0, count: int = 30, shift: float = 1.0) -> tuple[NDArray[np.float64], ...]:
    """Features (N, 4), targets (N, 2) with unknown labels, patients with up to several images."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((count, 2)) < 0.4).astype(float)
    features = rng.normal(size=(count, 4)) + shift * targets[:, :1] - shift * targets[:, 1:]
    targets[rng.random((count, 2)) < 0.1] = np.nan
    return features, targets, rng.integers(0, count // 2, count)


def oracle(
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    patients: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Each image, its patient left out, written out; only the pooling sees the weights."""
    squares: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    places: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    middle = (features[target == 0].mean(axis=0) + features[target == 1].mean(axis=0)) / 2
    for image, side in enumerate(target):
        if np.isnan(side):
            continue
        others = patients != patients[image]
        means = [features[others & (target == one)].mean(axis=0) for one in (0, 1)]
        own = features[target == side].mean(axis=0)
        squares[int(side)].append((weights[image], (features[image] - own) @ (features[image] - means[int(side)])))
        places[int(side)].append((weights[image], (features[image] - middle) @ (means[1] - means[0])))
    within = np.mean([np.average([s for _, s in pairs], weights=[w for w, _ in pairs]) for pairs in squares.values()])
    along = {side: np.array(pairs) for side, pairs in places.items()}
    mean = {side: np.average(pairs[:, 1], weights=pairs[:, 0]) for side, pairs in along.items()}
    variance = [np.average((pairs[:, 1] - mean[side]) ** 2, weights=pairs[:, 0]) for side, pairs in along.items()]
    step = mean[1] - mean[0]
    return float(within), float(step / 4), float(step / np.sqrt(np.mean(variance)))


def test_every_image_is_held_against_the_means_of_other_patients() -> None:
    features, targets, patients = drawn()
    found = class_scatter(features, targets, patients).values()
    for number in range(2):
        within, between, d_prime = oracle(features, targets[:, number], patients, np.ones(30))
        assert found.within[0, number] == pytest.approx(within, rel=1e-10)
        assert found.between[0, number] == pytest.approx(between, rel=1e-10)
        assert found.d_prime[0, number] == pytest.approx(d_prime, rel=1e-10)
        assert found.ratio[0, number] == pytest.approx(within / between)
        assert found.separation[0, number] == pytest.approx(between / within)


def test_weights_pool_the_images() -> None:
    features, targets, patients = drawn()
    weights = np.random.default_rng(1).poisson(1.0, (5, 30)).astype(float)
    found = class_scatter(features, targets, patients).values(weights)
    for number in range(2):
        expected = np.array([oracle(features, targets[:, number], patients, row) for row in weights])
        np.testing.assert_allclose(found.within[:, number], expected[:, 0], rtol=1e-10)
        np.testing.assert_allclose(found.between[:, number], expected[:, 1], rtol=1e-10)
        np.testing.assert_allclose(found.d_prime[:, number], expected[:, 2], rtol=1e-10)


def test_no_weighted_positive_gives_nan() -> None:
    features, targets, patients = drawn()
    weights = np.stack([np.ones(30), targets[:, 0] != 1])
    found = class_scatter(features, targets, patients).values(weights)
    assert np.isfinite(found.separation[0]).all()
    assert np.isnan(found.separation[1, 0])


def test_with_one_image_per_patient_between_is_the_u_statistic() -> None:
    features, targets, _ = drawn()
    found = class_scatter(features, targets, np.arange(30)).values()
    sides = [features[targets[:, 0] == side] for side in (0, 1)]
    same = [(side @ side.T)[~np.eye(len(side), dtype=bool)].mean() for side in sides]
    assert 4 * found.between[0, 0] == pytest.approx(sum(same) - 2 * (sides[0] @ sides[1].T).mean(), rel=1e-10)


def test_within_is_the_balanced_covariance_of_linear_discriminant_analysis() -> None:
    features, label = drawn()[0], np.arange(30) % 2
    found = class_scatter(features, label[:, None].astype(float), np.arange(30))
    model = LinearDiscriminantAnalysis(solver="eigen", priors=[0.5, 0.5]).fit(features, label)
    assert found.values().within.item() == pytest.approx(np.trace(model.covariance_) * 15 / 14, rel=1e-10)
    gap = model.means_[1] - model.means_[0]
    assert 4 * found.raw_between.item() == pytest.approx(gap @ gap, rel=1e-10)


def test_without_a_difference_separation_is_0_on_average_though_the_means_lie_apart() -> None:
    rng, label = np.random.default_rng(0), np.repeat([1.0, 0.0], [6, 40])[:, None]
    found = [class_scatter(rng.normal(size=(46, 100)), label, np.arange(46)) for _ in range(150)]
    values = [one.values() for one in found]
    for field in ("separation", "d_prime", "between"):
        draws = np.array([getattr(value, field).item() for value in values])
        assert abs(draws.mean()) < 4 * draws.std() / 150**0.5
    assert np.mean([value.within.item() for value in values]) == pytest.approx(100, rel=0.02)
    assert min(one.raw_between.item() for one in found) > 3
    assert abs(np.mean([one.reliability.item() for one in found])) < 0.1


def test_the_number_of_positives_does_not_change_what_is_estimated() -> None:
    rng, found = np.random.default_rng(0), {}
    for positives in (4, 40):
        label = np.repeat([1.0, 0.0], [positives, 40])[:, None]
        draws = [rng.normal(size=(positives + 40, 30)) + 0.5 * label for _ in range(200)]
        found[positives] = [class_scatter(one, label, np.arange(len(one))).values().between.item() for one in draws]
    truth = 30 * 0.5**2 / 4
    for draws in found.values():
        assert np.mean(draws) == pytest.approx(truth, abs=4 * np.std(draws) / 200**0.5)


def test_many_images_of_one_patient_do_not_make_a_difference() -> None:
    rng, label = np.random.default_rng(0), np.repeat([1.0, 0.0], [24, 24])[:, None]
    by_patient, by_image = [], []
    for _ in range(150):
        features = np.repeat(rng.normal(size=(8, 50)), 6, axis=0)
        by_patient.append(class_scatter(features, label, np.arange(48) // 6).values().between.item())
        by_image.append(class_scatter(features, label, np.arange(48)).values().between.item())
    assert abs(np.mean(by_patient)) < 4 * np.std(by_patient) / 150**0.5
    assert np.mean(by_image) > 4


def test_shift_rotation_and_scale_of_the_features_change_no_ratio() -> None:
    features, targets, patients = drawn()
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    expected = class_scatter(features, targets, patients).values()
    found = class_scatter(100 * features @ rotation + 1e4, targets, patients).values()
    np.testing.assert_allclose(found.separation, expected.separation, rtol=1e-8)
    np.testing.assert_allclose(found.d_prime, expected.d_prime, rtol=1e-8)


def test_neither_order_of_images_nor_blocks_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, patients = drawn()
    order = np.random.default_rng(2).permutation(30)
    expected = class_scatter(features, targets, patients)
    for block in (1, 4 * 7, 2**22):
        monkeypatch.setattr("tailscope.representation.scatter._BLOCK_VALUES", block)
        found = class_scatter(features[order], targets[order], patients[order])
        np.testing.assert_allclose(found.distance, expected.distance[order], rtol=1e-10)
        np.testing.assert_allclose(found.projection, expected.projection[order], rtol=1e-10)


def test_unknown_labels_take_no_part() -> None:
    features, targets, patients = drawn()
    known = np.isfinite(targets[:, 0])
    assert not known.all()
    expected = class_scatter(features[known], targets[known, :1], patients[known]).values()
    np.testing.assert_allclose(
        class_scatter(features, targets, patients).values().separation[0, 0], expected.separation[0, 0], rtol=1e-10
    )


@pytest.mark.parametrize("step", [1.0, 0.1])
def test_a_perfectly_collapsed_class_has_ratio_0(step: float) -> None:
    label = np.repeat([1.0, 0.0], 3)[:, None]
    found = class_scatter(step * np.hstack([label, label]) + 0.7, label, np.arange(6)).values()
    assert found.ratio.item() == pytest.approx(0, abs=1e-15)
    assert found.between.item() == pytest.approx(0.5 * step**2)
    assert np.isnan(found.separation.item())
    assert np.isnan(found.d_prime.item())


def test_constant_features_have_no_scatter_to_compare() -> None:
    found = class_scatter(np.full((6, 3), 0.1), np.repeat([1.0, 0.0], 3)[:, None], np.arange(6)).values()
    assert found.within.item() == found.between.item() == 0
    assert np.isnan([found.ratio.item(), found.separation.item(), found.d_prime.item()]).all()


@pytest.mark.parametrize(("patients", "said"), [([0, 0, 1, 2], "1 positive and 2"), ([0, 1, 2, 2], "2 positive and 1")])
def test_a_class_with_too_few_patients_is_named(patients: list[int], said: str) -> None:
    label = np.array([[1.0], [1.0], [0.0], [0.0]])
    found = class_scatter(np.arange(8.0).reshape(4, 2), label, np.array(patients))
    assert said in found.reasons[0]
    assert np.isnan(found.values()).all()
    assert np.isnan(found.reliability).all()


def test_wrong_input_is_refused() -> None:
    features, targets, patients = drawn()
    with pytest.raises(InputError, match="expected `features`"):
        class_scatter(features[1:], targets, patients)
    with pytest.raises(InputError, match="0, 1 or NaN"):
        class_scatter(features, targets * 2, patients)
    with pytest.raises(InputError, match="`weights`"):
        class_scatter(features, targets, patients).values(np.ones((2, 29)))
    features[3, 0] = np.inf
    with pytest.raises(InputError, match="finite"):
        class_scatter(features, targets, patients)
