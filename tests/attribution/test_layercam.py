"""LayerCAM against a case by hand and a slow version."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tailscope.attribution.hirescam import HiResCam
from tailscope.attribution.layercam import LayerCam
from tailscope.attribution.registry import ATTRIBUTIONS

from .cam_cases import K, SignedNet, close, images, one_by_one, small


def from_the_paper(activation: Tensor, gradient: Tensor) -> Tensor:
    result = torch.zeros(activation.shape[1:])
    for maps, slopes in zip(activation, gradient, strict=True):
        for place in range(result.numel()):
            result.view(-1)[place] += max(float(slopes.flatten()[place]), 0.0) * maps.flatten()[place]
    return result.relu()


def linear_network() -> nn.Module:
    """Two channels x and −2x of an image of two pixels; the logit is Σ a·A with the slopes below."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten(), nn.Linear(4, 1, bias=False))
    network[0].weight.data.copy_(torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1))
    network[2].weight.data.copy_(torch.tensor([[3.0, -1.0, 0.5, 4.0]]))
    return network


def test_a_linear_case_by_hand() -> None:
    """A = [1, 3] and [−2, −6]; slopes [3, −1] and [.5, 4]: 3·1 + .5·(−2) = 2 and 0·3 + 4·(−6) = −24."""
    image = torch.tensor([[[[1.0, 3.0]]]])
    assert LayerCam("0", relu=False)(linear_network(), image, [0]).tolist() == [[[[2.0, -24.0]]]]
    assert LayerCam("0")(linear_network(), image, [0]).tolist() == [[[[2.0, 0.0]]]]


def test_a_slow_version_place_by_place_gives_the_same_maps() -> None:
    for build in (None, SignedNet):
        network = small(build) if build else small()
        close(LayerCam("second")(network, images(), [2, 0]), one_by_one(network, from_the_paper, [2, 0]))


def test_where_no_gradient_is_negative_it_is_hirescam() -> None:
    network = small()
    network.head = nn.Sequential(nn.Flatten(), nn.Linear(80, K))
    network.head[1].weight.data.abs_()
    close(LayerCam("second")(network, images(), [1, 2]), HiResCam("second")(network, images(), [1, 2]))


def test_the_outer_relu_changes_nothing_on_rectified_activations() -> None:
    network = small()
    assert torch.equal(
        LayerCam("second")(network, images(), range(K)), LayerCam("second", relu=False)(network, images(), range(K))
    )


def test_no_class_gives_no_map() -> None:
    assert LayerCam("second")(small(), images(), []).shape == (3, 0, 4, 4)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("layercam", relu=False) == LayerCam(relu=False)
