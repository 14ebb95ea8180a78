"""Deletion and insertion against closed forms, a slow version, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.deletion import DeletionInsertion
from tailscope.core import InputError


def linear(weights: Tensor) -> nn.Module:
    """Logits W·x of images with one row of pixels each."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=True))
    with torch.no_grad():
        network[1].weight.copy_(weights)
        network[1].bias.fill_(5.0)
    return network


def images(count: int = 3, size: int = 32) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def maps(count: int = 3, size: int = 8) -> Tensor:
    return torch.randn(count, size, size, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3).eval()


FINE = DeletionInsertion(steps=5, least=1e-9)


def test_a_linear_network_and_its_own_terms_give_the_closed_form() -> None:
    weights = torch.tensor([[4.0, 1.0, 3.0, 2.0]])
    image = torch.tensor([[[[1.0, 0.0, 1.0, 1.0]]]])  # black is 0, so x_full − x_baseline = 4 + 3 + 2
    curves = DeletionInsertion(baseline="black", steps=4)(
        linear(weights), image, [0], weights.reshape(1, 1, 4) * image[:, 0]
    )
    falling = [1.0, 5 / 9, 2 / 9, 0.0, 0.0]
    rising = [0.0, 4 / 9, 7 / 9, 1.0, 1.0]
    np.testing.assert_allclose(curves.deletion, [falling], atol=1e-6)
    np.testing.assert_allclose(curves.insertion, [rising], atol=1e-6)
    area = (0.5 + 5 / 9 + 2 / 9) / 4
    np.testing.assert_allclose(curves.deletion_area, [area], atol=1e-6)
    np.testing.assert_allclose(curves.gain, [1 - 2 * area], atol=1e-6)  # a linear network inserts as it deletes


def test_a_reversed_map_has_the_opposite_gain_in_a_linear_network() -> None:
    weights = torch.tensor([[4.0, 1.0, 3.0, -2.0]])
    image = torch.tensor([[[[1.0, 2.0, 0.0, 3.0]]]])
    saliency = weights.reshape(1, 1, 4) * (image[:, 0] - 1.5)
    settings = DeletionInsertion(baseline="image_mean", steps=4)
    up, down = (settings(linear(weights), image, [0], sign * saliency).gain for sign in (1, -1))
    assert float(up) > 0.2
    torch.testing.assert_close(up, -down)


def test_a_good_map_gains_also_where_the_baseline_has_more_of_the_class() -> None:
    weights = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    image = torch.tensor([[[[0.0, -9.0, 1.0, 0.0]]]])
    flat = linear(weights * torch.tensor([1.0, 1.0, 1.0, 0.0]))
    curves = DeletionInsertion(baseline="image_mean", steps=4)(flat, image, [0], image[:, 0])
    assert float(curves.deletion[0, 0]) == -1.0
    assert float(curves.insertion[0, 0]) == 0.0
    assert float(curves.gain) > 0


@pytest.mark.parametrize("baseline", ["blur", "image_mean", "black"])
def test_a_slow_version_pixel_by_pixel_gives_the_same(network: nn.Module, baseline: str) -> None:
    classes, given, saliency = [2, 0, 1], images(), maps()
    curves = DeletionInsertion(baseline=baseline, steps=5, least=1e-9)(network, given, classes, saliency)
    whole = functional.interpolate(saliency[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    for number, (image, index) in enumerate(zip(given, classes, strict=True)):
        if baseline == "blur":
            planes = [gaussian_filter(plane, 1.6, radius=5, mode="mirror") for plane in image.numpy()]
            empty = torch.from_numpy(np.stack(planes))
        else:
            empty = torch.stack(
                [(plane.mean() if baseline == "image_mean" else plane.min()) + 0 * plane for plane in image]
            )
        order = sorted(range(1024), key=lambda pixel, number=number: -float(whole[number].flatten()[pixel]))
        paths: dict[str, list[float]] = {"deletion": [], "insertion": []}
        for step in range(6):
            chosen = torch.zeros(1024, dtype=torch.bool)
            chosen[order[: step * 1024 // 5]] = True
            chosen = chosen.reshape(32, 32)
            for way, kept in (("deletion", ~chosen), ("insertion", chosen)):
                with torch.no_grad():
                    paths[way].append(float(network(torch.where(kept, image, empty)[None])[0, index]))
        low, high = paths["insertion"][0], paths["insertion"][-1]
        for way, found in (("deletion", curves.deletion), ("insertion", curves.insertion)):
            expected = (np.array(paths[way]) - low) / abs(high - low)
            np.testing.assert_allclose(found[number], expected, atol=2e-3)


def test_curves_begin_and_end_where_they_must(network: nn.Module) -> None:
    curves = FINE(network, images(), [0, 1, 2], maps())
    assert curves.deletion.shape == curves.insertion.shape == (3, 6)
    assert torch.equal(curves.deletion[:, 0].abs(), torch.ones(3, dtype=torch.float64))
    assert torch.equal(curves.insertion[:, -1], curves.deletion[:, 0])
    assert not curves.deletion[:, -1].any()
    assert not curves.insertion[:, 0].any()


def test_neither_the_batch_size_nor_the_batch_matters(network: nn.Module) -> None:
    whole = FINE(network, images(), [2, 0, 1], maps())
    small = DeletionInsertion(steps=5, least=1e-9, batch_size=2)(network, images(), [2, 0, 1], maps())
    alone = FINE(network, images()[1:2], [0], maps()[1:2])
    torch.testing.assert_close(whole.deletion, small.deletion, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(whole.insertion[1:2], alone.insertion, rtol=1e-3, atol=1e-4)


def test_the_scale_of_a_map_does_not_matter(network: nn.Module) -> None:
    one = FINE(network, images(), [0, 0, 0], maps(size=32))
    other = FINE(network, images(), [0, 0, 0], 2.0**-9 * maps(size=32))
    torch.testing.assert_close(one.gain, other.gain, rtol=0, atol=1e-6)


def test_ties_come_in_the_same_order_for_every_image_and_constant_map(network: nn.Module) -> None:
    same = images(1).expand(2, -1, -1, -1)
    constant = torch.tensor([0.0, 0.3]).reshape(2, 1, 1).expand(2, 5, 5)
    curves = FINE(network, same, [0, 0], constant)
    torch.testing.assert_close(curves.deletion[0], curves.deletion[1])
    scattered = FINE._ranks(constant, (32, 32))[0].reshape(32, 32) < 512
    assert 0.4 < float(scattered[:16].float().mean()) < 0.6


def test_a_random_order_gains_nothing_on_average() -> None:
    weights = torch.randn(1, 3 * 256, generator=torch.Generator().manual_seed(3))
    settings = DeletionInsertion(steps=4, n_random=40, least=1e-9)
    null = settings.random_order(linear(weights), images(4, 16), [0] * 4)
    one = DeletionInsertion(steps=4, n_random=1, least=1e-9).random_order(linear(weights), images(4, 16), [0] * 4)
    assert float(null.gain.abs().mean()) < 0.5 * float(one.gain.abs().mean())


def test_a_pair_that_does_not_move_the_logit_is_undefined_with_the_reason() -> None:
    weights = torch.zeros(1, 4)
    curves = DeletionInsertion()(linear(weights), torch.rand(2, 1, 1, 4), [0, 0], torch.rand(2, 1, 4))
    assert curves.gain.isnan().all()
    assert curves.reasons == ("the logits of image and baseline differ by less than 0.05",) * 2


def test_the_network_and_the_images_are_left_as_they_were(network: nn.Module) -> None:
    network.train()
    given = images()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FINE(network, given, [0, 1, 2], maps())
    assert network.training
    assert torch.equal(given, images())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "white"}, "`baseline` must be one of 'mean', 'image_mean', 'black', 'blur'; got 'white'"),
        ({"steps": 0}, "`steps`"),
        ({"sigma": 1.0}, "`sigma`"),
        ({"least": 0.0}, "`least`"),
    ],
)
def test_a_wrong_setting_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        DeletionInsertion(**change)


def test_maps_and_classes_that_do_not_fit_are_refused(network: nn.Module) -> None:
    with pytest.raises(InputError, match=r"`maps` must be finite \(B, h, w\), one for each of 3; got \(2, 8, 8\)"):
        FINE(network, images(), [0, 1, 2], maps(2))
    with pytest.raises(InputError, match="`classes` must hold one index for each image; got 2 for 3"):
        FINE(network, images(), [0, 1], maps())
    with pytest.raises(InputError, match="`classes` must lie in 0 … 2"):
        FINE(network, images(), [0, 1, 3], maps())
