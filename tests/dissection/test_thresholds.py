from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailscope.core import InputError, resize_bilinear
from tailscope.dissection import activation_range, activation_thresholds


def draw(images: int = 11, units: int = 5) -> NDArray[np.float32]:
    maps = np.random.default_rng(0).standard_normal((images, units, 4, 5)).astype(np.float32)
    maps[:, 1] = np.maximum(maps[:, 1], 0)
    maps[:, 2] = 0.25
    maps[:, 3] *= 1e-38
    return maps


def oracle(maps: NDArray[np.float32], fraction: float) -> NDArray[np.float32]:
    by_unit = maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    levels = []
    for values in by_unit:
        candidates = np.unique(values)
        shares = np.array([(values > level).mean() for level in candidates])
        levels.append(candidates[shares <= fraction].min())
    return np.array(levels, dtype=np.float32)


class Counting:
    """An array that notes how many images are read at a time."""

    def __init__(self, maps: NDArray[np.float32]) -> None:
        self.maps, self.shape, self.largest, self.reads = maps, maps.shape, 0, 0

    def __getitem__(self, index: slice) -> NDArray[np.float32]:
        part = self.maps[index]
        self.largest, self.reads = max(self.largest, len(part)), self.reads + 1
        return part


@pytest.mark.parametrize("fraction", [0.0, 0.005, 0.05, 0.1, 0.29, 0.5, 0.99])
def test_threshold_is_the_smallest_value_whose_strict_upper_share_is_at_most_the_fraction(fraction: float) -> None:
    maps = draw()
    assert activation_thresholds(maps, fraction).tolist() == oracle(maps, fraction).tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.3])
def test_upsampled_threshold_is_the_order_statistic_of_the_upsampled_values(fraction: float) -> None:
    maps = draw()
    expected = oracle(resize_bilinear(maps, (9, 16)), fraction)
    assert activation_thresholds(maps, fraction, at="upsampled", size=(9, 16)).tolist() == expected.tolist()


@pytest.mark.parametrize("fraction", [0.005, 0.01, 0.25])
def test_netdissect_threshold_is_the_linear_quantile(fraction: float) -> None:
    maps = draw()
    expected = np.quantile(maps.astype(np.float64), 1 - fraction, axis=(0, 2, 3))
    np.testing.assert_allclose(activation_thresholds(maps, fraction, variant="netdissect"), expected, rtol=1e-6)


def test_threshold_depends_neither_on_chunks_nor_on_order() -> None:
    maps = draw()
    whole = activation_thresholds(maps, 0.05)
    assert activation_thresholds(maps, 0.05, chunk_images=1).tolist() == whole.tolist()
    assert activation_thresholds(maps[::-1], 0.05, chunk_images=4).tolist() == whole.tolist()


@pytest.mark.parametrize(("bound", "passes"), [(2**28, 1), (0, 3)])
def test_images_are_read_once_and_thrice_where_the_top_share_does_not_fit(
    bound: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailscope.dissection.thresholds.MOST_BYTES", bound)
    counting = Counting(draw())
    found = activation_thresholds(counting, 0.05, chunk_images=3)
    assert (counting.largest, counting.reads) == (3, passes * 4)
    assert found.tolist() == oracle(draw(), 0.05).tolist()


@pytest.mark.parametrize("variant", ["corrected", "netdissect"])
@pytest.mark.parametrize("fraction", [0.0, 0.005, 0.29, 0.99])
def test_one_pass_and_three_give_the_same_bits(
    variant: Literal["corrected", "netdissect"], fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = activation_thresholds(draw(), fraction, variant=variant)
    monkeypatch.setattr("tailscope.dissection.thresholds.MOST_BYTES", 0)
    assert activation_thresholds(draw(), fraction, variant=variant).tobytes() == once.tobytes()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from([0.0, 0.03, 0.4]))
def test_neither_the_order_of_units_and_images_nor_chunks_change_a_threshold(
    seed: int, chunk: int, fraction: float
) -> None:
    maps, rng = draw(), np.random.default_rng(seed)
    units, images = rng.permutation(5), rng.permutation(len(maps))
    found = activation_thresholds(maps[images][:, units], fraction, chunk_images=chunk)
    assert found.tobytes() == activation_thresholds(maps, fraction)[units].tobytes()


def test_a_memory_map_on_disk_gives_the_same_thresholds(tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", draw())
    stored = np.load(tmp_path / "maps.npy", mmap_mode="r")
    assert activation_thresholds(stored, 0.05).tolist() == activation_thresholds(draw(), 0.05).tolist()


def test_both_zeros_are_one_value() -> None:
    maps = np.array([0.0, -0.0, 0.0, -0.0], dtype=np.float32).reshape(4, 1, 1, 1)
    assert activation_thresholds(maps, 0.5).tolist() == [0.0]


def test_a_constant_unit_has_its_constant_as_threshold_and_an_empty_range() -> None:
    maps = draw()
    lowest, highest = activation_range(maps, chunk_images=2)
    assert activation_thresholds(maps, 0.05)[2] == lowest[2] == highest[2] == np.float32(0.25)
    assert lowest.tolist() == maps.min(axis=(0, 2, 3)).tolist()
    assert highest.tolist() == maps.max(axis=(0, 2, 3)).tolist()


@pytest.mark.parametrize("bound", [2**28, 0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailscope.dissection.thresholds.MOST_BYTES", bound)
    maps = draw()
    maps[3, 0, 1, 1] = bad
    with pytest.raises(InputError, match="`activations` must be finite"):
        activation_thresholds(maps)


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"`top_fraction` must be in \[0, 1\); got 1.0"):
        activation_thresholds(draw(), 1.0)


def test_upsampled_without_a_size_is_refused() -> None:
    with pytest.raises(InputError, match="`size` must be"):
        activation_thresholds(draw(), at="upsampled")


def test_an_unknown_grid_is_refused() -> None:
    with pytest.raises(InputError, match="`at` must be grid or upsampled; got 'mask'"):
        activation_thresholds(draw(), at="mask")  # type: ignore[arg-type]


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="none of them 0"):
        activation_thresholds(np.zeros((0, 1, 2, 2), dtype=np.float32))
