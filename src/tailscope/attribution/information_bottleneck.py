"""How much information about the class each position of a layer has to let through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.asking import asking, require_gradients, require_images, require_logits
from tailscope.attribution.blur_pyramid import blur
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_between, require_whole
from tailscope.core import InputError, child_seed
from tailscope.models import Layer, find_layer

_START = 5.0  # sigmoid(5) = 0.993: nearly everything passes
_CONSTANT = 1e-6  # a channel that varies less than this share of the largest activation says nothing


@ATTRIBUTIONS.register("information_bottleneck")
@dataclass(frozen=True)
class InformationBottleneck:
    """Bits per position that must pass a layer for the class to be found, 0 or more; larger matters more.

    Noise takes the place of a layer's values R: ``Z = λR + (1 − λ)ε``, where ε is drawn as R is distributed. Each image
    and class has its own λ, one number per unit, optimised to keep the class while little passes: Adam lowers
    ``−log sigmoid(x_c) + β · mean over units of KL(P(Z|R) ‖ Q(Z))``. The map is the KL summed over the channels.

    Where this differs from the paper:
        - it has a softmax and takes ``−log softmax``; labels that stand side by side take the sigmoid of their logit;
        - it estimates mean and deviation of ε per unit on 10,000 images. A call here has but its own images, and a map
          must not depend on its neighbours in the batch: each channel's are those over the positions of the image
          itself. A channel that is constant over the image lets nothing through;
        - the noise of a step is one draw for all images and classes, so that maps compare.

    A pass holds the noise samples of one image and class, which makes a map the same bits in any batch. It costs
    ``steps · samples`` passes per image and class.

    Args:
        layer: Dotted name, or ``"auto"`` for the last spatial map. The paper takes a layer midway, whose grid is finer.
            The values are those that the layer itself gives, before any ReLU behind it.
        beta: Price of information: larger lets less through.
        steps: Of Adam.
        learning_rate: Of Adam.
        samples: Draws of noise in each step.
        smoothing: Standard deviation, in cells, of the Gaussian that smooths λ over the grid; 0 leaves it rough.
        seed: Of the noise.

    Source: Schulz, Sixt, Tombari, Landgraf, Restricting the Flow: Information Bottlenecks for Attribution, ICLR 2020,
    eq. 2–7, the per-sample bottleneck, with its settings (β = 10 per unit, 10 steps, 10 samples, σ_s = 1).

    Example:
        >>> network = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> image = torch.tensor([[[[9.0, 0.0], [0.0, 0.0]]]])
        >>> maps = InformationBottleneck(layer="0", beta=1e6)(network, image, [0])
        >>> maps.shape, bool((maps < 0.01).all())
        (torch.Size([1, 1, 2, 2]), True)
    """

    layer: str = "auto"
    beta: float = 10.0
    steps: int = 10
    learning_rate: float = 1.0
    samples: int = 10
    smoothing: float = 1.0
    seed: int = 0

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_between("beta", self.beta, 0, math.inf)
        require_between("learning_rate", self.learning_rate, 0, math.inf)
        require_whole("steps", self.steps)
        require_whole("samples", self.samples)
        require_whole("seed", self.seed, least=0)
        if self.smoothing != 0:
            require_between("smoothing", self.smoothing, 0, math.inf)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32, in bits; the contract is that of ``Attribution``.

        Raises:
            UnknownNameError: The model has no such layer.
            InputError: Images, classes or logits of a wrong shape; the layer gives no map, runs several times, or no
                logit depends on it.

        Warns:
            CoarseGridWarning: ``auto`` found fewer than 8 rows or columns.
        """
        require_images(images)
        found = find_layer(model, images[:1], self.layer, coarse=8 if self.layer == "auto" else 0)
        with asking(model, gradients=True):
            maps = images.new_zeros(len(images), len(classes), *found.grid, dtype=torch.float32)
            for row, image in enumerate(torch.split(images.detach().clone(), 1)):
                values = _values(model, found, image, classes)
                for column, index in enumerate(classes):
                    maps[row, column] = self._map(model, found, image, values, index)
        return maps

    def _map(self, model: nn.Module, layer: Layer, image: Tensor, values: Tensor, index: int) -> Tensor:
        """(h, w) bits for one image and class."""
        deviation, mean = torch.std_mean(values, dim=(1, 2), correction=0, keepdim=True)
        speaks = deviation > _CONSTANT * values.abs().amax()
        deviation = torch.where(speaks, deviation, 1.0)
        standard = torch.where(speaks, (values - mean) / deviation, 0.0)
        gates = torch.full_like(values, _START, requires_grad=True)
        optimiser = torch.optim.Adam([gates], lr=self.learning_rate)
        crowd = image.expand(self.samples, -1, -1, -1)
        for step in range(self.steps):
            lost = self._lost(gates)
            noise = self._noise(step, values)
            mixed = mean + deviation * ((1 - lost) * standard + lost * noise)
            with _replaced(model, layer, torch.where(speaks, mixed, mean)):
                logits = model(crowd)
            require_gradients(logits, f"layer {layer.name!r}")
            evidence = functional.logsigmoid(logits[:, index].float()).mean()
            price = self.beta * (speaks * information(standard, lost)).mean()
            (gates.grad,) = torch.autograd.grad(price - evidence, gates)
            optimiser.step()
        with torch.no_grad():
            return (speaks * information(standard, self._lost(gates))).sum(dim=0) / math.log(2)

    def _lost(self, gates: Tensor) -> Tensor:
        """1 − λ, computed without a difference, so that its logarithm stays exact where nearly all passes."""
        return blur(torch.sigmoid(-gates), self.smoothing)

    def _noise(self, step: int, like: Tensor) -> Tensor:
        """(samples, C, h, w) standard normal numbers, a function of the seed, the step and the layer's shape."""
        stream = torch.Generator().manual_seed(child_seed(self.seed, "information_bottleneck", step))
        return torch.randn(self.samples, *like.shape, generator=stream).to(like)


def information(standard: Tensor, lost: Tensor) -> Tensor:
    """``KL(N(λr, (1 − λ)²) ‖ N(0, 1))`` in nats, 0 or more: how far a unit tells its value from noise.

    Args:
        standard: r, the values with their mean taken off, in units of their deviation.
        lost: 1 − λ in (0, 1]; 1 is all noise and no information.

    Source: Schulz et al., ICLR 2020, eq. 4, with the values standardised (the KL does not change).

    Example:
        >>> lost = torch.tensor([1.0, 0.5], dtype=torch.float64)
        >>> information(torch.tensor([3.0, 3.0]), lost).round(decimals=3).tolist()
        [0.0, 1.443]
    """
    lost = lost.clamp(min=torch.finfo(lost.dtype).tiny)
    return ((1 - lost) ** 2 * standard**2 + lost**2 - 1) / 2 - lost.log()


def _values(model: nn.Module, layer: Layer, image: Tensor, classes: Sequence[int]) -> Tensor:
    """What the layer gives for one image, (C, h, w), float32 at least."""
    seen: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        seen.append(output.clone())
        return output

    with torch.no_grad(), _hooked(model, layer, keep):
        require_logits(model(image), classes)
    if len(seen) != 1:
        raise InputError(
            f"layer {layer.name!r} must run once in a pass; it ran {len(seen)} times; choose a layer that runs once"
        )
    maps = layer.maps(seen[0])[0]
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


@contextmanager
def _replaced(model: nn.Module, layer: Layer, maps: Tensor) -> Iterator[None]:
    """Inside the block the layer gives these maps (B, C, h, w), beside its own prefix tokens."""
    with _hooked(model, layer, lambda output: layer.raw(maps.to(output.dtype), output)):
        yield


@contextmanager
def _hooked(model: nn.Module, layer: Layer, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    handle = model.get_submodule(layer.name).register_forward_hook(lambda _, __, output: change(output))
    try:
        yield
    finally:
        handle.remove()
