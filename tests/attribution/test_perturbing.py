"""Logits of covered images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution.perturbing import asked_logits, masked_logits
from tailscope.core import InputError


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 4)).requires_grad_(False)


def images() -> Tensor:
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_one_image_and_one_mask_at_a_time_gives_the_same_logits() -> None:
    masks = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    starts = images() * 0.5 - 1
    found = masked_logits(network(), images(), starts, masks, [3, 0, 3])
    assert found.shape == (2, 4, 3)
    for row in range(2):
        for column, mask in enumerate(masks):
            expected = network()((starts[row] * (1 - mask) + images()[row] * mask)[None])[0, [3, 0, 3]]
            torch.testing.assert_close(found[row, column], expected, rtol=1e-4, atol=1e-6)


def test_what_is_shown_or_hidden_in_whole_keeps_its_bits() -> None:
    seen = []

    def remember(given: Tensor) -> Tensor:
        seen.append(given)
        return network()(given)

    starts = images() * 0.3 - 1.7
    masks = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 6, 6)
    masked_logits(remember, images(), starts, masks, [0])
    assert torch.equal(seen[0], torch.stack([images()[0], starts[0]]))


def test_wrong_logits_are_refused() -> None:
    with pytest.raises(InputError, match=r"must give logits \(B, K\)"):
        asked_logits(nn.Conv2d(3, 1, 1), images(), [0])
    with pytest.raises(InputError, match=r"`classes` must lie in 0 … 3; got \[7\]"):
        asked_logits(network(), images(), [7])
