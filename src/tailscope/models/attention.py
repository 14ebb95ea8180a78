"""Read the attention probabilities of a transformer while it runs, whatever kernel it would have used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tailscope.core import InputError

_SOFTMAX = (torch.softmax, functional.softmax, Tensor.softmax)
_LINEAR = functional.linear
_MULTI_HEAD = inspect.signature(functional.multi_head_attention_forward)
_SETTINGS = ("attn_mask", "dropout_p", "is_causal")  # of scaled_dot_product_attention, in order, after q, k and v
_EXTRA = ("bias_k", "bias_v", "add_zero_attn", "static_k", "static_v", "key_padding_mask", "attn_mask", "is_causal")


class AttentionTaps(TorchFunctionMode):
    """What :func:`tap_attention` saw, in the order in which the network computed it.

    Args:
        probabilities: One tensor for each attention, (B, heads, Q, N) or (B·heads, Q, N): what queries take from keys,
            rows adding up to 1. It lies on the path to the logits when autograd records.
        vectors: The inputs (B, C) of linear layers that have no tokens: the features that a head reads are among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.probabilities: list[Tensor] = []
        self.vectors: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._scaled_dot_product(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            return self._multi_head(_MULTI_HEAD.bind(*args, **kwargs).arguments)
        result = func(*args, **kwargs)
        if func is _LINEAR and args and args[0].ndim == 2:
            self.vectors.append(args[0])
        if func in _SOFTMAX and result.ndim >= 3 and _dim(args, kwargs) in (-1, result.ndim - 1):
            return self._keep(result)
        return result

    def _keep(self, probabilities: Tensor) -> Tensor:
        """Autograd's record begins at the first attention, where nothing before it asks for gradients."""
        if torch.is_grad_enabled() and not probabilities.requires_grad:
            probabilities.requires_grad_()
        self.probabilities.append(probabilities)
        return probabilities

    def _scaled_dot_product(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **settings: Any) -> Tensor:
        """Attention as torch documents it: softmax(QKᵀ·scale + mask)·V."""
        settings |= dict(zip(_SETTINGS, rest, strict=False))
        if settings.get("enable_gqa"):
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        scale = settings.get("scale")
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        attn_mask = settings.get("attn_mask")
        if settings.get("is_causal"):
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        probabilities = self._keep(scores.softmax(dim=-1).to(value.dtype))
        return functional.dropout(probabilities, settings.get("dropout_p", 0.0)) @ value

    def _multi_head(self, given: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """``nn.MultiheadAttention`` on (Q, B, C) and (N, B, C), from the arguments of torch's own function."""
        strange = [name for name in _EXTRA if given.get(name) is not None and given[name] is not False]
        if strange or given["query"].ndim != 3:
            raise InputError(
                "attention is read from nn.MultiheadAttention on batches without masks or extra keys; got "
                f"{', '.join(strange) or 'no batch'}; choose one of the CAM family"
            )
        heads = given["num_heads"]
        query, key, value = (_by_head(tokens, heads) for tokens in _projected(given))
        attended = self._scaled_dot_product(query, key, value)
        merged = attended.permute(2, 0, 1, 3).flatten(2)
        output = functional.linear(merged, given["out_proj_weight"], given["out_proj_bias"])
        if not given.get("need_weights", True):
            return output, None
        weights = self.probabilities[-1]
        return output, weights.mean(dim=1) if given.get("average_attn_weights", True) else weights


@contextmanager
def tap_attention() -> Iterator[AttentionTaps]:
    """Keep the attention probabilities of every forward pass of the block.

    Seen are ``scaled_dot_product_attention`` and ``nn.MultiheadAttention``, also where they would take a fast path,
    which are computed in the open here, and every softmax over the last axis of three or more, as attention written by
    hand has it. Logits change by rounding only; nothing of the network is touched. Attention that a compiled or own
    kernel computes is not seen.

    Yields:
        The probabilities; they stay after the block for as long as the reader keeps them.

    Raises:
        InputError: ``nn.MultiheadAttention`` with masks, extra keys or without a batch.

    Example:
        >>> network = torch.nn.MultiheadAttention(4, num_heads=2, batch_first=True).eval()
        >>> tokens = torch.ones(1, 2, 4)  # equal tokens attend to each other alike
        >>> with tap_attention() as taps:
        ...     _ = network(tokens, tokens, tokens, need_weights=False)
        >>> taps.probabilities[0].tolist()
        [[[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]]]
    """
    with AttentionTaps() as taps:
        yield taps


def _dim(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    return kwargs["dim"] if "dim" in kwargs else (args[1] if len(args) > 1 else None)


def _projected(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """Query, key and value, (Q or N, B, C), after their linear layers."""
    if given.get("use_separate_proj_weight"):
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = given["in_proj_weight"].chunk(3)
    bias = given["in_proj_bias"]
    biases = (None, None, None) if bias is None else bias.chunk(3)
    tokens = (given["query"], given["key"], given["value"])
    return tuple(map(functional.linear, tokens, weights, biases))


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    """(N, B, C) to (B, heads, N, C/heads)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).permute(1, 2, 0, 3)
