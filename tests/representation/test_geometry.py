from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics.pairwise import cosine_similarity

from tailscope.core import InputError
from tailscope.representation.geometry import (
    class_angles,
    cosines,
    effective_rank,
    group_cosine,
    mean_differences,
    resampled_mean_cosine,
)

GROUPS = ("head", "tail", "tail", "tail")
NAMES = ("a", "b", "c", "d")


def drawn(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    targets = (rng.random((40, 4)) < 0.4).astype(float)
    targets[rng.random((40, 4)) < 0.1] = np.nan
    return rng.normal(size=(40, 6)) + 3, targets


def test_mean_differences_skip_unknown_labels() -> None:
    features, targets = drawn()
    expected = [
        features[column == 1].mean(axis=0) - features[column == 0].mean(axis=0) for column in np.transpose(targets)
    ]
    np.testing.assert_allclose(mean_differences(features, targets), expected, rtol=0, atol=1e-12)


def test_multiplicities_repeat_images() -> None:
    features, targets = drawn()
    drawn_times = np.random.default_rng(1).poisson(1.0, 40)
    repeated = np.repeat(np.arange(40), drawn_times)
    expected = mean_differences(features[repeated], targets[repeated])
    np.testing.assert_allclose(mean_differences(features, targets, drawn_times), expected, rtol=0, atol=1e-12)


def test_the_centred_class_mean_points_the_same_way_where_all_labels_are_known() -> None:
    features, targets = drawn()
    targets = np.nan_to_num(targets)
    centred = [features[column == 1].mean(axis=0) - features.mean(axis=0) for column in targets.T]
    found = mean_differences(features, targets)
    np.testing.assert_allclose(np.diag(cosines(found, np.array(centred))), 1, rtol=1e-12)
    np.testing.assert_allclose((1 - targets.mean(axis=0))[:, None] * found, centred, rtol=0, atol=1e-12)


@pytest.mark.parametrize("column", [np.ones(40), np.zeros(40), np.full(40, np.nan)])
def test_a_class_with_one_side_has_no_difference(column: NDArray[np.float64]) -> None:
    features, targets = drawn()
    targets[:, 2] = column
    found = mean_differences(features, targets)
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[[0, 1, 3]]).all()


def test_constant_features_give_no_direction() -> None:
    found = mean_differences(np.full((40, 6), 0.1), drawn()[1])
    assert (found == 0).all()
    assert np.isnan(cosines(found)).all()


def test_cosines_are_scikit_learns() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 5, 7))
    np.testing.assert_allclose(cosines(a, b[:3]), cosine_similarity(a, b[:3]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(cosines(a), cosine_similarity(a), rtol=0, atol=1e-12)


def test_a_row_without_direction_has_no_cosine() -> None:
    found = cosines(np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, 1.0]]))
    assert found[0, 0] == 1
    assert np.isnan(found[1:]).all()
    assert np.isnan(found[:, 1:]).all()


def test_minority_collapse_shows_as_a_cosine_of_1_in_the_tail_only() -> None:
    head = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.5, 1e-9]])
    groups = class_angles(np.eye(4, 3), head, NAMES, GROUPS).groups.set_index("group")
    assert groups.loc["tail", "row_cosine"] == pytest.approx(1)
    assert groups.loc["all", "row_cosine"] == pytest.approx(0.5)  # 3 of 6 pairs
    assert groups.loc["tail", "row_norm"] == pytest.approx(3.5 / 3)
    assert groups.index.tolist() == ["all", "head", "tail"]
    assert groups["classes"].tolist() == [4, 1, 3]


def test_a_simplex_equiangular_tight_frame_has_its_cosine() -> None:
    frame = np.eye(4) - 1 / 4  # Papyan, Han and Donoho 2020: -1 / (K - 1)
    found = class_angles(frame, 2 * frame, NAMES, ["tail"] * 4).groups.set_index("group")
    assert found.loc["tail", "row_cosine"] == pytest.approx(-1 / 3)
    assert found.loc["tail", "mean_cosine"] == pytest.approx(-1 / 3)
    assert found.loc["tail", "self_duality"] == pytest.approx(1)


def test_self_duality_is_the_angle_between_a_row_and_its_mean_difference() -> None:
    head, means = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 4.0], [0.0, -5.0]])
    found = class_angles(means, head, ["a", "b"], ["head", "tail"]).classes
    np.testing.assert_allclose(found["self_duality"], [0.6, -1])
    np.testing.assert_allclose(found["mean_norm"], [5, 5])
    np.testing.assert_allclose(found["row_norm"], [1, 1])
    assert found["reason"].tolist() == ["", ""]


def test_linear_discriminant_analysis_of_whitened_classes_is_self_dual() -> None:
    rng = np.random.default_rng(0)
    values, label = rng.normal(size=(60, 3)), np.arange(60) % 2
    within = np.concatenate([values[label == side] - values[label == side].mean(axis=0) for side in (0, 1)])
    white = values @ np.linalg.inv(np.linalg.cholesky(within.T @ within)).T
    row = LinearDiscriminantAnalysis(solver="lsqr").fit(white, label).coef_
    found = class_angles(mean_differences(white, label[:, None]), row, ["a"], ["head"])
    assert found.classes["self_duality"].item() == pytest.approx(1, rel=1e-9)


def test_what_has_no_direction_is_left_out_with_its_reason() -> None:
    head = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    means = np.array([[1.0, 0.0], [1.0, 1.0], [np.nan, np.nan], [0.0, 1.0]])
    found = class_angles(means, head, NAMES, GROUPS)
    assert found.classes["reason"].str.contains("row is 0").tolist() == [False, True, False, False]
    assert found.classes["reason"].str.contains("absent").tolist() == [False, False, True, False]
    groups = found.groups.set_index("group")
    assert groups.loc["tail", "row_cosine"] == pytest.approx(0.5**0.5)  # c with d
    assert groups.loc["tail", "mean_cosine"] == pytest.approx(0.5**0.5)  # b with d
    assert groups.loc["head", "reason"] == "one class"
    assert groups.loc["tail", "reason"] == ""


def test_a_group_without_a_pair_is_not_estimable() -> None:
    found = class_angles(np.full((4, 2), np.nan), np.ones((4, 2)), NAMES, GROUPS).groups.set_index("group")
    assert np.isnan(found.loc["tail", "mean_cosine"])
    assert found.loc["tail", "row_cosine"] == pytest.approx(1)
    assert found.loc["tail", "reason"] == "no pair of classes with a direction"


def test_resampled_cosines_are_those_of_the_repeated_images() -> None:
    features, targets = drawn()
    multiplicity = np.random.default_rng(1).poisson(1.0, (5, 40))
    members = np.array([False, True, True, True])
    found = resampled_mean_cosine(features, targets, members, multiplicity)
    for value, row in zip(found, multiplicity, strict=True):
        repeated = np.repeat(np.arange(40), row)
        expected = cosines(mean_differences(features[repeated], targets[repeated]))
        assert value == pytest.approx(group_cosine(expected, members), rel=1e-9)


def test_a_resample_without_positives_of_the_group_is_nan() -> None:
    features, targets = drawn()
    without = np.all(targets[:, 1:] != 1, axis=1).astype(int)
    members = np.array([False, True, True, True])
    assert np.isnan(resampled_mean_cosine(features, targets, members, without[None])).all()


def test_equal_spread_in_all_directions_uses_all_dimensions() -> None:
    corners = np.concatenate([np.eye(5), -np.eye(5)])
    assert effective_rank(corners + 7).value == pytest.approx(5)
    isotropic = np.random.default_rng(0).normal(size=(20_000, 6))
    assert effective_rank(isotropic).value == pytest.approx(6, abs=0.01)


def test_a_line_has_effective_rank_1() -> None:
    line = np.arange(20.0)[:, None] * np.array([[1.0, -2.0, 0.5]]) + 3
    assert effective_rank(line).value == pytest.approx(1, abs=1e-9)


def test_unequal_spread_lies_between() -> None:
    spread = np.array([3.0, 1.0])
    features = np.concatenate([np.diag(spread), -np.diag(spread)])
    share = np.array([0.75, 0.25])
    assert effective_rank(features).value == pytest.approx(np.exp(-(share * np.log(share)).sum()))


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (300, 3)])
def test_it_is_the_definition_on_any_shape_and_in_any_blocks(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = np.random.default_rng(0).normal(size=shape) * np.linspace(0.1, 3, shape[1]) + 5
    singular = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    share = singular[singular > 1e-12] / singular.sum()
    expected = np.exp(-(share * np.log(share)).sum())
    for values in (1, 7 * shape[1], 2**22):
        monkeypatch.setattr("tailscope.representation.principal._BLOCK_VALUES", values)
        assert effective_rank(features).value == pytest.approx(expected, rel=1e-10)


def test_float32_features_lose_no_digits_to_their_offset() -> None:
    features = np.random.default_rng(0).integers(-8, 8, (50, 4)).astype(np.float32) + np.float32(2**20)
    expected = effective_rank(features.astype(np.float64) - 2**20)
    assert effective_rank(features).value == pytest.approx(expected.value, rel=1e-10)


@pytest.mark.parametrize("features", [np.full((6, 3), 0.1), np.ones((1, 3))])
def test_features_that_do_not_vary_have_no_rank_but_a_reason(features: NDArray[np.float64]) -> None:
    found = effective_rank(features)
    assert np.isnan(found.value)
    assert found.reason == "the features are the same on all images"


def test_wrong_input_is_refused() -> None:
    features, targets = drawn()
    with pytest.raises(InputError, match="expected `features`"):
        mean_differences(features, targets[1:])
    with pytest.raises(InputError, match="expected `features`"):
        mean_differences(features, targets, np.ones(3))
    with pytest.raises(InputError, match="with 4 groups"):
        class_angles(np.ones((4, 2)), np.ones((4, 3)), NAMES, GROUPS)
    with pytest.raises(InputError, match="`head` must be finite"):
        class_angles(np.ones((4, 2)), np.full((4, 2), np.nan), NAMES, GROUPS)
    with pytest.raises(InputError, match=r"must be \(N, D\)"):
        effective_rank(np.ones(3))
    with pytest.raises(InputError, match="`multiplicity` must be"):
        resampled_mean_cosine(features, targets, np.ones(4, bool), np.ones((2, 39), dtype=int))
    features[3, 1] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        mean_differences(features, targets)
    with pytest.raises(InputError, match="must be finite"):
        effective_rank(features)
