"""Small transformers of every build, a hand-made one with its attention in the open, and slow oracles."""

from __future__ import annotations

import copy
from collections.abc import Callable

import timm
import torch
import torchvision
from timm.layers import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

K = 3
GRID = (4, 4)


class OpenAttention(nn.Module):
    """Self-attention that keeps its probabilities; softmax by hand."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        query, key, value = (
            part.reshape(batch, count, self.heads, width // self.heads).permute(0, 2, 1, 3)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(-2, -1) / (width // self.heads) ** 0.5
        weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
        self.kept = weights if weights.requires_grad else weights.requires_grad_(torch.is_grad_enabled())
        return self.proj((self.kept @ value).permute(0, 2, 1, 3).reshape(batch, count, width))


class SoftmaxAttention(OpenAttention):
    """The same with ``torch.softmax`` on (B·heads, N, N), as much code by hand has it."""

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        query, key, value = (
            part.reshape(batch, count, self.heads, -1).transpose(1, 2).reshape(batch * self.heads, count, -1)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        weights = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, 2)
        merged = (weights @ value).reshape(batch, self.heads, count, -1).transpose(1, 2)
        return self.proj(merged.reshape(batch, count, width))


class TinyVit(nn.Module):
    """Images (B, 3, 16, 16), 4 × 4 patches, two blocks, a class token or a mean over patches."""

    def __init__(self, attention: type[nn.Module] = SoftmaxAttention, prefix: int = 1, width: int = 12) -> None:
        super().__init__()
        self.prefix = prefix
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.first = nn.Parameter(torch.randn(1, prefix, width))
        self.places = nn.Parameter(torch.randn(1, prefix + 16, width))
        self.mixers = nn.ModuleList(attention(width, 2) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 20), nn.GELU(), nn.Linear(20, width)) for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, K)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1) + self.places
        for norm, mixer, mlp in zip(self.norms, self.mixers, self.mlps, strict=True):
            tokens = tokens + mixer(norm(tokens))
            tokens = tokens + mlp(tokens)
        tokens = self.norm(tokens)
        return self.head(tokens[:, 0] if self.prefix else tokens.mean(dim=1))


def opened(network: TinyVit) -> TinyVit:
    """The same weights with attention in the open."""
    other = TinyVit(OpenAttention, network.prefix)
    other.load_state_dict(network.state_dict())
    return other.eval()


def timm_vit(**settings: object) -> VisionTransformer:
    sizes = {"img_size": 64, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": K}
    network = VisionTransformer(**sizes | settings)
    for parameter in network.parameters():  # timm starts with weights so small that attention is even
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def distilled() -> nn.Module:
    network = timm.create_model("deit_tiny_distilled_patch16_224", img_size=64, depth=2, num_classes=K)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.15)
    return network.eval()


def torchvision_vit() -> nn.Module:
    network = torchvision.models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24, num_classes=K
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


# name to (network, rows that the head reads, prefix tokens)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], range, int]] = {
    "by hand": (lambda: TinyVit().eval(), range(1), 1),
    "by hand, mean": (lambda: TinyVit(prefix=0).eval(), range(16), 0),
    "timm class token": (timm_vit, range(1), 1),
    "timm mean": (lambda: timm_vit(global_pool="avg", class_token=False), range(16), 0),
    "timm mean beside a class token": (lambda: timm_vit(global_pool="avg"), range(1, 17), 1),
    "timm registers": (lambda: timm_vit(reg_tokens=4, init_values=0.1), range(1), 5),
    "timm distilled": (distilled, range(2), 2),
    "torchvision": (torchvision_vit, range(1), 1),
}


def images(network: nn.Module, count: int = 3) -> Tensor:
    side = 16 if isinstance(network, TinyVit) else 64
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def kept_attention(network: nn.Module, one: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits (1, K) of one image, and the probabilities (1, heads, N, N) on which they depend, by other means."""
    kept: list[Tensor] = []
    network = copy.deepcopy(network)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    if isinstance(network, TinyVit):
        network = opened(network)
        logits = network(one)
        return logits, [mixer.kept for mixer in network.mixers]
    for part in network.modules():
        if isinstance(part, AttentionPoolLatent):
            part.forward = _OpenPool(part, kept)
        elif hasattr(part, "fused_attn"):
            part.fused_attn = False
            part.attn_drop.register_forward_hook(lambda _, __, output: kept.append(output))
        if isinstance(part, nn.MultiheadAttention):
            part.forward = _OpenMultiHead(part, kept)
    return network(one), kept


class _OpenMultiHead:
    def __init__(self, part: nn.MultiheadAttention, kept: list[Tensor]) -> None:
        self.part, self.kept = part, kept

    def __call__(self, tokens: Tensor, *_: Tensor, **__: object) -> tuple[Tensor, None]:
        part = self.part
        width = part.head_dim
        rows = tokens @ part.in_proj_weight.T + part.in_proj_bias
        heads = []
        for head in range(part.num_heads):
            query, key, value = (
                rows[:, :, start + head * width : start + (head + 1) * width]
                for start in (0, part.embed_dim, 2 * part.embed_dim)
            )
            heads.append((torch.softmax(query @ key.transpose(1, 2) / width**0.5, dim=-1), value))
        weights = torch.stack([weight for weight, _ in heads], dim=1)
        self.kept.append(weights)
        merged = torch.cat([weights[:, head] @ value for head, (_, value) in enumerate(heads)], dim=-1)
        return merged @ part.out_proj.weight.T + part.out_proj.bias, None


class _OpenPool:
    def __init__(self, part: AttentionPoolLatent, kept: list[Tensor]) -> None:
        self.part, self.kept = part, kept

    def __call__(self, tokens: Tensor, **_: object) -> Tensor:
        part = self.part
        query = part.q(part.latent[0]).reshape(-1, part.num_heads, part.head_dim).transpose(0, 1)
        key, value = part.kv(tokens).unflatten(2, (2, part.num_heads, part.head_dim)).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1) * part.scale).softmax(dim=-1)
        self.kept.append(weights)
        pooled = part.proj((weights @ value)[:, :, 0].flatten(1))
        return pooled + part.mlp(part.norm(pooled))
