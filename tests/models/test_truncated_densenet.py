"""The published architecture, against what the published code computed."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tailscope.models import MODELS, tap

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
needs_golden = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here"),
]


def golden_case(name: str) -> tuple[dict[str, Any], Any]:
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    case = next(case for case in cases if case["name"] == name)
    return case, np.load(GOLDEN / case["file"])


def golden_value(name: str, shape: tuple[int, ...]) -> Tensor:
    """The rule of the manifest's note."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    i = torch.arange(int(np.prod(shape)), dtype=torch.float64)
    s = torch.sin(0.7310585 * i + zlib.crc32(name.encode()) % 1000).reshape(shape)
    if name.endswith("running_var"):
        return 1 + 0.2 * s
    if name.endswith("running_mean"):
        return 0.1 * s
    if len(shape) == 1:
        return 1 + 0.1 * s if name.endswith("weight") else 0.05 * s
    return 1.4 * s * (2 / np.prod(shape[1:])) ** 0.5


def golden_network(module: nn.Module) -> nn.Module:
    state = {name: golden_value(name, tuple(value.shape)) for name, value in module.state_dict().items()}
    module.double().load_state_dict(state)
    return module.eval()


def golden_images() -> Tensor:
    i = torch.arange(2 * 3 * 64 * 64, dtype=torch.float64)
    return torch.cos(0.01 * i + 0.3 * torch.sin(0.0137 * i)).reshape(2, 3, 64, 64)


@pytest.mark.parametrize("num_classes", [15, 14, 1])
class TestAgainstThePublishedNetwork:
    pytestmark = needs_golden

    def test_parameters_have_the_published_names_and_shapes(self, num_classes: int) -> None:
        case, _ = golden_case(f"arch_truncated_densenet_c{num_classes}")
        module = MODELS.build("truncated_densenet")(num_classes, 3).module
        assert [[name, list(value.shape)] for name, value in module.state_dict().items()] == case["state_dict"]
        assert sum(parameter.numel() for parameter in module.parameters()) == case["num_params"]

    def test_logits_and_features_are_the_published_ones(self, num_classes: int) -> None:
        _, arrays = golden_case(f"arch_truncated_densenet_c{num_classes}")
        module = golden_network(MODELS.build("truncated_densenet")(num_classes, 3).module)
        with torch.no_grad(), tap(module, ["features.norm5"]) as taps:
            logits = module(golden_images())
            features = taps["features.norm5"]
        np.testing.assert_allclose(logits, arrays["logits"], rtol=1e-6)
        assert tuple(features.shape) == tuple(arrays["feat_shape"])
        np.testing.assert_allclose(features.mean(dim=(2, 3)), arrays["feat_mean"], rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(features[:, :8, :8, :8], arrays["feat_slice"], rtol=1e-6, atol=1e-12)


@pytest.mark.needs_data
@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")
def test_resnet50_of_timm_gives_the_reference_logits_and_taps() -> None:
    case, arrays = golden_case("arch_resnet50_c15")
    module = golden_network(MODELS.build("timm", name="resnet50")(15, 3).module)
    assert {name: list(value.shape) for name, value in module.state_dict().items()} == dict(case["state_dict"])
    with torch.no_grad(), tap(module, ["layer3.5", "layer4.2"]) as taps:
        logits = module(golden_images())
        means = {name: maps.mean(dim=(2, 3)) for name, maps in taps.items()}
    np.testing.assert_allclose(logits, arrays["logits"], rtol=1e-6)
    np.testing.assert_allclose(means["layer3.5"], arrays["layer3_5_mean"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(means["layer4.2"], arrays["layer4_2_mean"], rtol=1e-6, atol=1e-12)


def test_a_new_network_has_norm_one_and_bias_zero() -> None:
    module: Any = MODELS.build("truncated_densenet")(4, 1).module
    assert torch.equal(module.features.norm5.weight, torch.ones(512))
    assert torch.equal(module.classifier.bias, torch.zeros(4))
    assert module(torch.zeros(1, 1, 32, 32)).shape == (1, 4)
