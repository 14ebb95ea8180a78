"""Transformer attribution against the rule written out with whole matrices, on transformers of every build."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from tailscope.attribution.attention import attention_of
from tailscope.attribution.transformer_attribution import TransformerAttribution
from tailscope.core import InputError

from .transformers import GRID, NETWORKS, K, OpenAttention, TinyVit, images, kept_attention, timm_vit

pytestmark = pytest.mark.filterwarnings("ignore::tailscope.models.layers.CoarseGridWarning")


def slow_attribution(network: nn.Module, one: Tensor, target: int) -> Tensor:
    """R ← R + Ā·R for one image and one class, head by head; (rows, N), less the I from which R began."""
    logits, blocks = kept_attention(network, one)
    for block in blocks:
        block.retain_grad()
    logits[0, target].backward()
    relevance = torch.eye(blocks[0].shape[-1])
    for block in blocks:
        raised = torch.zeros(block.shape[-2:])
        for head in range(block.shape[1]):
            raised += (block.grad[0, head] * block.detach()[0, head]).clamp(min=0) / block.shape[1]
        square = block.shape[-2] == block.shape[-1]
        relevance = relevance + raised @ relevance if square else raised @ relevance
    return relevance - torch.eye(len(relevance)) if square else relevance


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rule_with_whole_matrices_gives_the_same_maps(name: str) -> None:
    torch.manual_seed(0)
    build, read, prefix = NETWORKS[name]
    network = build()
    batch = images(network, 2)
    maps = TransformerAttribution()(network, batch, [2, 0])
    for row, one in enumerate(batch.split(1)):
        for place, target in enumerate([2, 0]):
            relevance = slow_attribution(network, one, target)
            expected = relevance[list(read)].mean(dim=0)[prefix:].reshape(GRID)
            scale = float(expected.abs().max())
            torch.testing.assert_close(maps[row, place], expected, rtol=1e-3, atol=1e-3 * scale)
    assert not torch.allclose(maps[:, 0], maps[:, 1], rtol=0.05)


def test_a_pooling_head_is_followed_through_its_own_attention() -> None:
    torch.manual_seed(0)
    network = timm_vit(global_pool="map", class_token=False)
    maps = TransformerAttribution()(network, images(network, 1), [1])
    expected = slow_attribution(network, images(network, 1), 1).reshape(GRID)
    torch.testing.assert_close(maps[0, 0], expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


def test_one_block_gives_the_positive_part_of_gradient_times_attention() -> None:
    class OneBlock(nn.Module):
        """Patches are their own keys and values; the head reads the mean over patches, weighted."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 1, 2, 2, bias=False)
            self.norm = nn.Identity()
            self.head = nn.Linear(1, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(0 * tokens, tokens, tokens)
            return self.head(self.norm(mixed).mean(dim=1))

    network = OneBlock()
    nn.init.constant_(network.patches.weight, 0.25)
    network.head.weight.data = torch.tensor([[8.0], [-8.0]])
    image = torch.tensor([[1.0, 2.0], [-1.0, 4.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)[None, None]
    maps = TransformerAttribution()(network, image, [0, 1])
    # A is 1/4 everywhere, and ∂x_0/∂A_ij = 8/4·v_j: Ā_ij = v_j⁺/2. All rows are alike.
    assert maps[0, 0].flatten().tolist() == pytest.approx([0.5, 1.0, 0.0, 2.0])
    assert maps[0, 1].flatten().tolist() == pytest.approx([0.0, 0.0, 0.5, 0.0])


def test_a_class_that_is_asked_for_twice_gets_its_map_twice_and_none_gives_none() -> None:
    network = TinyVit().eval()
    maps = TransformerAttribution()(network, images(network), [1, 0, 1])
    assert torch.equal(maps[:, 0], maps[:, 2])
    assert not torch.equal(maps[:, 0], maps[:, 1])
    assert TransformerAttribution()(network, images(network), []).shape == (3, 0, 4, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_gives_what_its_images_give_one_by_one(name: str) -> None:
    network = NETWORKS[name][0]()
    together = TransformerAttribution()(network, images(network), range(K))
    alone = torch.cat([TransformerAttribution()(network, one, range(K)) for one in images(network).split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5 * float(together.max()))


def test_the_network_is_left_as_it_was_after_success_and_error() -> None:
    network = timm_vit().train()
    network.head.weight.grad = torch.ones_like(network.head.weight)
    network.cls_token.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    given, random_state = images(network), torch.get_rng_state()
    TransformerAttribution()(network, given, [0])
    with pytest.raises(InputError, match="classes"):
        TransformerAttribution()(network, given, [K])
    with pytest.raises(RuntimeError, match="channels"):
        TransformerAttribution()(network, given[:, :2], [0])
    assert all(part.training for part in network.modules())
    assert [name for name, weight in network.named_parameters() if not weight.requires_grad] == ["cls_token"]
    assert [name for name, weight in network.named_parameters() if weight.grad is not None] == ["head.weight"]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(given, images(network))
    assert not given.requires_grad
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.no_grad():
        assert torch.equal(network.eval()(given), network(given))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_autograd_is_off(mode: type) -> None:
    network = timm_vit()
    expected = TransformerAttribution()(network, images(network), [0])
    with mode():
        assert torch.equal(TransformerAttribution()(network, images(network), [0]), expected)


def test_a_network_without_attention_of_all_to_all_is_refused() -> None:
    with pytest.raises(InputError, match="CAM family"):
        TransformerAttribution()(timm.create_model("test_resnet", num_classes=K), torch.randn(1, 3, 64, 64), [0])
    network = TinyVit(OpenAttention).eval()
    with pytest.raises(InputError, match="no attention was seen"):
        TransformerAttribution()(network, images(network), [0])


def test_a_logit_that_depends_on_no_attention_is_refused() -> None:
    class Detached(TinyVit):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).detach()

    network = Detached().eval()
    with pytest.raises(InputError, match="depend"):
        TransformerAttribution()(network, images(network), [0])


def test_autograd_records_nothing_before_the_first_attention() -> None:
    network = timm_vit()
    with attention_of(network, images(network), [0], gradients=True) as seen:
        assert seen.blocks[0].is_leaf
        assert not seen.blocks[1].is_leaf
