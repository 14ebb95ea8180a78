"""Attention rollout: how attention mixes the patches into what the head reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from tailscope.attribution.attention import attention_of
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.core import InputError


@ATTRIBUTIONS.register("attention_rollout")
@dataclass(frozen=True)
class AttentionRollout:
    """``read · Â_L ⋯ Â_1`` on the patch grid, Â = (A + I) with rows that add up to 1, A the attention over heads.

    Values are shares of what the head reads, in [0, 1], larger is read more; what prefix tokens keep is left out. The
    identity stands for the residual connection. The row read is that of the class token, the mean of the class and
    distillation tokens, or the mean over the patches, as the network's head has it; of a head that pools by attention,
    that attention is the first factor, without the identity. It is NOT class-specific: every class gets the same map,
    so that it fails any test of class-discriminativeness by construction. It sees neither values nor MLPs.

    Args:
        heads: How heads become one matrix, before rows are normalised: ``mean``, ``max`` or ``min``.

    Raises:
        InputError: ``heads`` is none of the three.

    Source: Abnar and Zuidema, Quantifying attention flow in transformers, ACL 2020, section 3 (mean over heads,
    A = 0.5·W + 0.5·I); ``max`` and ``min`` as commonly used for vision transformers.

    Example:
        >>> attention = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])  # one head; the class token looks at the patch
        >>> AttentionRollout().step(attention).tolist()
        [[[0.5, 0.5], [0.25, 0.75]]]
    """

    heads: Literal["mean", "max", "min"] = "mean"

    shares_passes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.heads not in ("mean", "max", "min"):
            raise InputError(f"`heads` must be mean, max or min; got {self.heads!r}")

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), h, w) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images, classes or logits of a wrong shape, or not all tokens attend to all in every block.

        Warns:
            CoarseGridWarning: Fewer than 8 rows or columns of patches.
        """
        with attention_of(model, images, classes, gradients=False) as seen:
            maps = seen.followed([self.step(block) for block in seen.by_head])
        return maps[:, None].repeat(1, len(classes), 1, 1)

    def step(self, attention: Tensor) -> Tensor:
        """One block, (B, heads, Q, N) to the share that each token is made of, (B, Q, N); rows add up to 1."""
        heads = attention.to(torch.float32)
        fused = heads.mean(dim=1) if self.heads == "mean" else getattr(heads, f"a{self.heads}")(dim=1)
        if fused.shape[1] == fused.shape[2]:
            fused = fused + torch.eye(fused.shape[1], device=fused.device)
        return fused / fused.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
