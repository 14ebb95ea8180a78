"""Pixels to network input: the scaling that travels with the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core import InputError

UNTRAINED_MEAN = 0.5
"""Mean per channel, on the scale 0 to 1, of a network without pretrained weights: mid-grey becomes 0."""
UNTRAINED_STD = 0.25
"""Its standard deviation: black becomes −2 and white 2, about the range that ImageNet's constants give."""


@dataclass(frozen=True)
class Preprocessing:
    """``(pixels / 255 − mean) / std`` per channel; the number of channels is that of the network's input.

    Args:
        mean: One number per channel of the network, on the scale 0 to 1.
        std: As many, above 0.

    Raises:
        InputError: The two have unequal lengths, are empty, or hold a number that is not finite or a ``std`` ≤ 0.

    Example:
        >>> import numpy as np
        >>> grey = np.array([0, 255], dtype=np.uint8).reshape(1, 1, 2, 1)
        >>> Preprocessing(mean=(0.5, 0.0), std=(0.25, 0.5))(grey).tolist()
        [[[[-2.0, 2.0]], [[0.0, 2.0]]]]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers_fine = all(map(math.isfinite, (*self.mean, *self.std))) and all(value > 0 for value in self.std)
        if not self.mean or len(self.mean) != len(self.std) or not numbers_fine:
            raise InputError(
                "`mean` and `std` must hold one finite number per channel, and `std` must be above 0; "
                f"got {self.mean} and {self.std}"
            )

    @classmethod
    def untrained(cls, channels: int) -> Preprocessing:
        """For weights that start at random: :data:`UNTRAINED_MEAN` and :data:`UNTRAINED_STD` in each channel."""
        return cls((UNTRAINED_MEAN,) * channels, (UNTRAINED_STD,) * channels)

    @classmethod
    def from_dict(cls, record: Mapping[str, Sequence[float]]) -> Preprocessing:
        """What :meth:`as_dict` wrote.

        Raises:
            InputError: ``record`` has other keys than ``mean`` and ``std``.
        """
        if set(record) != {"mean", "std"}:
            raise InputError(f"a preprocessing has the keys mean and std; got {', '.join(sorted(record)) or 'none'}")
        return cls(tuple(map(float, record["mean"])), tuple(map(float, record["std"])))

    def as_dict(self) -> dict[str, Any]:
        """The record for JSON."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return len(self.mean)

    def __call__(self, pixels: NDArray[np.uint8] | Tensor) -> Tensor:
        """Scale a batch; the input is left as it is.

        Args:
            pixels: (B, H, W, C) uint8, C = 1 or :attr:`channels`; a grey image is repeated in every channel.

        Returns:
            (B, channels, H, W) float32, on the device of ``pixels``.

        Raises:
            InputError: Another dtype, number of axes or number of channels.
        """
        if str(pixels.dtype).removeprefix("torch.") != "uint8" or pixels.ndim != 4:
            raise InputError(f"pixels must be (B, H, W, C) uint8; got {tuple(pixels.shape)} {pixels.dtype}")
        if pixels.shape[-1] not in (1, self.channels):
            raise InputError(
                f"the network takes {self.channels} channels and a grey image is repeated; "
                f"got images of {pixels.shape[-1]} channels: convert them to grey or choose another network"
            )
        images = _floats(pixels).permute(0, 3, 1, 2).div_(255)  # of our own copy: in place
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return (images - mean).div_(std).contiguous()


def _floats(pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    if isinstance(pixels, Tensor):
        return pixels.to(torch.float32)
    return torch.from_numpy(pixels.astype(np.float32))  # a copy, so that a read-only memory map serves as well
