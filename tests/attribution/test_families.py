"""Every registered attribution on every family of networks: a new method or family is tested the day it is there."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import pytest
import torch
from torch import Tensor

from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import InputError
from tailscope.models import find_layer

from .families import FAMILIES, SIZE, K, build, everything_about, fresh, images, network, same, suits

pytestmark = [
    pytest.mark.filterwarnings("ignore::tailscope.models.layers.CoarseGridWarning"),
    pytest.mark.filterwarnings("ignore:guided_backprop hardly depends:UserWarning"),
]

PAIRS = [(method, family) for family in FAMILIES for method in ATTRIBUTIONS.names()]
FITTING = [pair for pair in PAIRS if suits(*pair)]
every_fitting_pair = pytest.mark.parametrize(("method", "family"), FITTING)


def settings_of(method: str) -> set[str]:
    return {field.name for field in fields(build(method))}


@cache
def maps_of(method: str, family: str) -> Tensor:
    """Of two images and two classes, which several tests look at."""
    return build(method)(network(family), images(), [2, 0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("channels", [3, 1])
def test_auto_finds_the_layer_of_the_family(family: str, channels: int) -> None:
    if channels in FAMILIES[family].channels:
        found = find_layer(network(family, channels), (channels, SIZE, SIZE), coarse=0)
        assert found.name == FAMILIES[family].layer


@every_fitting_pair
def test_maps_are_finite_float32_and_not_empty(method: str, family: str) -> None:
    maps = maps_of(method, family)
    assert maps.shape[:2] == (2, 2)
    assert maps.ndim == 4
    assert maps.shape[2] > 1
    assert maps.shape[3] > 1
    assert maps.dtype == torch.float32
    assert bool(torch.isfinite(maps).all())
    assert bool(maps.any())
    assert not maps.requires_grad


@every_fitting_pair
def test_a_batch_gives_what_its_images_give_one_by_one(method: str, family: str) -> None:
    together = maps_of(method, family)
    alone = build(method)(network(family), images()[1:], [2, 0])
    torch.testing.assert_close(together[1:], alone, rtol=1e-5, atol=1e-5 * float(together.abs().max()))


@every_fitting_pair
def test_asked_again_and_by_the_name_of_the_layer_it_gives_the_same_bits(method: str, family: str) -> None:
    torch.manual_seed(11)  # a method draws from its own seed, not from torch's state
    by_name = {"layer": FAMILIES[family].layer} if "layer" in settings_of(method) else {}
    assert torch.equal(build(method, **by_name)(network(family), images(), [2, 0]), maps_of(method, family))


@every_fitting_pair
def test_the_network_is_left_as_it_was_after_success_and_after_an_error(method: str, family: str) -> None:
    module = fresh(family).train()
    first, second, *_ = module.parameters()
    first.requires_grad_(False)
    second.grad = torch.ones_like(second)
    before = everything_about(module)
    build(method)(module, images(1), [1])
    assert same(everything_about(module), before)
    with pytest.raises(InputError, match="classes"):
        build(method)(module, images(1), [K])
    assert same(everything_about(module), before)


@pytest.mark.parametrize(("method", "family"), [(m, f) for m, f in FITTING if 1 in FAMILIES[f].channels])
def test_images_of_one_channel_have_maps(method: str, family: str) -> None:
    maps = build(method)(network(family, 1), images(1, channels=1), [2, 0])
    assert maps.shape[2:] == maps_of(method, family).shape[2:]
    assert bool(torch.isfinite(maps).all())
    assert bool(maps.any())


@pytest.mark.parametrize(("method", "family"), [pair for pair in PAIRS if not suits(*pair)])
def test_a_network_that_a_method_cannot_explain_is_refused_and_left_as_it_was(method: str, family: str) -> None:
    module = fresh(family).train()
    before = everything_about(module)
    with pytest.raises(InputError, match="attention"):
        build(method)(module, images(1), [1])
    assert same(everything_about(module), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_fitting_pair
def test_a_gpu_gives_the_maps_of_the_cpu(method: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    maps = build(method)(fresh(family).cuda(), images().cuda(), [2, 0])
    assert maps.is_cuda
    expected = maps_of(method, family)
    torch.testing.assert_close(maps.cpu(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
