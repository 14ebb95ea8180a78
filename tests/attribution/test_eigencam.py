"""Eigen-CAM against numpy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution.eigencam import EigenCam
from tailscope.attribution.registry import ATTRIBUTIONS

from .cam_cases import SignedNet, SmallNet, close, images, small, vit


def by_numpy(activation: Tensor) -> np.ndarray:
    """(C, h, w) to A · v in the sign of its sum."""
    rows = activation.detach().double().flatten(1).T.numpy()
    _, _, right = np.linalg.svd(rows, full_matrices=False)
    along = rows @ right[0]
    return (along * np.sign(along.sum())).reshape(activation.shape[1:])


class Wide(SignedNet):
    """More channels than places."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(6, 40, 3, padding=1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 2))


class Identity(nn.Module):
    """The layer ``maps`` gives the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Upsample(scale_factor=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean(dim=(2, 3))


@pytest.mark.parametrize("build", [SmallNet, SignedNet, Wide])
def test_numpy_gives_the_same_maps(build: type[SmallNet]) -> None:
    network = small(build)
    expected = np.stack([by_numpy(one) for one in network.before(images())])[:, None]
    close(EigenCam("second")(network, images(), [0]), torch.from_numpy(expected))


def test_numpy_gives_the_same_map_of_patch_tokens() -> None:
    network = vit()
    given: list[Tensor] = []
    network.blocks[1].norm1.register_forward_hook(lambda _, __, output: given.append(output.detach()))
    network(images(size=32))
    patches = given[0][:, 3:].transpose(1, 2).reshape(3, 12, 4, 4)
    expected = np.stack([by_numpy(one) for one in patches])[:, None]
    close(EigenCam("blocks.1.norm1")(network, images(size=32), [0]), torch.from_numpy(expected))


def test_activations_are_not_centred() -> None:
    """Two equal places: centred they would be 0; as they are, their length is √(3² + 4²)."""
    image = torch.tensor([[[[3.0, 3.0]], [[4.0, 4.0]]]])
    assert EigenCam("maps")(Identity(), image, [0]).flatten().tolist() == pytest.approx([5.0, 5.0])


def test_rectified_activations_give_no_negative_value() -> None:
    maps = EigenCam("second")(small(), images(), [0])
    assert float(maps.min()) >= -1e-6 * float(maps.max())


def test_the_sign_is_that_of_the_sum() -> None:
    image = torch.tensor([[[[1.0, -5.0, 2.0]]]])
    assert EigenCam("maps")(Identity(), image, [0]).flatten().tolist() == pytest.approx([-1.0, 5.0, -2.0])
    assert EigenCam("maps")(Identity(), -image, [0]).flatten().tolist() == pytest.approx([-1.0, 5.0, -2.0])


def test_where_the_sum_is_0_the_first_of_the_largest_values_is_positive() -> None:
    image = torch.tensor([[[[-2.0, 1.0, 2.0, -1.0]]]])
    for sign in (1.0, -1.0):
        maps = EigenCam("maps")(Identity(), sign * image, [0])
        assert maps.flatten().tolist() == pytest.approx([2.0, -1.0, -2.0, 1.0])


def test_silent_activations_give_a_map_of_zeros() -> None:
    assert EigenCam("maps")(Identity(), torch.zeros(1, 1, 2, 2), [0]).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]


def test_every_class_gets_the_same_map() -> None:
    maps = EigenCam("second")(small(), images(), [3, 0, 3])
    assert torch.equal(maps[:, 0], maps[:, 1])
    assert torch.equal(maps[:, 0], maps[:, 2])


def test_a_network_without_gradients_has_a_map() -> None:
    class Detached(SmallNet):
        def after(self, activations: Tensor) -> Tensor:
            return self.head(activations.detach())

    assert torch.equal(EigenCam("second")(small(Detached), images(), [0]), EigenCam("second")(small(), images(), [0]))


def test_no_class_gives_no_map() -> None:
    assert EigenCam("second")(small(), images(), []).shape == (3, 0, 4, 4)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("eigencam", layer="second") == EigenCam("second")
