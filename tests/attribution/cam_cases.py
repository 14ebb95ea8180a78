"""What the tests of the CAM family share: small networks, and their activations and gradients one image at a time."""

from __future__ import annotations

from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

K = 4


class SmallNet(nn.Module):
    """Two convolutions, each with its ReLU, and a head that is neither a mean nor linear."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.second = nn.Conv2d(6, 5, 3, padding=1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 16, 8), nn.Tanh(), nn.Linear(8, K))

    def before(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu()).relu()

    def after(self, activations: Tensor) -> Tensor:
        return self.head(activations)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.before(x))


class PooledNet(SmallNet):
    """Global mean and a linear layer behind the last maps."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, K))


class SignedNet(SmallNet):
    """Without the last ReLU, so that activations have either sign."""

    def before(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


def small(build: Callable[[], SmallNet] = SmallNet) -> SmallNet:
    torch.manual_seed(5)
    return build().eval()


def vit() -> nn.Module:
    torch.manual_seed(5)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": K}
    return timm.create_model("vit_tiny_patch16_224", reg_tokens=2, **sizes).eval()


def images(count: int = 3, size: int = 8) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def activation_and_gradient(network: SmallNet, image: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """A and ∂x/∂A, (C, h, w), of one image (1, 3, H, W) and one class."""
    activation = network.before(image).detach().requires_grad_()
    network.after(activation)[0, target].backward()
    return activation.detach()[0], activation.grad[0]


def one_by_one(network: SmallNet, rule: Callable[[Tensor, Tensor], Tensor], classes: list[int]) -> Tensor:
    """The maps of ``rule(A, gradient)``, (h, w), for every image and class."""
    return torch.stack(
        [
            torch.stack([rule(*activation_and_gradient(network, image, target)) for target in classes])
            for image in images().split(1)
        ]
    )


def close(got: Tensor, expected: Tensor) -> None:
    """Equal to rounding at the size of the largest value, which is not 0."""
    largest = float(expected.abs().max())
    assert largest > 0
    torch.testing.assert_close(got, expected.to(got.dtype), rtol=1e-4, atol=1e-6 * largest)
