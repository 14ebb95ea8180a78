"""What every registered attribution promises, on small networks of every build."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.models import MODELS

pytestmark = pytest.mark.filterwarnings("ignore::tailscope.models.layers.CoarseGridWarning")

K = 4
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "timm_test_resnet": lambda: timm.create_model("test_resnet", num_classes=K, output_stride=8),
    "timm_test_efficientnet": lambda: timm.create_model("test_efficientnet", num_classes=K),
    "timm_test_convnext": lambda: timm.create_model("test_convnext", num_classes=K),
    "torchvision_resnet18": lambda: torchvision.models.resnet18(num_classes=K),
    "torchvision_densenet121": lambda: torchvision.models.densenet121(num_classes=K),
    "truncated_densenet": lambda: MODELS.build("truncated_densenet")(K, 3).module,
}


@pytest.fixture(params=ATTRIBUTIONS.names())
def attribute(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    return ATTRIBUTIONS.build(request.param)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(3)
    return NETWORKS[request.param]()


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def hooks_on(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for part in module.modules() for kind in kinds)


def test_maps_are_finite_float32_with_one_per_image_and_class(
    attribute: Callable[..., Tensor], network: nn.Module
) -> None:
    maps = attribute(network, images(), [2, 0])
    assert maps.shape[:2] == (3, 2)
    assert maps.ndim == 4
    assert maps.dtype == torch.float32
    assert torch.isfinite(maps).all()
    assert not maps.requires_grad


def test_a_batch_gives_what_its_images_give_one_by_one(attribute: Callable[..., Tensor], network: nn.Module) -> None:
    together = attribute(network, images(), range(K))
    alone = torch.cat([attribute(network, image, range(K)) for image in images().split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(together.abs().max()))


def test_the_order_of_classes_is_that_of_the_question(attribute: Callable[..., Tensor], network: nn.Module) -> None:
    every = attribute(network, images(), range(K))
    asked = attribute(network, images(), [3, 1, 3])
    torch.testing.assert_close(asked, every[:, [3, 1, 3]], rtol=1e-5, atol=1e-5 * float(every.abs().max()))


def test_the_network_is_left_as_it_was(attribute: Callable[..., Tensor], network: nn.Module) -> None:
    network.train()
    first, second, *rest = network.parameters()
    first.requires_grad_(False)
    second.grad = torch.ones_like(second)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    given = images()
    attribute(network, given, [1])
    assert hooks_on(network) == 0
    assert all(part.training for part in network.modules())
    assert not first.requires_grad
    assert all(parameter.requires_grad for parameter in (second, *rest))
    assert torch.equal(second.grad, torch.ones_like(second))
    assert all(parameter.grad is None for parameter in rest)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(given, images())


def test_logits_are_the_same_bits_afterwards(attribute: Callable[..., Tensor], network: nn.Module) -> None:
    network.eval()
    with torch.no_grad():
        before = network(images())
        attribute(network, images(), [0, 1])
        assert torch.equal(network(images()), before)


def test_nothing_is_left_after_an_error(attribute: Callable[..., Tensor], network: nn.Module) -> None:
    network.train()
    with pytest.raises(ValueError, match="classes"):
        attribute(network, images(), [K])
    with pytest.raises(RuntimeError, match="channels"):
        attribute(network, images()[:, :2], [0])
    assert hooks_on(network) == 0
    assert all(part.training for part in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_autograd_is_off(attribute: Callable[..., Tensor], mode: Callable[[], object]) -> None:
    network = NETWORKS["timm_test_resnet"]().eval()
    expected = attribute(network, images(), [0])
    with mode():
        assert torch.equal(attribute(network, images(), [0]), expected)
