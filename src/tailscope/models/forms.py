"""How the output of a layer holds its maps: with the channels first, with the channels last, or as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tailscope.core import InputError

Form = Literal["maps", "channels last", "tokens"]
Grid = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a stack of maps.

    Args:
        name: Dotted name in ``module.named_modules()``.
        channels: Units, C.
        grid: (h, w) of each map for the example's size.
        form: ``maps`` (B, C, h, w); ``channels last`` (B, h, w, C); ``tokens`` (B, prefix + h·w, C), row by row.
        prefix: Tokens before those of the image: the class token, distillation token, registers.
    """

    name: str
    channels: int
    grid: Grid
    form: Form = "maps"
    prefix: int = 0

    def maps(self, output: Tensor) -> Tensor:
        """The layer's output, or a gradient with respect to it, as maps (B, C, h, w).

        Example:
            >>> import torch
            >>> tokens = torch.arange(5.0).reshape(1, 5, 1)  # one class token, then 2 × 2 patches
            >>> Layer("norm", 1, (2, 2), "tokens", prefix=1).maps(tokens).tolist()
            [[[[1.0, 2.0], [3.0, 4.0]]]]
        """
        if self.form == "maps":
            return output
        if self.form == "channels last":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.prefix :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], *self.grid)

    def raw(self, maps: Tensor, output: Tensor) -> Tensor:
        """The inverse of :meth:`maps`: ``output`` with its image part replaced by ``maps``; a new tensor.

        Args:
            maps: (B′, C, h, w).
            output: (B′, …) the layer's output, from which prefix tokens are taken.
        """
        if self.form == "maps":
            return maps
        if self.form == "channels last":
            return maps.permute(0, 2, 3, 1)
        changed = output.clone()
        changed[:, self.prefix :] = maps.flatten(2).transpose(1, 2)
        return changed


def form_of(name: str, shape: tuple[int, ...], image: Grid, patches: Grid | None) -> Layer:
    """Read the form off a shape.

    A map is told from its channels by the sides: those of a map shrink alike from the image's.

    Args:
        name: The layer's name, for the record and for messages.
        shape: Of the layer's output.
        image: (H, W) of the images that went in.
        patches: (h, w) of the last map before the network went on with tokens; None where there was none.

    Raises:
        InputError: The shape is neither maps nor tokens of the patches.
    """
    if len(shape) == 4:
        _, first, second, third = shape
        if not is_shrunk(image, (second, third)) and is_shrunk(image, (first, second)):
            return Layer(name, third, (first, second), "channels last")
        return Layer(name, first, (second, third))
    if len(shape) == 3 and patches is not None and (prefix := shape[1] - patches[0] * patches[1]) >= 0:
        return Layer(name, shape[2], patches, "tokens", prefix)
    tokens = f", or tokens of the {patches[0]} × {patches[1]} patches" if patches else ""
    raise InputError(
        f"layer {name!r} must give maps (B, C, h, w) or (B, h, w, C){tokens}; got the shape {shape}: "
        "choose a layer before pooling or flattening"
    )


def is_shrunk(image: Grid, grid: Grid) -> bool:
    """Whether both sides of a grid could come from the image's by the same stride, to one cell.

    >>> is_shrunk((144, 192), (18, 24)), is_shrunk((64, 64), (2, 768)), is_shrunk((96, 64), (12, 8))
    (True, False, True)
    """
    (height, width), (rows, columns) = image, grid
    return max(grid) <= max(image) and abs(rows * width - columns * height) <= max(height, width)
