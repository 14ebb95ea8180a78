from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tailscope.core import InputError
from tailscope.dissection.ablation import LinearRest, MeanAblation, ablated_logits, linear_rest, unit_effects
from tailscope.models import Layer, find_head, find_layer, tap

SETS = ((), (0,), (1, 3), (0, 1, 2, 3), (3, 1))
LAYER = Layer("0", 4, (6, 6))
POOL = (nn.AdaptiveAvgPool2d(1), nn.Flatten())


def pictures(count: int = 3, channels: int = 2, side: int = 6) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def linear(*, inplace: bool = False) -> nn.Module:
    """What a torchvision network ends with: maps, ReLU, mean, head."""
    return seeded(lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace), *POOL, nn.Linear(4, 3)))


def deep() -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), *POOL,
            nn.Linear(5, 3),
        )
    )  # fmt: skip


class Residual(nn.Module):
    """The layer's output is added to, or stands beside, what was there before."""

    def __init__(self, *, beside: bool) -> None:
        super().__init__()
        self.stem, self.layer = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last, self.head = nn.Conv2d(8 if beside else 4, 5, 3), nn.Linear(5, 3)
        self.beside = beside

    def forward(self, images: Tensor) -> Tensor:
        before = self.stem(images).relu()
        after = self.layer(before)
        joint = torch.cat([before, after], dim=1) if self.beside else before + after
        return self.head(self.last(joint).relu().mean(dim=(2, 3)))


def read(module: nn.Module, images: Tensor, layer: Layer) -> Tensor:
    with torch.no_grad(), tap(module, [layer.name]) as taps:
        module(images)
        return layer.maps(taps[layer.name])


def means_of(module: nn.Module, images: Tensor, layer: Layer) -> NDArray[np.float64]:
    return read(module, images, layer).double().mean(dim=(0, 2, 3)).numpy()


def plain(module: nn.Module, images: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        return module(images).double().numpy()


def test_a_tiny_case_equals_the_sum_written_out() -> None:
    network = linear()
    with torch.no_grad():
        network[0].weight.zero_(), network[0].bias.copy_(torch.tensor([1.0, 2.0, -3.0, 4.0]))
        network[4].weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]] * 3))
        network[4].bias.copy_(torch.tensor([0.0, 0.5, 0.0]))
    found = ablated_logits(network, pictures(1), LAYER, [(), (0,), (1, 3)], np.array([7.0, 8.0, 9.0, 6.0]))
    # behind the ReLU the maps are 1, 2, 0, 4
    np.testing.assert_allclose(found[0, :, 0], [4021.0, 4027.0, 6081.0])
    np.testing.assert_allclose(found[0, :, 1], [4021.5, 4027.5, 6081.5])


@pytest.mark.parametrize("inplace", [False, True])
def test_passes_and_closed_form_agree_where_the_rest_is_pooling_and_a_head(inplace: bool) -> None:
    network, images = linear(inplace=inplace), pictures()
    means = means_of(network, images, LAYER)
    rest = linear_rest(network, images, LAYER, means)
    assert isinstance(rest, LinearRest)
    pooled = read(network, images, LAYER).mean(dim=(2, 3)).numpy()
    closed = rest.ablated(pooled, SETS, means)
    passes = MeanAblation(network, LAYER, means)(images, SETS)
    np.testing.assert_allclose(passes, closed, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ablated_logits(network, images, LAYER, SETS, means), closed, rtol=1e-5, atol=1e-6)
    assert np.abs(closed[:, 1:] - closed[:, :1]).max() > 1e-3


def test_a_mean_of_rectified_maps_replaces_the_rectified_map() -> None:
    network, images = linear(), pictures()
    means = means_of(network, images, LAYER)
    assert (means > plain(network[0], images).mean(axis=(0, 2, 3))).all()
    found = MeanAblation(network, LAYER, means)(images, [range(4)])
    head = network[4]
    expected = means @ head.weight.detach().double().numpy().T + head.bias.detach().double().numpy()
    np.testing.assert_allclose(found[:, 0], np.tile(expected, (3, 1)), rtol=1e-5)


def test_all_units_at_their_means_give_every_image_the_same_logits() -> None:
    network, images = linear(), pictures(5)
    found = ablated_logits(network, images, LAYER, [range(4)], means_of(network, images, LAYER))
    np.testing.assert_allclose(np.ptp(found[:, 0], axis=0), 0, atol=1e-12)
    assert (np.ptp(plain(network, images), axis=0) > 1e-3).all()


@pytest.mark.parametrize("make", [deep, lambda: seeded(lambda: Residual(beside=False))])
def test_passes_equal_the_rest_of_the_network_run_by_hand(make: Callable[[], nn.Module]) -> None:
    network, images = make(), pictures()
    layer = LAYER if isinstance(network, nn.Sequential) else Layer("layer", 4, (6, 6))
    means = means_of(network, images, layer)
    assert linear_rest(network, images, layer, means) is None
    found = ablated_logits(network, images, layer, SETS, means)
    for place, units in enumerate(SETS):
        maps = read(network, images, layer).clone()
        for unit in units:
            maps[:, unit] = means[unit]
        with torch.no_grad():
            if isinstance(network, nn.Sequential):
                expected = network[1:](maps)
            else:
                joint = network.stem(images).relu() + maps
                expected = network.head(network.last(joint).relu().mean(dim=(2, 3)))
        np.testing.assert_allclose(found[:, place], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_the_layers_before_run_once_where_sums_follow_and_on_copies_where_they_are_concatenated() -> None:
    images, layer = pictures(), Layer("layer", 4, (6, 6))
    sums, beside = seeded(lambda: Residual(beside=False)), seeded(lambda: Residual(beside=True))
    rows: list[int] = []
    for network in (sums, beside):
        network.stem.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
        found = MeanAblation(network, layer, np.zeros(4))(images, SETS)
        np.testing.assert_allclose(found[:, 0], plain(network, images), rtol=1e-4, atol=1e-6)
        assert np.abs(found[:, 2] - found[:, 0]).max() > 1e-3
        np.testing.assert_allclose(found[:, 2], found[:, 4], rtol=1e-4, atol=1e-6)
    # whole, copies, once, then the three images; and the pass that this test made itself
    assert rows == [1, 3, 1, 1, 1, 1, 3, 1, 3, 1, 5, 5, 5, 3]


def test_a_network_that_drops_the_added_rows_runs_on_copies() -> None:
    """It takes as many rows behind the layer as there were before it, and raises nothing."""

    class Cutting(Residual):
        def forward(self, images: Tensor) -> Tensor:
            before = self.stem(images).relu()
            joint = before + self.layer(before)[: len(before)]
            return self.head(self.last(joint).relu().mean(dim=(2, 3)))

    network, images, layer = seeded(lambda: Cutting(beside=False)), pictures(), Layer("layer", 4, (6, 6))
    found = MeanAblation(network, layer, np.full(4, 0.3))(images, SETS)
    np.testing.assert_allclose(found[:, 0], plain(network, images), rtol=1e-4, atol=1e-6)
    assert (np.abs(found[:, 1:] - found[:, :1]).max(axis=(0, 2)) > 1e-3).all()


def test_the_batch_size_changes_nothing() -> None:
    network, images = deep(), pictures()
    means = means_of(network, images, LAYER)
    one, whole = (MeanAblation(network, LAYER, means, batch_size=size)(images, SETS) for size in (1, 64))
    np.testing.assert_allclose(one, whole, rtol=1e-5, atol=1e-6)


def test_an_image_has_the_same_logits_whatever_stands_beside_it() -> None:
    network, images = deep(), pictures()
    means = means_of(network, images, LAYER)
    alone = MeanAblation(network, LAYER, means)(images[2:], SETS)
    assert (MeanAblation(network, LAYER, means)(images, SETS)[2:] == alone).all()


def test_what_is_not_wanted_is_not_run() -> None:
    network, images = deep(), pictures()
    means = means_of(network, images, LAYER)
    wanted = np.random.default_rng(0).random((3, len(SETS))) < 0.5
    found = MeanAblation(network, LAYER, means)(images, SETS, wanted)
    assert (np.isfinite(found).all(axis=2) == wanted).all()
    np.testing.assert_allclose(
        found[wanted], MeanAblation(network, LAYER, means)(images, SETS)[wanted], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "layer", "form"), [("test_vit", "auto", "tokens"), ("convnext_atto", "stages.3", "maps")]
)
def test_networks_of_timm_go_on_with_the_replaced_units(name: str, layer: str, form: str) -> None:
    size = {"img_size": 64} if name == "test_vit" else {}
    network = seeded(lambda: timm.create_model(name, pretrained=False, num_classes=3, in_chans=2, **size))
    head = find_head(network, 3)
    with torch.no_grad():  # timm's heads start near 0
        head.weight.copy_(pictures(1, 1, head.in_features)[0, 0, :3])
    images = pictures(2, 2, 64)
    found = find_layer(network, images, layer, coarse=0)
    assert found.form == form
    means = means_of(network, images, found)
    logits = ablated_logits(network, images, found, [(), (0, 5), range(found.channels)], means)
    np.testing.assert_allclose(logits[:, 0], plain(network, images), rtol=1e-3, atol=1e-4)
    part = network.get_submodule(found.name)

    def replace(_: nn.Module, __: object, output: Tensor) -> Tensor:
        changed = output.clone()
        if form == "tokens":
            changed[:, found.prefix :, [0, 5]] = torch.tensor(means[[0, 5]], dtype=torch.float32)
        else:
            changed[:, [0, 5]] = torch.tensor(means[[0, 5]], dtype=torch.float32)[:, None, None]
        return changed

    handle = part.register_forward_hook(replace)
    expected = plain(network, images)
    handle.remove()
    np.testing.assert_allclose(logits[:, 1], expected, rtol=1e-3, atol=1e-4)
    assert np.abs(logits[:, 1] - logits[:, 0]).max() > 1e-3
    assert np.abs(logits[:, 2] - logits[:, 0]).max() > 1e-2


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(images.permute(0, 2, 3, 1)).mean(dim=(1, 2)))


def test_maps_with_the_channels_last_are_set_by_channel() -> None:
    network, images, layer = seeded(ChannelsLast), pictures(), Layer("layer", 4, (6, 6), "channels last")
    means = np.array([1.0, -2.0, 0.5, 3.0])
    rest = linear_rest(network, images, layer, means)
    assert rest is not None
    pooled = read(network, images, layer).mean(dim=(2, 3)).numpy()
    passes = MeanAblation(network, layer, means)(images, SETS)
    np.testing.assert_allclose(passes, rest.ablated(pooled, SETS, means), rtol=1e-5, atol=1e-6)
    assert np.abs(passes[:, 1] - passes[:, 0]).max() > 1e-2


def test_a_rest_that_is_linear_only_near_the_whole_network_is_not_taken_for_linear() -> None:
    """The head sees min(mean, 2): as long as no unit is above 2 nothing tells it from the mean."""

    class Clipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Conv2d(2, 4, 1), nn.Linear(4, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.layer(images).mean(dim=(2, 3)).clamp(max=2.0))

    network, images, layer = seeded(Clipped), pictures(), Layer("layer", 4, (6, 6))
    assert linear_rest(network, images, layer, np.full(4, 1.0)) is not None
    assert linear_rest(network, images, layer, np.full(4, 5.0)) is None


def test_effects_are_weight_times_mean_activation_behind_pooling() -> None:
    network, images = linear(), pictures()
    expected = (
        network[4].weight[1].abs().double().detach().numpy()
        * read(network, images, LAYER).abs().mean(dim=(2, 3)).numpy()
    )
    np.testing.assert_allclose(unit_effects(network, images, LAYER, 1), expected, rtol=1e-5)


def test_effects_of_a_layer_that_no_logit_depends_on_are_refused() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Conv2d(2, 4, 1), nn.Linear(2, 3)

        def forward(self, images: Tensor) -> Tensor:
            self.layer(images)
            return self.head(images.mean(dim=(2, 3)))

    with pytest.raises(InputError, match="no logit depends on what layer 'layer' gave"):
        unit_effects(Aside(), pictures(), Layer("layer", 4, (6, 6)), 0)


def state(module: nn.Module) -> tuple[list[tuple[int, bool]], list[bool], list[bytes]]:
    hooks = [(len(part._forward_hooks) + len(part._forward_pre_hooks), part.training) for part in module.modules()]
    flags = [parameter.requires_grad for parameter in module.parameters()]
    return hooks, flags, [value.detach().numpy().tobytes() for value in module.state_dict().values()]


def test_the_module_is_untouched_after_success_and_after_an_error() -> None:
    network, images = deep().train(), pictures()
    before = state(network)
    ablated_logits(network, images, LAYER, SETS, np.zeros(4))
    unit_effects(network, images, LAYER, 0)
    assert state(network) == before

    def fail(*_: object) -> None:
        raise OSError("no")

    handle = network[5].register_forward_hook(fail)
    for ask in (
        lambda: MeanAblation(network, LAYER, np.zeros(4))(images, SETS),
        lambda: linear_rest(network, images, LAYER, np.zeros(4)),
        lambda: unit_effects(network, images, LAYER, 0),
    ):
        with pytest.raises(OSError, match="no"):
            ask()
    handle.remove()
    assert state(network) == before


def test_a_network_that_mixes_the_images_of_a_batch_is_refused() -> None:
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(2, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(images).mean(dim=(2, 3)) * len(images)

    with pytest.raises(InputError, match="the same alone and in a batch"):
        MeanAblation(Mixing(), Layer("layer", 4, (6, 6)), np.zeros(4))(pictures(), SETS)


@pytest.mark.parametrize(
    ("sets", "means", "message"),
    [
        ([(4,)], np.zeros(4), "`sets` must hold units 0 … 3"),
        ([(-1,)], np.zeros(4), "got -1"),
        ([(0,)], np.zeros(5), r"`means` must be \(4,\)"),
        ([(0,)], np.array([0.0, 0.0, np.nan, 0.0]), "one finite number per unit"),
    ],
)
@pytest.mark.parametrize("make", [linear, deep])
def test_units_and_means_that_do_not_fit_are_refused(
    make: Callable[[], nn.Module], sets: list[tuple[int, ...]], means: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ablated_logits(make(), pictures(), LAYER, sets, means)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="`batch_size` must be 1 or more; got 0"):
        MeanAblation(deep(), LAYER, np.zeros(4), batch_size=0)
    with pytest.raises(InputError, match=r"`wanted` must be \(3, 5\), images by sets"):
        MeanAblation(deep(), LAYER, np.zeros(4))(pictures(), SETS, np.ones((3, 4), dtype=bool))
