"""Maps of many pairs, streamed to disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from tailscope.core import ANNOTATION_COLUMNS, ExperimentData, InputError
from tailscope.experiment.map_making import Question, maps_of, other_class, write_maps
from tailscope.models import Network, Preprocessing

COUNT, CLASSES = 7, ("a", "b", "c")
PAIRS = np.array([[0, 0], [0, 2], [1, 1], [3, 0], [4, 2], [6, 1], [6, 2]])


@dataclass
class Named:
    """A map of one cell that says which image and class it is of; counts what it is asked."""

    shares_passes: bool = True
    fails_after: int = 99
    shape: tuple[int, ...] = (1, 1)
    asked: list[tuple[int, list[int]]] = field(default_factory=list)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        if len(self.asked) == self.fails_after:
            raise KeyboardInterrupt
        self.asked.append((len(images), list(classes)))
        number = images.mean(dim=(1, 2, 3)).round()
        cells = torch.stack([10 * number + index for index in classes], dim=1)
        return cells[..., None, None].expand(-1, -1, *self.shape)


def data() -> ExperimentData:
    ids = np.array([f"i{number}" for number in range(COUNT)])
    pixels = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, 4, 4, 1)).copy()
    return ExperimentData(
        name="made",
        classes=CLASSES,
        image_ids=ids,
        patient_ids=ids,
        split=np.full(COUNT, "test"),
        targets=np.ones((COUNT, 3), dtype=np.float32),
        pixels=pixels,
        annotations=pd.DataFrame(columns=list(ANNOTATION_COLUMNS)),
        masks=lambda row, name: None,
        annotated=PAIRS,
        fingerprint="made",
    )


def question(method: Named, size: int = 2) -> Question:
    network = Network(nn.Conv2d(1, 1, 1), Preprocessing((0.0,), (1 / 255,)), {})
    return Question(method, network, data(), PAIRS, size)


EXPECTED = [10 * row + number for row, number in PAIRS.tolist()]


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("size", [1, 2, 50])
def test_each_pair_has_the_map_of_its_own_image_and_class(shares: bool, size: int, tmp_path) -> None:
    asked = question(Named(shares), size)
    assert maps_of(asked).ravel().tolist() == EXPECTED
    write_maps(tmp_path / "maps.npy", asked, "inputs", lambda count: None)
    assert np.load(tmp_path / "maps.npy").ravel().tolist() == EXPECTED


def test_a_method_whose_classes_share_a_pass_sees_each_image_once() -> None:
    method = Named()
    maps_of(question(method))
    assert sum(count for count, _ in method.asked) == 5  # images 0, 1, 3, 4, 6


def test_any_other_method_is_asked_for_no_pair_that_is_not_wanted() -> None:
    method = Named(shares_passes=False)
    maps_of(question(method))
    assert sum(count * len(classes) for count, classes in method.asked) == len(PAIRS)


@pytest.mark.parametrize("shares", [True, False])
def test_a_stream_that_was_stopped_goes_on_and_ends_the_same(shares: bool, tmp_path) -> None:
    place = tmp_path / "maps.npy"
    with pytest.raises(KeyboardInterrupt):
        write_maps(place, question(Named(shares, fails_after=2)), "inputs", lambda count: None)
    assert not place.exists()
    again = Named(shares)
    moved: list[int] = []
    write_maps(place, question(again), "inputs", moved.append)
    whole = Named(shares)
    maps_of(question(whole))
    assert len(again.asked) == len(whole.asked) - 2
    assert sum(moved) == len(PAIRS)
    assert np.load(place).ravel().tolist() == EXPECTED


def test_a_whole_file_of_the_same_inputs_is_not_made_again(tmp_path) -> None:
    for inputs, expected in (("a", 4), ("a", 0), ("b", 4)):
        method = Named()
        moved: list[int] = []
        write_maps(tmp_path / "maps.npy", question(method), inputs, moved.append)
        assert bool(method.asked) == bool(expected)
        assert sum(moved) == len(PAIRS)


def test_maps_of_another_shape_are_refused() -> None:
    class Wrong(Named):
        def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
            return super().__call__(model, images, classes)[:, :, 0]

    with pytest.raises(
        InputError, match=r"Wrong must give finite maps \(2, 3, h, w\); got \(2, 3, 1\); mend the method"
    ):
        maps_of(question(Wrong()))


def test_no_pair_gives_no_map() -> None:
    asked = question(Named())
    assert maps_of(Question(asked.method, asked.network, asked.data, PAIRS[:0], 2)).shape == (0, 1, 1)


def test_the_other_class_is_another_and_does_not_depend_on_the_order() -> None:
    others = other_class(data(), PAIRS)
    assert (others[:, 0] == PAIRS[:, 0]).all()
    assert (others[:, 1] != PAIRS[:, 1]).all()
    assert set(others[:, 1].tolist()) <= {0, 1, 2}
    np.testing.assert_array_equal(other_class(data(), PAIRS[::-1])[::-1], others)
