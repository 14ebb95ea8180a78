"""Rank correlation of maps against scipy, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from tailscope.alignment.likeness import class_likeness, likeness
from tailscope.core import InputError, resize_bilinear


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6, 5, 7)).astype(np.float32)


def test_scipy_gives_the_same_values(maps) -> None:
    values, reasons = likeness(*maps)
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(*maps, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert reasons.tolist() == [""] * 6


def test_scipy_gives_the_same_values_where_many_places_tie(maps) -> None:
    first, second = maps.clip(min=0).round(1)
    values, _ = likeness(first, second)
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_only_the_order_of_the_places_counts(maps) -> None:
    np.testing.assert_allclose(likeness(maps[0], np.exp(maps[0].astype(np.float64)))[0], 1.0)
    np.testing.assert_allclose(likeness(maps[0], -3 * maps[0])[0], -1.0)


def test_grids_that_differ_are_compared_on_the_smaller_by_area_means(maps) -> None:
    fine = np.random.default_rng(1).normal(size=(6, 10, 21))
    means = fine.reshape(6, 5, 2, 7, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(likeness(maps[0], fine)[0], likeness(maps[0], means)[0], atol=1e-12)
    np.testing.assert_allclose(likeness(fine, maps[0])[0], likeness(maps[0], fine)[0], atol=1e-12)


def test_shrinking_keeps_the_mean_where_the_cells_do_not_fit() -> None:
    from tailscope.alignment.likeness import _fitted

    fine = np.random.default_rng(1).normal(size=(2, 9, 11))
    small = _fitted(fine, (4, 7))
    np.testing.assert_allclose(small.mean(axis=(1, 2)), fine.mean(axis=(1, 2)))


def test_a_stated_frame_is_used(maps) -> None:
    large = [resize_bilinear(part, (12, 14)) for part in maps]
    np.testing.assert_allclose(likeness(*maps, frame=(12, 14))[0], likeness(*large)[0], atol=1e-12)


def test_a_pair_does_not_depend_on_the_others(maps) -> None:
    np.testing.assert_array_equal(likeness(*maps)[0][2:3], likeness(maps[0, 2:3], maps[1, 2:3])[0])


def test_constant_maps_and_maps_that_are_not_finite_are_undefined_with_the_reason(maps) -> None:
    first, second = maps.copy()
    first[0] = 0.3
    first[1, 0, 0] = np.nan
    second[2] = 0
    second[3, 1, 1] = np.inf
    values, reasons = likeness(first, second)
    assert np.isnan(values).tolist() == [True] * 4 + [False] * 2
    assert reasons.tolist() == ["constant map", "map not finite", "constant map", "map not finite", "", ""]


def test_a_map_that_is_constant_but_for_rounding_is_constant() -> None:
    rounded = np.full((1, 4, 4), 0.3, dtype=np.float32)
    rounded[0, 0] = np.nextafter(np.float32(0.3), np.float32(1))
    assert likeness(rounded, np.arange(16.0).reshape(1, 4, 4))[1].tolist() == ["constant map"]


def test_maps_of_different_classes_are_compared_pair_by_pair(maps) -> None:
    several = np.moveaxis(maps.reshape(4, 3, 5, 7), 0, 0)
    values, _ = class_likeness(several)
    for image, value in zip(several, values, strict=True):
        matrix = spearmanr(image.reshape(3, -1), axis=1).statistic
        assert value == pytest.approx((matrix.sum() - 3) / 6, abs=1e-12)


def test_a_class_with_a_constant_map_is_left_out_of_the_mean(maps) -> None:
    several = maps.reshape(4, 3, 5, 7).copy()
    several[0, 2] = 1
    several[1] = 1
    values, reasons = class_likeness(several)
    assert values[0] == pytest.approx(spearmanr(several[0, 0].ravel(), several[0, 1].ravel()).statistic)
    assert np.isnan(values[1])
    assert reasons.tolist() == ["", "constant map", "", ""]


def test_one_class_alone_is_undefined(maps) -> None:
    values, reasons = class_likeness(maps[0][:, None])
    assert np.isnan(values).all()
    assert set(reasons) == {"one class alone"}


def test_no_pair_gives_no_value() -> None:
    assert likeness(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)))[0].shape == (0,)


def test_maps_that_do_not_fit_are_refused(maps) -> None:
    with pytest.raises(InputError, match=r"got \(6, 5, 7\) and \(5, 5, 7\)"):
        likeness(maps[0], maps[1][:5])
    with pytest.raises(InputError, match=r"expected maps \(B, K, h, w\); got \(6, 5, 7\)"):
        class_likeness(maps[0])
