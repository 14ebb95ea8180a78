"""From one value per channel to one per pixel."""

from __future__ import annotations

import pytest
import torch

from tailscope.attribution.channels import over_channels, require_channels
from tailscope.core import InputError

VALUES = torch.tensor([[3.0, 0.0], [-4.0, -1.0]], dtype=torch.float64).view(1, 2, 1, 2)


@pytest.mark.parametrize(
    ("rule", "expected"), [("sum", [-1.0, -1.0]), ("absolute", [7.0, 1.0]), ("largest", [4.0, 1.0])]
)
def test_each_rule_gives_the_number_computed_by_hand(rule: str, expected: list[float]) -> None:
    found = over_channels(VALUES, rule)
    assert found.tolist() == [[expected]]
    assert found.dtype == torch.float32


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InputError, match="`channels` must be one of 'sum', 'absolute', 'largest'; got 'mean'"):
        require_channels("mean")
