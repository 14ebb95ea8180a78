"""The same network with weights that know nothing: a saliency map that stays as it was does not explain the network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import nn

from tailscope.core import InputError, child_seed

Scheme = Literal["cascading", "independent"]


def randomised(
    module: nn.Module, *, scheme: Scheme = "cascading", stages: int = 5, seed: int = 0
) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a network whose weights are drawn anew, from the head downwards.

    A unit is a layer with a matrix or kernel of weights, together with the norms, scales and biases that are registered
    between it and the next such layer. ``cascading`` draws the head anew, then the head and the units before it, and so
    on; the last copy is random throughout. ``independent`` draws one unit anew and leaves all others as trained.

    A layer is drawn by its own ``reset_parameters``; parameters that have none (class token, position embedding, scale
    of a block) are shuffled, which keeps their distribution. A batch norm starts again, running statistics included
    (mean 0, variance 1, as before any training): kept, the statistics would still hold what the trained layer had
    seen, and estimated anew, they would depend on the images that are asked for. Frozen norms that hold buffers alone
    stay as they are. The numbers of a unit depend on the seed and its name alone, so that they are the same in both
    schemes, for any number of stages, and on any device.

    Args:
        module: The network; it is left as it was. Units go by the order of registration, which in timm and torchvision
            is that of the pass.
        scheme: ``cascading`` or ``independent``.
        stages: How many copies at most, evenly spread over the units; the first has a new head, the last of a cascade
            is new throughout (with 1 stage, that is the only one).
        seed: Root seed.

    Yields:
        The name of the unit that was drawn last (the lowest one of a cascade), and the copy, in the module's mode.

    Raises:
        InputError: No parameter, an unknown scheme, or fewer than 1 stage.

    Source: Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, section 3.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 4), nn.Linear(4, 1))
        >>> [name for name, _ in randomised(network)], [name for name, _ in randomised(network, stages=2)]
        (['3', '2', '0'], ['3', '0'])
        >>> [torch.equal(copy[3].weight, network[3].weight) for _, copy in randomised(network, scheme="independent")]
        [False, True, True]
    """
    if scheme not in ("cascading", "independent"):
        raise InputError(f"`scheme` must be cascading or independent; got {scheme!r}")
    if stages < 1:
        raise InputError(f"`stages` must be 1 or more; got {stages}")
    units = _units(module)
    if not units:
        raise InputError("the network has no parameter, so that none can be drawn anew; give a trained network")
    for last in _evenly(len(units), stages, scheme):
        drawn = units[: last + 1] if scheme == "cascading" else units[last : last + 1]
        copied = copy.deepcopy(module)
        for name in (name for unit in drawn for name in unit):
            _draw(copied.get_submodule(name), child_seed(seed, "randomised", name))
        yield units[last][0] or type(module).__name__, copied


def _units(module: nn.Module) -> list[list[str]]:
    """Names of the layers that own parameters, unit by unit, the head first."""
    units: list[list[str]] = []
    leading: list[str] = []  # norms before the first kernel go with it
    for name, layer in module.named_modules():
        own = [parameter for parameter in layer.parameters(recurse=False) if parameter.numel()]
        if any(parameter.ndim > 1 for parameter in own):
            units.append([name, *leading])
            leading = []
        elif own:
            (units[-1] if units else leading).append(name)
    return units[::-1] or ([leading] if leading else [])


def _evenly(count: int, stages: int, scheme: Scheme) -> list[int]:
    """Places of at most ``stages`` of ``count`` units, both ends among them.

    >>> _evenly(9, 3, "cascading"), _evenly(2, 5, "cascading"), _evenly(9, 1, "cascading"), _evenly(9, 1, "independent")
    ([0, 4, 8], [0, 1], [8], [0])
    """
    if stages == 1:
        return [count - 1 if scheme == "cascading" else 0]
    return sorted({round(step * (count - 1) / (stages - 1)) for step in range(stages)})


def _draw(layer: nn.Module, seed: int) -> None:
    """Draw the parameters that a layer owns anew, on the CPU, so that every device gets the same ones."""
    is_leaf = not any(True for _ in layer.children())  # a container's initialiser would draw the layers inside as well
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        if is_leaf and hasattr(layer, "reset_parameters"):
            fresh = copy.deepcopy(layer).cpu()
            reset: Callable[[], None] = getattr(fresh, "reset_parameters")  # noqa: B009 - typed, as nn.Module lacks it
            reset()
            layer.load_state_dict(fresh.state_dict())
            return
        for parameter in layer.parameters(recurse=False):
            order = torch.randperm(parameter.numel())
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].reshape(parameter.shape))
