from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection import activation_thresholds, unit_concept_counts
from tailscope.dissection.cells import cell_grid
from tailscope.dissection.device_counts import device_counts

GRIDS = [((7, 7), (32, 32)), ((5, 9), (13, 11)), ((8, 8), (3, 5)), ((1, 1), (4, 4)), ((56, 3), (60, 50))]


def draw(grid: tuple[int, int], size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.standard_normal((4, 6, *grid)), 0).astype(np.float32)
    maps[:, 2] = 0.1
    maps[0, 4] = 9
    maps[:, 3] = rng.integers(-1, 2, maps[:, 3].shape)
    masks = rng.random((4, 3, *size)) < 0.3
    masks[:, 1] = False
    return maps, masks


def compare(device: str, grid: tuple[int, int], size: tuple[int, int], block_values: int) -> None:
    maps, masks = draw(grid, size)
    thresholds = activation_thresholds(maps, 0.3)
    expected = unit_concept_counts(maps, thresholds, masks)
    found = device_counts(
        torch.from_numpy(maps).to(device),
        thresholds,
        torch.from_numpy(masks),
        cell_grid(grid, size),
        block_values=block_values,
    )
    assert found[0].tolist() == expected.intersection.tolist()
    assert found[1].tolist() == expected.activated.tolist()
    assert found[2].tolist() == expected.concept.tolist()
    assert {counts.dtype for counts in found} == {np.dtype(np.int64)}
    assert expected.activated.sum() > 0


@pytest.mark.parametrize("block_values", [1, 5000, 2**24])
@pytest.mark.parametrize(("grid", "size"), GRIDS)
def test_counts_are_those_of_the_compiled_loops_for_any_block(
    grid: tuple[int, int], size: tuple[int, int], block_values: int
) -> None:
    compare("cpu", grid, size, block_values)


def test_no_map_above_its_threshold_gives_zeros() -> None:
    maps, masks = draw((7, 7), (8, 8))
    found = device_counts(
        torch.from_numpy(maps), np.full(6, 99, dtype=np.float32), torch.from_numpy(masks), cell_grid((7, 7), (8, 8))
    )
    assert (found[0].sum(), found[1].sum(), found[2].tolist()) == (0, 0, masks.sum(axis=(0, 2, 3)).tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    maps, masks = draw((7, 7), (8, 8))
    maps[1, 1, 1, 1] = bad
    with pytest.raises(InputError, match="`activations` must be finite"):
        device_counts(
            torch.from_numpy(maps), np.zeros(6, dtype=np.float32), torch.from_numpy(masks), cell_grid((7, 7), (8, 8))
        )


def test_a_tensor_on_the_cpu_is_counted_like_an_array() -> None:
    maps, masks = draw((7, 7), (32, 32))
    thresholds = activation_thresholds(maps, 0.3)
    found = unit_concept_counts(torch.from_numpy(maps), thresholds, torch.from_numpy(masks))
    assert found.intersection.tolist() == unit_concept_counts(maps, thresholds, masks).intersection.tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("grid", "size"), GRIDS)
def test_a_gpu_gives_the_counts_of_the_cpu(grid: tuple[int, int], size: tuple[int, int]) -> None:
    compare("cuda", grid, size, 5000)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_activations_on_a_gpu_are_counted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, masks = draw((7, 7), (32, 32))
    thresholds = activation_thresholds(maps, 0.3)
    expected = unit_concept_counts(maps, thresholds, masks)
    monkeypatch.setattr("tailscope.dissection.counts.pooled_above", None)
    for some in (masks, torch.from_numpy(masks), torch.from_numpy(masks).cuda()):
        found = unit_concept_counts(torch.from_numpy(maps).cuda(), thresholds, some, chunk_images=3)
        assert found.intersection.tolist() == expected.intersection.tolist()
