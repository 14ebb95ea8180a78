"""timm's and torchvision's networks, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from tailscope.core import InputError, UnknownNameError
from tailscope.models import MODELS, Preprocessing


def without_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let timm build what it would have pretrained."""
    create = timm.create_model

    def build(name: str, pretrained: bool, **others: Any) -> Any:
        return create(name, pretrained=False, **others)

    monkeypatch.setattr("tailscope.models.from_timm.timm.create_model", build)


def test_timm_without_weights_takes_the_images_channels() -> None:
    network = MODELS.build("timm", name="resnet18")(3, 1)
    assert network.module.conv1.in_channels == 1
    assert network.preprocessing == Preprocessing((0.5,), (0.25,))


def test_timms_arguments_reach_the_factory() -> None:
    network = MODELS.build("timm", name="resnet18", args={"output_stride": 8})(3, 1)
    assert network.module.forward_features(torch.zeros(1, 1, 64, 64)).shape == (1, 512, 8, 8)


@pytest.mark.parametrize("channels", [1, 3])
def test_timms_weights_keep_three_channels_their_scaling_and_their_tag(
    monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    without_download(monkeypatch)
    network = MODELS.build("timm", name="resnet18", pretrained=True)(3, channels)
    assert network.module.conv1.in_channels == 3
    assert network.preprocessing == Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert network.source["weights"] == "resnet18.a1_in1k"


def test_the_truncated_network_keeps_imagenets_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    without_download(monkeypatch)
    network = MODELS.build("truncated_densenet", pretrained=True)(3, 1)
    assert network.preprocessing.mean == (0.485, 0.456, 0.406)
    assert network.source["weights"] == "densenet121.ra_in1k"


def test_weights_that_cannot_be_fetched_are_the_users_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **settings: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("tailscope.models.from_timm.timm.create_model", offline)
    with pytest.raises(InputError, match=r"timm cannot build 'resnet18' with pretrained=True .*: no route to host"):
        MODELS.build("timm", name="resnet18", pretrained=True)(3, 1)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("timm", {"name": "resnet81"}, "no timm model is named 'resnet81'; nearest: resnet18"),
        ("torchvision", {"name": "resnet81"}, "no torchvision model is named 'resnet81'; nearest: resnet18"),
        (
            "torchvision",
            {"name": "resnet18", "weights": "IMAGENET"},
            "no weights of resnet18 is named 'IMAGENET'; nearest: IMAGENET1K_V1; known are: IMAGENET1K_V1, DEFAULT",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(source: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        MODELS.build(source, **settings)(3, 1)


@pytest.mark.parametrize("source", ["timm", "torchvision"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"num_classes": 5}, "`args` must not hold num_classes"),
        ({"strides": 8}, "cannot build 'resnet18' with .*strides"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(source: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MODELS.build(source, name="resnet18", args=args)(3, 1)


def test_pretrained_weights_refuse_images_of_two_channels() -> None:
    with pytest.raises(InputError, match="pretrained weights take images of 1 or 3 channels; got 2"):
        MODELS.build("timm", name="resnet18", pretrained=True)(3, 2)


def test_torchvision_refuses_images_of_two_channels() -> None:
    with pytest.raises(InputError, match="networks take images of 1 or 3 channels; got 2"):
        MODELS.build("torchvision", name="resnet18")(3, 2)


@pytest.mark.parametrize(
    ("name", "head"), [("resnet18", "fc"), ("squeezenet1_1", "classifier.1"), ("mobilenet_v3_small", "classifier.3")]
)
def test_torchvisions_weights_get_a_new_head_and_keep_the_rest(
    monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    whole = torchvision.models.get_model(name)
    kept = {key: value.clone() for key, value in whole.state_dict().items() if not key.startswith(f"{head}.")}

    def build(name: str, weights: object, progress: bool) -> nn.Module:
        return whole

    monkeypatch.setattr("tailscope.models.from_torchvision.torchvision.models.get_model", build)
    network = MODELS.build("torchvision", name=name, weights="DEFAULT")(3, 1)
    assert network.module.get_submodule(head).weight.shape[0] == 3
    assert all(torch.equal(value, network.module.state_dict()[key]) for key, value in kept.items())
    assert network.preprocessing == Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert network.source["weights"] == "IMAGENET1K_V1"
    assert network.module.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_weights_without_a_head_to_replace_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str, weights: object, progress: bool) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 7))

    monkeypatch.setattr("tailscope.models.from_torchvision.torchvision.models.get_model", build)
    with pytest.raises(InputError, match="Sequential has no head with 1000 outputs to replace; load no weights"):
        MODELS.build("torchvision", name="resnet18", weights="DEFAULT")(3, 3)
