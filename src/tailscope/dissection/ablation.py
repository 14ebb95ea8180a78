"""The logits of a network when units of one layer are set to their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core import InputError
from tailscope.models import Layer, find_head, frozen_eval, tap

Units = Sequence[int]
_MOST_ROUNDING = 1e-2  # of the largest logit; a batch of another size may run other kernels, with 10-bit products
_DOT_ROUNDING = 1e-5  # of the sum of absolute products; float32 keeps 1e-7 of each


def ablated_logits(
    module: nn.Module, images: Tensor, layer: Layer, sets: Sequence[Units], means: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The logits of every image without each of J sets of units: their maps are set to their mean everywhere.

    In closed form where the logits follow from the layer by pooling and a linear head (:func:`linear_rest`), else by
    running the rest of the network (:class:`MeanAblation`).

    Args:
        module: The network; it is left as it was, also after an error.
        images: (B, C, H, W), preprocessed.
        layer: Of :func:`tailscope.models.find_layer`.
        sets: J sets of units; the empty set gives the logits of the whole network.
        means: (U,) what each unit is set to: its mean over a reference set, read through a tap, so after a ReLU that
            follows the layer.

    Returns:
        (B, J, K).

    Raises:
        InputError: A unit is none of the layer's, the means do not fit, or the network mixes the images of a batch.

    Source:
        METHODS section 5, cause.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
        >>> for tensor, values in zip(network.parameters(), ([1.0, 2.0], [0.0, 0.0], [1.0, 1.0], [0.0]), strict=True):
        ...     tensor.data = torch.tensor(values).reshape(tensor.shape)
        >>> layer, image = Layer("0", 2, (1, 2)), torch.tensor([[[[1.0, 3.0]]]])
        >>> ablated_logits(network, image, layer, [(), (1,)], np.array([0.0, 1.0])).tolist()
        [[[6.0], [3.0]]]
    """
    rest = linear_rest(module, images, layer, means)
    if rest is None:
        return MeanAblation(module, layer, means)(images, sets)
    pooled = _read(module, images, layer)[1].mean(dim=(2, 3), dtype=torch.float64).cpu().numpy()
    return rest.ablated(pooled, sets, means)


@dataclass(frozen=True, eq=False)
class MeanAblation:
    """The logits without some units, by running the rest of the network.

    What the layer gives is replaced. Where ReLU is all that the network does to it, the mean of the rectified maps
    passes that ReLU unchanged, so the network goes on with the mean in either case. Prefix tokens of a vision
    transformer keep their values. A layer that runs several times in a pass is replaced each time.

    Images run one by one, so that a result does not hang on what else was asked. The layers before run once for a
    batch of sets where the network lets them (residual sums do, concatenations do not): this is tried on the first
    image.

    Args:
        module: The network; it is left as it was.
        layer: Whose units.
        means: (U,) what each unit is set to.
        batch_size: Sets in one forward pass; it changes memory and speed, not the logits (to rounding).

    Raises:
        InputError: ``means`` is not one finite number per unit, or ``batch_size`` is below 1.
    """

    module: nn.Module
    layer: Layer
    means: NDArray[np.floating]
    batch_size: int = 64

    def __post_init__(self) -> None:
        require_means(self.means, self.layer.channels)
        if self.batch_size < 1:
            raise InputError(f"`batch_size` must be 1 or more; got {self.batch_size}")

    def __call__(
        self, images: Tensor, sets: Sequence[Units], wanted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(B, J, K) logits of images (B, C, H, W) without each of J sets.

        Args:
            images: Preprocessed, on the module's device.
            sets: J sets of units.
            wanted: (B, J) which of them to run; the others are NaN. None runs all.

        Raises:
            InputError: A unit is none of the layer's, ``wanted`` has another shape, or the logits of an image depend
                on the batch that it stands in.
        """
        require_units(sets, self.layer.channels)
        chosen = np.ones((len(images), len(sets)), dtype=bool) if wanted is None else wanted
        if chosen.shape != (len(images), len(sets)):
            raise InputError(f"`wanted` must be ({len(images)}, {len(sets)}), images by sets; got {chosen.shape}")
        with torch.no_grad(), frozen_eval(self.module):
            classes, shared = self._try(images[:1], sets)
            found = np.full((*chosen.shape, classes), np.nan)
            for place, image in enumerate(torch.split(images, 1)):
                asked = np.flatnonzero(chosen[place])
                for start in range(0, len(asked), self.batch_size):
                    part = asked[start : start + self.batch_size]
                    found[place, part] = _numbers(self._pass(image, [sets[one] for one in part], shared=shared))
        return found

    def _try(self, image: Tensor, sets: Sequence[Units]) -> tuple[int, bool]:
        """K, and whether one run of the layers before gives what copies of the image give."""
        tried = [(), *sets[:1], *sets[-1:]]
        whole: Tensor = self.module(image)
        copies = self._pass(image, tried, shared=False)
        if float((copies[:1] - whole).abs().max()) > _MOST_ROUNDING * max(1e-3, float(whole.abs().max())):
            raise InputError(
                "the logits of an image must be the same alone and in a batch; they differ: ablate a network that "
                "treats images one by one and draws nothing at random in eval mode"
            )
        try:
            once = self._pass(image, tried, shared=True)
        except (RuntimeError, ValueError, AssertionError):
            return whole.shape[1], False
        return whole.shape[1], once.shape == copies.shape and torch.allclose(once, copies, rtol=1e-4, atol=1e-5)

    def _pass(self, image: Tensor, sets: Sequence[Units], *, shared: bool) -> Tensor:
        """(J, K) logits of one image without each set; ``shared``: the layers before run once, not on J copies."""
        units = torch.tensor([unit for one in sets for unit in one], dtype=torch.long, device=image.device)
        lengths = torch.tensor([len(one) for one in sets], device=image.device)
        rows = torch.repeat_interleave(torch.arange(len(sets), device=image.device), lengths)

        def replace(_: nn.Module, __: object, output: Tensor) -> Tensor:
            output = output.expand(len(sets), *output.shape[1:])
            maps = self.layer.maps(output).clone()
            means = torch.as_tensor(self.means, dtype=maps.dtype, device=maps.device)
            maps[rows, units] = means[units][:, None, None].expand(-1, *maps.shape[2:])
            return self.layer.raw(maps, output)

        handle = self.module.get_submodule(self.layer.name).register_forward_hook(replace)
        try:
            logits: Tensor = self.module(image if shared else image.expand(len(sets), *image.shape[1:]))
        finally:
            handle.remove()
        return logits


@dataclass(frozen=True, eq=False)
class LinearRest:
    """A rest of the network that is a mean over the grid and a linear head: x = W · mean(A) + b.

    Args:
        weight: (K, U).
        bias: (K,).

    Example:
        >>> rest = LinearRest(np.array([[1.0, 2.0]]), np.array([0.5]))
        >>> pooled, means = np.array([[3.0, 4.0]]), np.array([1.0, 1.0])
        >>> rest.ablated(pooled, [(), (1,), (0, 1)], means).tolist()
        [[[11.5], [5.5], [3.5]]]
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, pooled: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, K) logits of the (n, U) means over the grid."""
        return np.asarray(pooled.astype(np.float64) @ self.weight.T + self.bias)

    def ablated(
        self, pooled: NDArray[np.floating], sets: Sequence[Units], means: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """(n, J, K) logits with each of J sets of units at their ``means`` (U,).

        Raises:
            InputError: A unit is none of the layer's, or the means do not fit.
        """
        require_means(means, self.weight.shape[1])
        require_units(sets, self.weight.shape[1])
        change = means - pooled.astype(np.float64)
        changes = [change[:, list(units)] @ self.weight[:, list(units)].T for units in sets]
        whole = self.logits(pooled)
        return (
            np.stack([whole + one for one in changes], axis=1) if changes else np.empty((len(whole), 0, whole.shape[1]))
        )

    def explains(self, pooled: NDArray[np.floating], logits: NDArray[np.floating]) -> bool:
        """Whether (n, K) logits are those of the (n, U) means, up to the rounding of float32."""
        size = np.abs(pooled).astype(np.float64) @ np.abs(self.weight).T + np.abs(self.bias)
        return bool((np.abs(self.logits(pooled) - logits) <= _DOT_ROUNDING * size).all())


def linear_rest(module: nn.Module, images: Tensor, layer: Layer, means: NDArray[np.floating]) -> LinearRest | None:
    """The rest of the network behind a layer where it is (ReLU,) mean over the grid and linear head; else None.

    Told by numbers, not by names: the head's weights must give the logits of every image of the batch, and those of
    the first image with half of the units, and with all, set to their means.

    Args:
        module: The network; it is left as it was.
        images: (B, C, H, W), a few are enough.
        layer: Whose rest.
        means: (U,) what the units are set to for the trial.

    Example:
        >>> pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), *pool, nn.Linear(2, 3))
        >>> layer, images, means = Layer("0", 2, (4, 4)), torch.rand(2, 1, 4, 4), np.ones(2)
        >>> linear_rest(network, images, layer, means).weight.shape
        (3, 2)
        >>> linear_rest(nn.Sequential(*network, nn.Sigmoid()), images, layer, means) is None
        True
    """
    logits, maps = _read(module, images, layer)
    try:
        head = find_head(module, logits.shape[1])
    except InputError:
        return None
    if head.in_features != maps.shape[1]:
        return None
    bias = np.zeros(head.out_features) if head.bias is None else _numbers(head.bias)
    rest = LinearRest(_numbers(head.weight), bias)
    if not rest.explains(_numbers(maps.mean(dim=(2, 3), dtype=torch.float64)), _numbers(logits)):
        return None
    ablation = MeanAblation(module, layer, means)
    every = range(layer.channels)
    for units, found in zip((every[::2], every), ablation(images[:1], (every[::2], every))[0], strict=True):
        changed = _numbers(maps[:1].mean(dim=(2, 3), dtype=torch.float64))
        changed[:, units] = means[units]
        if not rest.explains(changed, found[None]):
            return None
    return rest


def unit_effects(module: nn.Module, images: Tensor, layer: Layer, index: int) -> NDArray[np.float64]:
    """How much each unit matters to a logit, to first order: Σ over the grid of ``|∂x_c/∂A · A|``, per image.

    Behind mean pooling and a linear head this is ``|w_c| · mean|A|``.

    Args:
        module: The network; it is left as it was.
        images: (B, C, H, W), preprocessed.
        layer: Whose units; prefix tokens do not count.
        index: c, the class.

    Returns:
        (B, U), 0 or more.

    Raises:
        InputError: No logit depends on the layer.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> _ = nn.init.constant_(network[0].weight, -2.0)
        >>> unit_effects(network, torch.tensor([[[[1.0, 3.0]]]]), Layer("0", 1, (1, 2)), 0)
        array([[4.]])
    """
    with torch.inference_mode(False), torch.enable_grad(), frozen_eval(module):
        with tap(module, [layer.name], cut=True) as taps:
            logits = module(images.detach().clone())
            read = taps[layer.name]
        gradient = None
        if logits.requires_grad:
            (gradient,) = torch.autograd.grad(logits[:, index].sum(), read, allow_unused=True)
    if gradient is None:
        raise InputError(f"no logit depends on what layer {layer.name!r} gave last; choose another layer")
    return _numbers((layer.maps(gradient) * layer.maps(read.detach())).abs().sum(dim=(2, 3), dtype=torch.float64))


def require_means(means: NDArray[np.floating], units: int) -> None:
    """Pass if there is one finite mean per unit.

    Raises:
        InputError: There is not.
    """
    if means.shape != (units,) or not np.isfinite(means).all():
        raise InputError(f"`means` must be ({units},), one finite number per unit of the layer; got {means.shape}")


def require_units(sets: Sequence[Units], units: int) -> None:
    """Pass if every set holds units of the layer only.

    Raises:
        InputError: It does not; the first stray number is named.
    """
    stray = [unit for one in sets for unit in one if not 0 <= unit < units]
    if stray:
        raise InputError(f"`sets` must hold units 0 … {units - 1} of the layer; got {stray[0]}")


def _read(module: nn.Module, images: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    """Logits (B, K) and maps (B, U, h, w), after a ReLU that follows the layer."""
    with torch.no_grad(), frozen_eval(module), tap(module, [layer.name]) as taps:
        logits = module(images)
        return logits, layer.maps(taps[layer.name])


def _numbers(values: Tensor) -> NDArray[np.float64]:
    return values.detach().to(device="cpu", dtype=torch.float64).numpy()
