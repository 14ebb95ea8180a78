"""Outputs of layers as maps, and back."""

from __future__ import annotations

import pytest
import torch

from tailscope.core import InputError
from tailscope.models import Layer, form_of

B, C, H, W = 2, 3, 2, 4
FORMS = {
    "maps": (Layer("x", C, (H, W)), (B, C, H, W)),
    "channels last": (Layer("x", C, (H, W), "channels last"), (B, H, W, C)),
    "tokens": (Layer("x", C, (H, W), "tokens"), (B, H * W, C)),
    "tokens with a prefix": (Layer("x", C, (H, W), "tokens", 2), (B, 2 + H * W, C)),
}


@pytest.fixture(params=FORMS)
def case(request: pytest.FixtureRequest) -> tuple[Layer, torch.Tensor]:
    layer, shape = FORMS[request.param]
    return layer, torch.randn(shape, generator=torch.Generator().manual_seed(4))


def test_raw_undoes_maps(case: tuple[Layer, torch.Tensor]) -> None:
    layer, output = case
    maps = layer.maps(output)
    assert maps.shape == (B, C, H, W)
    assert torch.equal(layer.raw(maps, output), output)


def test_maps_undoes_raw(case: tuple[Layer, torch.Tensor]) -> None:
    layer, output = case
    maps = torch.randn(B, C, H, W)
    assert torch.equal(layer.maps(layer.raw(maps, output)), maps)


def test_raw_does_not_change_the_output(case: tuple[Layer, torch.Tensor]) -> None:
    layer, output = case
    before = output.clone()
    layer.raw(torch.zeros(B, C, H, W), output)
    assert torch.equal(output, before)


def test_tokens_run_row_by_row_behind_the_prefix() -> None:
    layer, shape = FORMS["tokens with a prefix"]
    output = torch.arange(2.0 * 10 * 3).reshape(shape)
    maps = layer.maps(output)
    for row in range(H):
        for column in range(W):
            assert torch.equal(maps[:, :, row, column], output[:, 2 + row * W + column])


def test_prefix_tokens_stay_as_they_are() -> None:
    layer, shape = FORMS["tokens with a prefix"]
    output = torch.randn(shape)
    assert torch.equal(layer.raw(torch.zeros(B, C, H, W), output)[:, :2], output[:, :2])


@pytest.mark.parametrize(
    ("shape", "patches", "expected"),
    [
        ((1, 7, 8, 6), None, Layer("x", 7, (8, 6))),
        ((1, 8, 6, 7), None, Layer("x", 7, (8, 6), "channels last")),
        ((1, 49, 7), (8, 6), Layer("x", 7, (8, 6), "tokens", 1)),
        ((1, 48, 7), (8, 6), Layer("x", 7, (8, 6), "tokens", 0)),
    ],
)
def test_the_form_is_read_off_the_shape(shape: tuple[int, ...], patches: tuple[int, int], expected: Layer) -> None:
    assert form_of("x", shape, (64, 48), patches) == expected


@pytest.mark.parametrize("shape", [(1, 7), (1, 47, 7), (1, 2, 3, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"layer 'x' must give maps .* or tokens of the 8 × 6 patches; got the shape"):
        form_of("x", shape, (64, 48), (8, 6))
