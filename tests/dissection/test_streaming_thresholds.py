from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection import activation_thresholds
from tailscope.dissection.streaming_thresholds import ThresholdAccumulator, Thresholds

SMALL = 4 * 5 * 257  # bytes: the least that a sketch of five units takes


def draw(images: int = 60, seed: int = 0) -> NDArray[np.float32]:
    """Five units: plain, after a ReLU, dead, tied and negative."""
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((images, 5, 4, 5)).astype(np.float32)
    maps[:, 1] = np.maximum(maps[:, 1], 0)
    maps[:, 2] = 0.1
    maps[:, 3] = rng.integers(-2, 3, maps[:, 3].shape)
    maps[:, 4] = -np.abs(maps[:, 4])
    return maps


def oracle(maps: NDArray[np.float32], fraction: float) -> list[float]:
    """The least value of each unit whose strict upper share is at most the fraction."""
    levels = []
    for unit in maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1):
        values = np.unique(unit)
        shares = np.array([(unit > value).mean() for value in values])
        levels.append(float(values[shares <= fraction].min()))
    return levels


def streamed(maps: NDArray[np.float32], fraction: float, batch: int = 7, **options: int) -> Thresholds:
    stream = ThresholdAccumulator(maps.shape[1], maps[:, 0].size, fraction, **options)
    for start in range(0, len(maps), batch):
        stream.add(maps[start : start + batch])
    return stream.finish()


@pytest.mark.parametrize("fraction", [0.0, 0.005, 0.05, 0.29, 0.5, 0.99])
def test_one_pass_finds_the_exact_order_statistic(fraction: float) -> None:
    found = streamed(draw(), fraction)
    assert found.values.tolist() == oracle(draw(), fraction)
    assert found.values.tolist() == activation_thresholds(draw(), fraction).tolist()
    assert (found.rank_error.tolist(), found.is_exact) == ([0] * 5, True)


@pytest.mark.parametrize("most_bytes", [SMALL, 2**15, 2**16])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6])
def test_a_sketch_keeps_the_strict_upper_share_and_its_rank_error_holds(fraction: float, most_bytes: int) -> None:
    maps = draw(3000)
    found = streamed(maps, fraction, 500, most_bytes=most_bytes)
    exact = np.array(oracle_by_sorting(maps, fraction))
    values = maps.transpose(1, 0, 2, 3).reshape(5, -1)
    passed = ((values > exact[:, None]) & (values <= found.values[:, None])).sum(axis=1)
    assert not found.is_exact
    assert ((values > found.values[:, None]).mean(axis=1) <= fraction).all()
    assert (found.values >= exact).all()
    assert (passed <= found.rank_error).all()
    assert (found.rank_error <= fraction * values.shape[1]).all()


def oracle_by_sorting(maps: NDArray[np.float32], fraction: float) -> list[float]:
    values = np.sort(maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1), axis=1)
    return values[:, values.shape[1] - 1 - int(np.floor(fraction * values.shape[1] + 1e-9))].tolist()


def test_more_memory_makes_the_sketch_finer() -> None:
    maps = draw(3000)
    coarse, fine = (streamed(maps, 0.3, 500, most_bytes=size).rank_error[0] for size in (SMALL, 2**20 // 4))
    assert fine < coarse / 10


def test_a_unit_that_is_mostly_zero_is_exact_even_in_a_sketch() -> None:
    maps = draw(3000)
    maps[:, 1] *= np.random.default_rng(1).random(maps[:, 1].shape) < 0.1
    found = streamed(maps, 0.3, 500, most_bytes=SMALL)
    assert (found.values[1], found.rank_error[1]) == (0.0, 0)


def test_a_sketch_of_the_largest_numbers_stays_finite() -> None:
    maps = np.full((200, 5, 4, 5), np.finfo(np.float32).max, dtype=np.float32)
    maps[:, 1] *= -1
    found = streamed(maps, 0.99, most_bytes=SMALL)
    assert np.isfinite(found.values).all()
    assert (found.values >= maps[0, :, 0, 0]).all()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 30),
    shards=st.integers(1, 4),
    fraction=st.sampled_from([0.0, 0.01, 0.2, 0.7]),
    most_bytes=st.sampled_from([SMALL, 2**28]),
)
def test_neither_batch_nor_order_nor_shards_nor_unit_order_change_a_bit(
    seed: int, batch: int, shards: int, fraction: float, most_bytes: int
) -> None:
    maps = draw(40, seed % 1000)
    rng = np.random.default_rng(seed)
    units = rng.permutation(5)
    parts = [ThresholdAccumulator(5, maps[:, 0].size, fraction, most_bytes=most_bytes) for _ in range(shards)]
    order = rng.permutation(40)
    for number, part in enumerate(parts):
        own = order[number::shards]
        for start in range(0, len(own), batch):
            part.add(maps[own[start : start + batch]][:, units])
    both = pickle.loads(pickle.dumps(parts[0]))
    for part in parts[1:]:
        both = both + part
    whole, found = streamed(maps, fraction, 40, most_bytes=most_bytes), both.finish()
    assert found.values.tobytes() == whole.values[units].tobytes()
    assert found.rank_error.tolist() == whole.rank_error[units].tolist()
    assert found.is_exact == whole.is_exact


def test_adding_shards_leaves_them_as_they_are() -> None:
    maps = draw(20)
    first, second = (ThresholdAccumulator(5, 400, 0.1) for _ in range(2))
    first.add(maps[:10])
    second.add(maps[10:])
    both = first + second
    first.add(maps[10:])
    assert first.finish().values.tolist() == both.finish().values.tolist()


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.maximum(np.random.default_rng(0).standard_normal((40, 300, 8, 8)), 0).astype(np.float32)
    for most_bytes in (2**28, 4 * 300 * 257):
        found = []
        for threads in (1, 3):
            monkeypatch.setattr("tailscope.dissection.threads.config.NUMBA_NUM_THREADS", threads)
            found.append(streamed(maps, 0.2, 20, most_bytes=most_bytes))
        assert found[0].values.tobytes() == found[1].values.tobytes()
        assert found[0].rank_error.tolist() == found[1].rank_error.tolist()


def test_both_zeros_are_one_value() -> None:
    for signs in ([0.0, -0.0], [-0.0, 0.0]):
        maps = np.array(signs * 2, dtype=np.float32).reshape(4, 1, 1, 1)
        assert streamed(maps, 0.5).values.tobytes() == np.zeros(1, dtype=np.float32).tobytes()


@pytest.mark.parametrize("most_bytes", [SMALL, 2**28])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float, most_bytes: int) -> None:
    maps = draw()
    maps[3, 0, 1, 1] = bad
    with pytest.raises(InputError, match="`activations` must be finite"):
        streamed(maps, 0.9, most_bytes=most_bytes)


def test_a_stream_that_ends_early_is_refused() -> None:
    stream = ThresholdAccumulator(5, 1200, 0.1)
    stream.add(draw(59))
    with pytest.raises(InputError, match=r"expected `total` = 1200 values of each unit; saw 1180"):
        stream.finish()


def test_a_stream_longer_than_told_is_refused() -> None:
    stream, other = ThresholdAccumulator(5, 1200, 0.1), ThresholdAccumulator(5, 1200, 0.1)
    stream.add(draw(60))
    with pytest.raises(InputError, match="expected `total` = 1200"):
        stream.add(draw(1))
    other.add(draw(1))
    with pytest.raises(InputError, match="expected `total` = 1200"):
        stream.merge(other)


@pytest.mark.parametrize("maps", [np.zeros((2, 4, 3, 3)), np.zeros((2, 5, 3))])
def test_maps_of_another_shape_are_refused(maps: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match=r"`maps` must be \(n, 5, h, w\)"):
        ThresholdAccumulator(5, 1200, 0.1).add(maps)


def test_shards_of_different_streams_are_refused() -> None:
    with pytest.raises(InputError, match="shards must agree"):
        ThresholdAccumulator(5, 1200, 0.1) + ThresholdAccumulator(5, 1200, 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 5, 0.1), "`units` and `total`"), ((5, 0, 0.1), "`units` and `total`"), ((5, 5, 1.0), "`top_fraction`")],
)
def test_settings_out_of_range_are_refused(arguments: tuple[int, int, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ThresholdAccumulator(*arguments)


def test_a_bound_too_small_for_any_sketch_names_the_least() -> None:
    with pytest.raises(InputError, match=f"`most_bytes` must be {SMALL} or more for 5 units; got 100"):
        ThresholdAccumulator(5, 10**6, 0.1, most_bytes=100)
