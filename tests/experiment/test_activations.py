from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tailscope.core import SilentProgress
from tailscope.experiment.activations import Pass
from tailscope.experiment.layer_store import LayerStore, remove_scratch
from tailscope.models import Layer, Network, Preprocessing, find_layer

PIXELS = np.random.default_rng(0).integers(0, 255, (10, 12, 12, 1), dtype=np.uint8)
ROWS = np.array([1, 3, 4, 5, 8, 9, 0])


class Counting(nn.Module):
    """Two convolutions that count the images they see, and stop where they are told to."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.seen, self.limit = 0, 1000

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.seen >= self.limit:
            raise KeyboardInterrupt
        self.seen += len(images)
        return torch.relu(self.second(torch.relu(self.first(images)))).mean(dim=(2, 3))


@pytest.fixture
def network() -> Network:
    return Network(Counting(), Preprocessing((0.5,), (0.25,)), {})


def layers(network: Network) -> tuple[Layer, ...]:
    return tuple(find_layer(network.module, (1, 12, 12), name, coarse=0) for name in ("first", "second"))


def seen(network: Network, batch_size: int = 3) -> Pass:
    found = layers(network)
    network.module.seen = 0
    return Pass(network, found, PIXELS, ROWS, batch_size)


def test_all_layers_come_from_one_pass_rectified(network, tmp_path):
    first, second = seen(network).write([tmp_path / "a.npy", tmp_path / "b.npy"], "inputs", lambda _: None)
    assert network.module.seen == len(ROWS)
    with torch.no_grad():
        images = network.preprocessing(PIXELS[ROWS])
        expected = torch.relu(network.module.first(images))
        np.testing.assert_allclose(first, expected.numpy(), atol=1e-6)
        np.testing.assert_allclose(second, torch.relu(network.module.second(expected)).numpy(), atol=1e-6)


def test_a_pass_that_was_cut_off_goes_on_with_the_next_batch(network, tmp_path):
    places = [tmp_path / "a.npy", tmp_path / "b.npy"]
    whole = seen(network).write([tmp_path / "c.npy", tmp_path / "d.npy"], "inputs", lambda _: None)
    cut = seen(network)
    network.module.limit = 3
    with pytest.raises(KeyboardInterrupt):
        cut.write(places, "inputs", lambda _: None)
    network.module.limit = 1000
    resumed = seen(network)
    found = resumed.write(places, "inputs", lambda _: None)
    assert network.module.seen == len(ROWS) - 3
    for one, other in zip(whole, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_whole_files_of_the_same_inputs_need_no_pass_and_of_others_do(network, tmp_path):
    places = [tmp_path / "a.npy", tmp_path / "b.npy"]
    seen(network).write(places, "inputs", lambda _: None)
    again = seen(network)
    again.write(places, "inputs", lambda _: None)
    assert network.module.seen == 0
    again.write(places, "other weights", lambda _: None)
    assert network.module.seen == len(ROWS)


def test_nothing_of_the_store_is_left_once_it_is_removed(network, tmp_path):
    store = LayerStore(tmp_path, seen(network), "inputs", "run", SilentProgress())
    assert set(store.activations) == {"first", "second"}
    store.kept("first", ("mass",), "settings").place.mkdir(parents=True)
    assert len(list(tmp_path.iterdir())) > 2
    remove_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []
