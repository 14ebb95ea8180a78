"""The attention of one forward pass, and how relevance follows it from the head back to the patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_gradients, require_images, require_logits
from tailscope.core import InputError
from tailscope.models import Layer, find_layer
from tailscope.models.attention import AttentionTaps, tap_attention

_INSTEAD = "choose one of the CAM family (gradcam, hirescam, layercam, …), which reads tokens and maps alike"


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of a batch, block by block.

    Args:
        layer: Grid and number of prefix tokens; N tokens in all.
        blocks: (B, heads, N, N) each, or (B·heads, N, N), as the network used it; the last may be (…, Q, N), of a head
            that pools by attention.
        read: (Q,) how much the head reads of each row of the last block; adds up to 1.
        logits: (B, K), attached to ``blocks`` where gradients are recorded.
    """

    layer: Layer
    blocks: tuple[Tensor, ...]
    read: Tensor
    logits: Tensor

    @property
    def by_head(self) -> tuple[Tensor, ...]:
        """(B, heads, Q, N) of every block, detached."""
        return tuple(self._split(block.detach()) for block in self.blocks)

    def gradients(self, index: int) -> tuple[Tensor, ...]:
        """∂x_index/∂A of every image, (B, heads, Q, N) per block: one backward pass serves the whole batch.

        Raises:
            InputError: The logit does not depend on some block's attention.
        """
        found = torch.autograd.grad(self.logits[:, index].sum(), self.blocks, retain_graph=True, allow_unused=True)
        if any(one is None for one in found):
            raise InputError(f"logit {index} does not depend on the attention of every block; {_INSTEAD}")
        return tuple(map(self._split, found))

    def followed(self, steps: Sequence[Tensor]) -> Tensor:
        """``read · M_L ⋯ M_1`` for matrices that hold the residual connection, patches on their grid.

        Vectors times matrices, so that no product of two matrices is ever formed.

        Args:
            steps: (B, Q, N) per block, in the order of ``blocks``.

        Returns:
            (B, h, w) float32.
        """
        relevance = self._read()
        for step in reversed(steps):
            relevance = relevance @ step.to(torch.float32)
        return self._on_patches(relevance)

    def gained(self, steps: Sequence[Tensor]) -> Tensor:
        """``read · ((I + M_L) ⋯ (I + M_1) − I)``: what attention adds, residual connections left out of ``steps``.

        The identity is subtracted before it is added, so that small gains are not lost beside it. It is what patches
        say of themselves before any attention, and even where the head reads their mean. A pooling head's attention
        stands before the brackets, and only there nothing is subtracted.

        Args:
            steps: (B, Q, N) per block, in the order of ``blocks``.

        Returns:
            (B, h, w) float32.
        """
        pools = steps[-1].shape[1] != steps[-1].shape[2]
        start = self._read() @ steps[-1] if pools else self._read()
        gain = torch.zeros_like(start)
        for step in reversed(steps[:-1] if pools else steps):
            gain = gain + (start + gain) @ step
        return self._on_patches(gain + start if pools else gain)

    def _read(self) -> Tensor:
        return self.read.to(torch.float32).expand(len(self.logits), 1, -1)

    def _on_patches(self, relevance: Tensor) -> Tensor:
        return relevance[:, 0, self.layer.prefix :].reshape(-1, *self.layer.grid)

    def _split(self, block: Tensor) -> Tensor:
        return block.reshape(len(self.logits), -1, *block.shape[-2:])


@contextmanager
def attention_of(model: nn.Module, images: Tensor, classes: Sequence[int], *, gradients: bool) -> Iterator[Attention]:
    """Run the network once on a batch and keep the attention of every block.

    Grid, prefix tokens and the tokens that the head reads are found anew by passes of the first image alone.

    Args:
        model: A transformer in which, in every block, all tokens attend to all; it is left as it was.
        images: (B, C, H, W).
        classes: The question, for the checks.
        gradients: Whether :meth:`Attention.gradients` will be asked.

    Raises:
        InputError: Images, classes or logits are wrong, or the network has no such attention.

    Warns:
        CoarseGridWarning: Fewer than 8 rows or columns of patches.
    """
    require_images(images)
    images = images.detach()
    layer = find_layer(model, images[:1])
    if layer.form != "tokens":
        raise InputError(
            f"attention methods need a network whose tokens all attend to each other; the last layer {layer.name!r} "
            f"of this one gives {layer.form} of {layer.grid[0]} × {layer.grid[1]}; {_INSTEAD}"
        )
    with asking(model, gradients=True), tap_attention() as taps:
        logits = model(images[:1])
        require_logits(logits, classes)
        _require_global(taps.probabilities, layer)
        require_gradients(logits, "attention")
        read = _read_by_head(taps, logits, layer)
    with asking(model, gradients=gradients):
        with tap_attention() as taps:
            logits = model(images)
        require_logits(logits, classes)
        yield Attention(layer, tuple(taps.probabilities), read, logits)


def _require_global(blocks: Sequence[Tensor], layer: Layer) -> None:
    if not blocks:
        raise InputError(
            "no attention was seen: the network computes it neither by scaled_dot_product_attention or "
            f"nn.MultiheadAttention nor by a softmax; {_INSTEAD}"
        )
    count = layer.prefix + layer.grid[0] * layer.grid[1]
    strange = [tuple(block.shape) for block in blocks[:-1] if block.shape[-2:] != (count, count)]
    strange += [tuple(block.shape) for block in blocks[-1:] if block.shape[-1] != count]
    if strange:
        raise InputError(
            f"attention methods need attention of all {count} tokens to all {count} in every block; got the shape "
            f"{strange[0]} (windows, reduced keys, class attention); {_INSTEAD}"
        )


def _read_by_head(taps: AttentionTaps, logits: Tensor, layer: Layer) -> Tensor:
    """(Q,) weights of the last block's rows that the head reads.

    Behind the last attention every token goes its own way, so that a row is read if the head's features depend on it.
    Prefix tokens that are read count alike, and the mean of the patches, where those are read, as one of them. The test
    weighs features unequally, because those of a layer norm always add up to the same, and takes the features beside
    the logits, because a head may start at zero.
    """
    last = taps.probabilities[-1]
    values = torch.cat([value.flatten() for value in (*taps.vectors, logits) if len(value) == 1])
    weights = torch.linspace(1.0, 2.0, values.numel(), dtype=values.dtype, device=values.device).cos()
    (gradient,) = torch.autograd.grad((values * weights).sum(), last, allow_unused=True)
    rows = None if gradient is None else gradient.reshape(-1, *last.shape[-2:]).abs().sum(dim=(0, 2)) > 0
    if rows is None or not bool(rows.any()):
        raise InputError(f"the logits depend on no token of the last attention; {_INSTEAD}")
    read = rows.to(torch.float32)
    if last.shape[-2] == last.shape[-1] and bool(rows[layer.prefix :].any()):
        read[layer.prefix :] = 1 / (len(rows) - layer.prefix)
    return read / read.sum()
