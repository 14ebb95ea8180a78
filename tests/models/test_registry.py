"""What every model source promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tailscope.core import canonical_json
from tailscope.models import MODELS, Network, find_layer, write_weights

SETTINGS: dict[str, dict[str, Any]] = {
    "timm": {"name": "test_resnet", "args": {"output_stride": 8}},
    "torchvision": {"name": "resnet18"},
    "truncated_densenet": {},
}
FILLED = {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}}


@pytest.fixture(params=MODELS.names())
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    settings = SETTINGS.get(request.param)

    def make(num_classes: int, channels: int) -> Network:
        if settings is not None:
            return MODELS.build(request.param, **settings)(num_classes, channels)
        path = tmp_path / "weights.safetensors"
        if not path.exists():
            made = MODELS.build("timm", name="test_resnet")(num_classes, channels)
            write_weights(path, made.module, made.preprocessing)
        return MODELS.build(request.param, path=str(path), network=FILLED)(num_classes, channels)

    return make


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_finite_logits_that_repeat_in_eval_mode(build: Any, channels: int) -> None:
    network = build(5, channels)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, channels), dtype=np.uint8)
    module = network.module.eval()
    with torch.no_grad():
        logits = module(network.preprocessing(pixels))
        assert torch.equal(module(network.preprocessing(pixels)), logits)
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_the_same_seed_gives_the_same_weights(build: Any) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build(2, 1).module.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_origin_can_be_written_as_json(build: Any) -> None:
    source = build(2, 1).source
    assert json.loads(canonical_json(source)) == source
    assert (source["source"] in MODELS.names(), source["num_classes"], source["channels"]) == (True, 2, 1)


def test_a_layer_to_look_at_is_found(build: Any) -> None:
    network = build(2, 3)
    found = find_layer(network.module, (network.preprocessing.channels, 64, 64), coarse=0)
    assert found.name in dict(network.module.named_modules())
