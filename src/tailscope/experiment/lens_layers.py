"""Which layers of the network each lens looks at."""

from __future__ import annotations

import warnings

from tailscope.experiment.config import ExperimentConfig
from tailscope.models import CoarseGridWarning, Layer, Network, find_layer

_LENSES = ("alignment", "dissection", "representation")


def find_layers(
    config: ExperimentConfig, network: Network, shape: tuple[int, ...]
) -> tuple[dict[str, tuple[Layer, ...]], list[str]]:
    """The layers of each lens, found in the network, and what is to be known of them.

    Args:
        config: What is asked for.
        network: A network of the experiment.
        shape: (1, C, H, W) of its input.

    Raises:
        InputError: A layer that is not there (near names are listed) or has no spatial map.
    """
    found: dict[str, tuple[Layer, ...]] = {}
    notes: set[str] = set()
    for name in _LENSES:
        lens = getattr(config.lenses, name)
        if lens is None:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CoarseGridWarning)
            asked = [lens.layer] if isinstance(lens.layer, str) else lens.layer
            layers = tuple(find_layer(network.module, shape, layer) for layer in asked)
        found[name] = tuple({layer.name: layer for layer in layers}.values())
        notes.update(str(warning.message) for warning in caught if warning.category is CoarseGridWarning)
    return found, sorted(notes)


def with_layers(config: ExperimentConfig, layers: dict[str, tuple[Layer, ...]]) -> ExperimentConfig:
    """The configuration with every layer by its name in the network; one is a name, several are a list."""
    lenses = {}
    for name, found in layers.items():
        names = tuple(layer.name for layer in found)
        lenses[name] = getattr(config.lenses, name).model_copy(update={"layer": names[0] if len(names) == 1 else names})
    return config.model_copy(update={"lenses": config.lenses.model_copy(update=lenses)})
