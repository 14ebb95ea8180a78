"""Networks filled from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tailscope.core import InputError, UnknownNameError
from tailscope.models import MODELS, Network, Preprocessing, read_weights, write_weights

SOURCE = {"source": "timm", "name": "test_resnet"}
SCALING = Preprocessing((0.25,), (0.5,))


@pytest.fixture
def trained() -> Network:
    torch.manual_seed(11)
    return MODELS.build("timm", name="test_resnet")(3, 1)


def load(path: Path, num_classes: int = 3, **settings: Any) -> Network:
    return MODELS.build("checkpoint", path=path, network=SOURCE, **settings)(num_classes, 1)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    state = second.state_dict()
    return all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def test_what_was_written_is_read_with_its_scaling(tmp_path: Path, trained: Network) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, trained.module, SCALING)
    network = load(path)
    assert same_weights(network.module, trained.module)
    assert network.preprocessing == SCALING
    assert (network.missing, network.unexpected) == ((), ())
    assert network.source["network"]["name"] == "test_resnet"


def test_a_scaling_in_the_settings_wins(tmp_path: Path, trained: Network) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, trained.module, SCALING)
    network = load(path, preprocessing={"mean": [0.125], "std": [1]})
    assert network.preprocessing == Preprocessing((0.125,), (1.0,))


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_files_are_read(tmp_path: Path, trained: Network, wrapper: str | None, prefix: str) -> None:
    state = {prefix + name: value for name, value in trained.module.state_dict().items()}
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, tmp_path / "weights.pt")
    network = load(tmp_path / "weights.pt")
    assert same_weights(network.module, trained.module)
    assert network.preprocessing == Preprocessing.untrained(1)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights.pt is no file of weights that can be read safely"):
        load(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_broken_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=f"{name} is no file of weights that can be read safely"):
        load(tmp_path / name)


def test_a_file_without_a_mapping_of_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="it holds no mapping of names to tensors"):
        read_weights(tmp_path / "weights.pt")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file of weights; there is none at .*absent\.pt"):
        load(tmp_path / "absent.pt")


def test_names_that_do_not_fit_are_all_listed(tmp_path: Path, trained: Network) -> None:
    state = trained.module.state_dict()
    state["head.weight"] = state.pop("fc.weight")
    state["head.bias"] = state.pop("fc.bias")
    torch.save(state, tmp_path / "weights.pt")
    message = r"missing: fc.weight, fc.bias. unexpected: head.weight, head.bias. Correct `network` or `path`"
    with pytest.raises(InputError, match=message):
        load(tmp_path / "weights.pt")
    network = load(tmp_path / "weights.pt", strict=False)
    assert network.missing == ("fc.weight", "fc.bias")
    assert network.unexpected == ("head.weight", "head.bias")


@pytest.mark.parametrize("strict", [True, False])
def test_other_shapes_are_refused(tmp_path: Path, trained: Network, strict: bool) -> None:
    write_weights(tmp_path / "weights.safetensors", trained.module, SCALING)
    with pytest.raises(InputError, match=r"other shapes: fc.weight is \(3, 96\), expected \(5, 96\); fc.bias"):
        load(tmp_path / "weights.safetensors", num_classes=5, strict=strict)


def test_a_network_without_a_source_is_refused(tmp_path: Path, trained: Network) -> None:
    write_weights(tmp_path / "weights.safetensors", trained.module, SCALING)
    with pytest.raises(InputError, match=r"`network` must say which source the weights fill; got \{'name': 'x'\}"):
        MODELS.build("checkpoint", path=tmp_path / "weights.safetensors", network={"name": "x"})(3, 1)


def test_an_unknown_source_is_refused(tmp_path: Path, trained: Network) -> None:
    write_weights(tmp_path / "weights.safetensors", trained.module, SCALING)
    with pytest.raises(UnknownNameError, match=r"no model is named 'tim'; did you mean 'timm'\?"):
        MODELS.build("checkpoint", path=tmp_path / "weights.safetensors", network={"source": "tim"})(3, 1)
