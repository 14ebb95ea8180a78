"""Grad-CAM against the published maps, captum, the closed form and a slow version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution import ATTRIBUTIONS, GradCam
from tailscope.core import InputError, UnknownNameError
from tailscope.models import MODELS, CoarseGridWarning

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


class TinyNet(nn.Module):
    """The network of the golden cases."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        )
        self.classifier = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def images(count: int = 3, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def golden_network() -> nn.Module:
    arrays = np.load(GOLDEN / "cases" / "gradcam_net.npz")
    weights = {key.removeprefix("w::"): torch.from_numpy(arrays[key]) for key in arrays if key.startswith("w::")}
    module = TinyNet().double().eval()
    unset = module.load_state_dict(weights, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in unset)
    np.testing.assert_allclose(module(torch.from_numpy(arrays["img"])).detach(), arrays["logits"], rtol=1e-10)
    return module


def golden_names() -> list[str]:
    if not GOLDEN.exists():
        return []
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    return [case["name"] for case in cases if case["group"] == "gradcam" and case["oracle"] == "original"]


@pytest.mark.needs_data
@pytest.mark.skipif(not GOLDEN.exists(), reason="../shared is not here")
@pytest.mark.parametrize("name", golden_names())
def test_the_published_maps_are_reproduced(name: str) -> None:
    cases = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    case: dict[str, Any] = next(case for case in cases if case["name"] == name)
    arrays = np.load(GOLDEN / case["file"])
    args = case["args"]
    method = GradCam(args["target_layer"], args["relu_attributions"], args["attribute_to_layer_input"])
    maps = method(golden_network(), torch.from_numpy(arrays["img"]), [args["target"]])
    expected = arrays["attr"]
    np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


def test_a_global_mean_and_a_linear_head_give_the_closed_form() -> None:
    network = MODELS.build("truncated_densenet")(4, 3).module.eval()
    with torch.no_grad():
        activations = network.features(images(2))
        weights = network.classifier.weight
    expected = torch.einsum("kc,bchw->bkhw", weights, activations).relu() / (8 * 8)
    maps = GradCam("features.norm5")(network, images(2), range(4))
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-8)


def test_the_closed_form_holds_behind_a_functional_in_place_relu() -> None:
    network = torchvision.models.densenet121(num_classes=3).eval()
    with torch.no_grad():
        activations = functional.relu(network.features(images(2)))
    expected = torch.einsum("kc,bchw->bkhw", network.classifier.weight, activations).detach() / (2 * 2)
    maps = GradCam("features", relu=False)(network, images(2), range(3))
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("layer", ["layer4", "layer3.0", "layer2"])
def test_captum_gives_the_same_maps(layer: str, relu: bool) -> None:
    network = timm.create_model("resnet18", num_classes=3).eval()
    oracle = LayerGradCam(network, network.get_submodule(layer))
    expected = [oracle.attribute(images(), target=target, relu_attributions=relu) for target in range(3)]
    maps = GradCam(layer, relu=relu)(network, images(), range(3))
    torch.testing.assert_close(maps, torch.cat(expected, dim=1).detach(), rtol=1e-4, atol=1e-7)


def test_a_slow_version_with_one_image_and_one_class_at_a_time_gives_the_same_maps() -> None:
    network = TinyNet().eval()
    rows = []
    for image in images().split(1):
        for target in (4, 0):
            activation = network.features[:7](image).detach().requires_grad_()
            logit = network.classifier(network.features[7:](activation).mean(dim=(2, 3)))[0, target]
            logit.backward()
            weights = activation.grad.mean(dim=(2, 3), keepdim=True)
            rows.append((weights * activation).sum(dim=1).relu().detach()[0])
    maps = GradCam("features.6")(network, images(), [4, 0])
    torch.testing.assert_close(maps.flatten(0, 1), torch.stack(rows), rtol=1e-4, atol=1e-7)


def test_captum_gives_the_same_maps_where_relu_is_not_all_that_follows() -> None:
    class Branching(TinyNet):
        def forward(self, x: Tensor) -> Tensor:
            maps = self.features(x) - 0.2
            maps = self.mix(maps)
            return self.classifier((functional.relu(maps) + 0.1 * maps).mean(dim=(2, 3)))

        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv2d(32, 32, 1)

    network = Branching().eval()
    expected = LayerGradCam(network, network.mix).attribute(images(), target=2, relu_attributions=False).detach()
    maps = GradCam("mix", relu=False)(network, images(), [2])
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-7)


def test_auto_takes_the_last_map() -> None:
    network = TinyNet()
    assert torch.equal(GradCam()(network, images(), [1]), GradCam("features.10")(network, images(), [1]))


def test_auto_warns_of_a_coarse_grid() -> None:
    network = timm.create_model("resnet18", num_classes=2)
    with pytest.warns(CoarseGridWarning, match="2 × 2"):
        GradCam()(network, images(), [0])


def test_no_class_gives_no_map() -> None:
    assert GradCam()(TinyNet(), images(), []).shape == (3, 0, 16, 16)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("gradcam", layer="features.6") == GradCam(layer="features.6")


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no layer is named 'featurs'; nearest: features"):
        GradCam("featurs")(TinyNet(), images(), [0])


@pytest.mark.parametrize("classes", [[5], [0, -1]])
def test_a_class_out_of_range_is_refused(classes: list[int]) -> None:
    with pytest.raises(InputError, match=r"`classes` must lie in 0 … 4; got \[(5|-1)\]"):
        GradCam()(TinyNet(), images(), classes)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"images must be floating \(B, C, H, W\), B at least 1; got \(3, 64, 64\)"):
        GradCam()(TinyNet(), images()[0], [0])


def test_a_layer_without_maps_is_refused() -> None:
    with pytest.raises(InputError, match=r"'classifier' must give maps \(B, C, h, w\) .*; got the shape \(1, 5\)"):
        GradCam("classifier")(TinyNet(), images(), [0])


def test_logits_of_another_shape_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    with pytest.raises(InputError, match=r"must give logits \(B, K\); got \(3, 2, 64, 64\)"):
        GradCam("0")(network, images(), [0])


def test_a_layer_beside_the_way_to_the_logits_is_refused() -> None:
    class Aside(TinyNet):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(3, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return super().forward(x)

    with pytest.raises(InputError, match="no logit depends on layer 'aside'"):
        GradCam("aside")(Aside(), images(), [0])


def test_a_layer_whose_last_activation_leads_nowhere_is_refused() -> None:
    class RunsTwice(TinyNet):
        def forward(self, x: Tensor) -> Tensor:
            logits = super().forward(x)
            self.features(x)
            return logits

    with pytest.raises(InputError, match=r"no logit depends on what layer 'features\.10' gave last"):
        GradCam("features.10")(RunsTwice(), images(), [0])
