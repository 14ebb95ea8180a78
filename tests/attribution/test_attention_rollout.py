"""Attention rollout against full products of matrices written out, on transformers of every build."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.attention import attention_of
from tailscope.attribution.attention_rollout import AttentionRollout
from tailscope.core import InputError
from tailscope.models import CoarseGridWarning

from .transformers import (
    GRID,
    NETWORKS,
    K,
    OpenAttention,
    SoftmaxAttention,
    TinyVit,
    images,
    kept_attention,
    timm_vit,
    torchvision_vit,
)

pytestmark = pytest.mark.filterwarnings("ignore::tailscope.models.layers.CoarseGridWarning")

FUSE = {"mean": np.mean, "max": np.max, "min": np.min}


def slow_rollout(network: nn.Module, one: Tensor, read: range, prefix: int, heads: str = "mean") -> np.ndarray:
    whole = None
    for block in kept_attention(network, one)[1]:
        fused = FUSE[heads](block[0].detach().double().numpy(), axis=0) + np.eye(block.shape[-1])
        for row in range(len(fused)):
            fused[row] = fused[row] / fused[row].sum()
        whole = fused if whole is None else fused @ whole
    return whole[list(read)].mean(axis=0)[prefix:].reshape(GRID)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_product_of_whole_matrices_gives_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    build, read, prefix = NETWORKS[name]
    network = build()
    batch = images(network)
    maps = AttentionRollout()(network, batch, [1])
    expected = [slow_rollout(network, one, read, prefix) for one in batch.split(1)]
    np.testing.assert_allclose(maps[:, 0], np.stack(expected), rtol=1e-4)
    assert np.stack(expected).std(axis=(1, 2)).min() > 1e-4  # otherwise any even map would pass


@pytest.mark.parametrize("heads", ["max", "min"])
def test_heads_can_be_fused_by_their_extremes(heads: str) -> None:
    torch.manual_seed(0)
    network = timm_vit()
    batch = images(network, 1)
    maps = AttentionRollout(heads=heads)(network, batch, [0])
    np.testing.assert_allclose(maps[0, 0], slow_rollout(network, batch, range(1), 1, heads), rtol=1e-4)


def test_even_attention_gives_an_even_map_with_a_share_computed_by_hand() -> None:
    network = TinyVit().eval()
    for mixer in network.mixers:
        nn.init.zeros_(mixer.qkv.weight[:24])  # queries and keys
    # After one block a patch holds 1/34 of the class token, after two 1/2·1/34 + 1/2·1/17.
    maps = AttentionRollout()(network, images(network), [0])
    assert torch.allclose(maps, torch.full_like(maps, 1 / 68 + 1 / 34))


def test_shares_add_up_to_one_where_there_is_no_prefix() -> None:
    network = TinyVit(prefix=0).eval()
    assert torch.allclose(AttentionRollout()(network, images(network), [0]).sum(dim=(2, 3)), torch.ones(3, 1))


def test_every_class_gets_the_same_map_of_its_own_memory() -> None:
    network = TinyVit().eval()
    maps = AttentionRollout()(network, images(network), [2, 0, 2])
    assert torch.equal(maps[:, 0], maps[:, 1])
    maps[:, 0] = 0
    assert maps[:, 1].min() > 0
    assert AttentionRollout()(network, images(network), []).shape == (3, 0, 4, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_gives_what_its_images_give_one_by_one(name: str) -> None:
    network = NETWORKS[name][0]()
    together = AttentionRollout()(network, images(network), [0])
    alone = torch.cat([AttentionRollout()(network, one, [0]) for one in images(network).split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-7)


def test_a_pooling_head_is_followed_through_its_own_attention() -> None:
    torch.manual_seed(0)
    network = timm_vit(global_pool="map", class_token=False)
    batch = images(network, 2)
    for row, one in enumerate(batch.split(1)):
        *blocks, pool = kept_attention(network, one)[1]
        whole = pool[0].detach().mean(dim=0)
        for block in reversed(blocks):
            whole = whole @ (block[0].detach().mean(dim=0) + torch.eye(16)) / 2
        expected = whole.reshape(GRID)
        torch.testing.assert_close(AttentionRollout()(network, batch, [0])[row, 0], expected, rtol=1e-4, atol=1e-7)


def test_a_head_that_starts_at_zero_is_read_all_the_same() -> None:
    network = torchvision_vit()
    expected = AttentionRollout()(network, images(network), [0])
    nn.init.zeros_(network.heads[-1].weight)
    assert torch.equal(AttentionRollout()(network, images(network), [0]), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_plain_pass(name: str) -> None:
    network = NETWORKS[name][0]()
    with torch.no_grad():
        expected = network(images(network))
    for gradients in (True, False):
        with attention_of(network, images(network), [0], gradients=gradients) as seen:
            torch.testing.assert_close(seen.logits.detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_autograd_is_off(mode: type) -> None:
    network = timm_vit()
    expected = AttentionRollout()(network, images(network), [0])
    with mode():
        assert torch.equal(AttentionRollout()(network, images(network), [0]), expected)


@pytest.mark.parametrize("fused", [True, False])
def test_the_plain_and_the_fused_kernel_give_the_same_map(fused: bool) -> None:
    network = timm_vit()
    expected = AttentionRollout()(network, images(network), [0])
    for block in network.blocks:
        block.attn.fused_attn = fused
    torch.testing.assert_close(AttentionRollout()(network, images(network), [0]), expected, rtol=1e-4, atol=1e-7)


class ReducedKeys(SoftmaxAttention):
    """Every fourth token serves as a key and value."""

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key[:, ::4], value[:, ::4])
        return self.proj(mixed)


REFUSED = {
    "resnet": (lambda: timm.create_model("test_resnet", num_classes=K), "CAM family"),
    "swin": (
        lambda: torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [1, 1], [4, 4], num_classes=K),
        "maps of 8 × 8.*CAM family",
    ),
    "reduced keys": (lambda: TinyVit(ReducedKeys), "all 17 tokens to all 17 in every block; got the shape .*5.*CAM"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_without_attention_of_all_to_all_is_refused(name: str) -> None:
    build, match = REFUSED[name]
    with pytest.raises(InputError, match=match):
        AttentionRollout()(network := build(), images(network), [0])


def test_a_network_whose_attention_is_not_seen_is_refused() -> None:
    network = TinyVit(OpenAttention).eval()
    with pytest.raises(InputError, match=r"no attention was seen.*CAM family"):
        AttentionRollout()(network, images(network), [0])


def test_an_unknown_way_to_fuse_heads_is_refused() -> None:
    with pytest.raises(InputError, match="`heads` must be mean, max or min; got 'sum'"):
        AttentionRollout(heads="sum")


def test_few_patches_are_warned_of() -> None:
    with pytest.warns(CoarseGridWarning, match="4 × 4"):
        AttentionRollout()(timm_vit(), torch.randn(1, 3, 64, 64), [0])
