"""Transformer attribution: attention weighted by the gradient of the class logit, followed through the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tailscope.attribution.activations import stacked
from tailscope.attribution.attention import attention_of
from tailscope.attribution.registry import ATTRIBUTIONS


@ATTRIBUTIONS.register("transformer_attribution")
@dataclass(frozen=True)
class TransformerAttribution:
    """``read · ((I + Ā_L) ⋯ (I + Ā_1) − I)`` on the patch grid, ``Ā = mean_heads((∂x_c/∂A ⊙ A)⁺)``; 0 or more.

    A larger value says that the patch, by way of attention, raised the class's logit more. This is the rule
    ``R ← R + Ā·R`` from R = I. The row read is that of the class token, the mean of the class and distillation tokens,
    or the mean over the patches, as the network's head has it. The I that is subtracted changes nothing for a class
    token, whose row of it holds no patch; for a mean over patches it is the same for all, and without a scale that
    compares with the rest. Of a head that pools by attention, ``Ā`` of that attention is the first factor, and nothing
    is subtracted. One forward pass serves all classes; each class costs one backward pass, which ends at the attention
    of the first block.

    It differs from the method of CVPR 2021 (``Ā = mean_heads((∂x_c/∂A ⊙ R_A)⁺)``, R_A the relevance of the attention
    by layer-wise propagation) in that the attention itself stands for its relevance: no rule has to be written for each
    kind of layer, and any network runs as it is.

    Source: Chefer, Gur and Wolf, Generic attention-model explainability, ICCV 2021, eq. 5 and 6 (the rules of
    self-attention); a pooling head by its rule for attention between two sets of tokens, not normalised; on logits.

    Example:
        >>> attention = torch.tensor([[[[0.5, 0.5], [1.0, 0.0]]]])
        >>> gradient = torch.tensor([[[[2.0, -1.0], [0.5, 3.0]]]])
        >>> TransformerAttribution.step(attention, gradient).tolist()
        [[[1.0, 0.0], [0.5, 0.0]]]
    """

    shares_passes: ClassVar[bool] = False

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images, classes or logits of a wrong shape, or not all tokens attend to all in every block.

        Warns:
            CoarseGridWarning: Fewer than 8 rows or columns of patches.
        """
        with attention_of(model, images, classes, gradients=True) as seen:
            maps = [
                seen.gained([self.step(*block) for block in zip(seen.by_head, seen.gradients(index), strict=True)])
                for index in classes
            ]
            empty = images.new_zeros(len(images), *seen.layer.grid)
        return stacked(maps, empty)

    @staticmethod
    def step(attention: Tensor, gradient: Tensor) -> Tensor:
        """One block, (B, heads, Q, N) twice to Ā, (B, Q, N) float32."""
        return (gradient * attention).relu().mean(dim=1, dtype=torch.float32)
