"""Reading attention probabilities: the logits of the fused kernels, and the probabilities of the slow path."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.core import InputError
from tailscope.models.attention import tap_attention


def tokens(count: int = 5, heads: int = 2, width: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(3, heads, count, width, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[True, True, False, True, True]]).expand(5, 5)
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"scale": 0.1},
    "causal": {"is_causal": True},
    "masked": {"attn_mask": MASK},
    "biased": {"attn_mask": torch.linspace(-1, 1, 25).reshape(5, 5)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fused_function_gives_what_it_gives_unwatched(name: str) -> None:
    query, key, value = (tokens(seed=seed) for seed in range(3))
    expected = functional.scaled_dot_product_attention(query, key, value, **SETTINGS[name])
    with tap_attention() as taps:
        found = functional.scaled_dot_product_attention(query, key, value, **SETTINGS[name])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(taps.probabilities[0] @ value, expected)
    torch.testing.assert_close(taps.probabilities[0].sum(dim=-1), torch.ones(3, 2, 5))


def test_settings_may_be_given_by_place() -> None:
    query, key, value = (tokens(seed=seed) for seed in range(3))
    with tap_attention():
        found = functional.scaled_dot_product_attention(query, key, value, MASK, 0.0, False)
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(query, key, value, MASK))


def test_queries_may_share_keys() -> None:
    query, key, value = tokens(heads=4), tokens(seed=1), tokens(seed=2)
    expected = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    with tap_attention() as taps:
        found = functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    torch.testing.assert_close(found, expected)
    assert taps.probabilities[0].shape == (3, 4, 5, 5)


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"kdim": 6, "vdim": 6}, {"batch_first": False}])
@pytest.mark.parametrize("average", [True, False])
def test_multi_head_attention_gives_its_output_and_weights(settings: dict[str, Any], average: bool) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, **{"batch_first": True} | settings).eval()
    query = torch.randn(3, 5, 8)
    key = torch.randn(3, 5, layer.kdim)
    with torch.no_grad():
        expected, weights = layer(query, key, key, average_attn_weights=average)
        with tap_attention() as taps:
            found, given = layer(query, key, key, average_attn_weights=average)
            silent, none = layer(query, key, key, need_weights=False)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(silent, expected)
    torch.testing.assert_close(given, weights)
    assert none is None
    torch.testing.assert_close(taps.probabilities[0].mean(dim=1), weights.mean(dim=1) if not average else weights)


def test_the_fast_path_of_an_encoder_layer_is_read_too() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    query = torch.randn(3, 5, 8)
    with torch.no_grad():
        expected = layer(query)
        with tap_attention() as taps:
            found = layer(query)
    torch.testing.assert_close(found, expected)
    weights = layer.self_attn(query, query, query, average_attn_weights=False)[1]
    torch.testing.assert_close(taps.probabilities[0], weights)


def test_gradients_with_respect_to_the_probabilities_are_those_of_the_formula() -> None:
    query, key, value = (tokens(seed=seed) for seed in range(3))
    with tap_attention() as taps:
        found = functional.scaled_dot_product_attention(query, key, value)
    (gradient,) = torch.autograd.grad(found.sum(), taps.probabilities[0])
    torch.testing.assert_close(gradient, value.sum(dim=-1)[:, :, None, :].expand(3, 2, 5, 5))


@pytest.mark.parametrize("softmax", [lambda x: x.softmax(-1), lambda x: torch.softmax(x, dim=3), nn.Softmax(dim=-1)])
def test_a_softmax_by_hand_is_read(softmax: Any) -> None:
    scores = tokens(count=5, width=5)
    with tap_attention() as taps:
        found = softmax(scores)
        scores[0, 0].softmax(dim=-1)  # of class scores (B, K)
        scores.softmax(dim=1)
    assert len(taps.probabilities) == 1
    assert taps.probabilities[0] is found


def test_masks_of_multi_head_attention_are_refused() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    query = torch.randn(3, 5, 8)
    with tap_attention(), pytest.raises(InputError, match="without masks or extra keys; got attn_mask"):
        layer(query, query, query, attn_mask=torch.zeros(5, 5))
    with tap_attention(), pytest.raises(InputError, match="got no batch"):
        layer(query[0], query[0], query[0])


def test_nothing_is_read_after_the_block() -> None:
    with tap_attention() as taps:
        pass
    tokens(width=5).softmax(dim=-1)
    assert taps.probabilities == []
