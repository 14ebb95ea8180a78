"""Extremal perturbation against the published masks, and on networks that read known places."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.attribution.extremal_perturbation import ExtremalPerturbation
from tailscope.core import InputError

from .perturbation_cases import ReadsOnePatch, golden_arrays, golden_cases, needs_golden
from .test_gradcam import golden_network

UPPER, LOWER = (slice(4, 12), slice(18, 26)), (slice(20, 28), slice(4, 12))


def images(count: int = 2, size: int = 32) -> Tensor:
    return 1 + torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(7))


def small_network() -> nn.Module:
    torch.manual_seed(8)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
    )


def inside(mask: Tensor, patch: tuple[slice, slice]) -> float:
    """Share of the mask that lies in the patch."""
    return float(mask[patch].sum() / mask.sum())


@pytest.mark.needs_data
@needs_golden
@pytest.mark.parametrize("case", golden_cases("ep_run"))
def test_the_published_masks_are_reproduced(case):
    stored, args = golden_arrays(case["file"]), case["args"]
    method = ExtremalPerturbation(
        areas=tuple(args["areas"]),
        step=args["step"],
        sigma=args["sigma"],
        iterations=args["max_iter"],
        objective=args.get("variant", "preserve"),
        perturbation=args.get("perturbation", "blur"),
        variant="as_published",
    )
    network = golden_network().float()
    masks = method.masks(network, stored["img"], [args["target"]])
    torch.testing.assert_close(masks[0, 0], stored["mask"][:, 0], rtol=0, atol=1e-3)
    torch.testing.assert_close(masks.mean(dim=2)[0], stored["mask"].mean(dim=0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("objective", ["preserve", "delete"])
def test_the_mask_lies_where_the_network_reads(objective):
    method = ExtremalPerturbation(areas=(0.0625,), perturbation="fade", objective=objective, iterations=60)
    maps = method(ReadsOnePatch(UPPER, LOWER), images(1), [0, 1])[0]
    assert inside(maps[0], UPPER) > 0.7
    assert inside(maps[1], LOWER) > 0.7


def test_a_logit_that_sinks_with_the_patch_keeps_it_out_of_the_mask():
    maps = ExtremalPerturbation(areas=(0.5,), perturbation="fade", iterations=40)(
        ReadsOnePatch(UPPER, gain=-10.0), images(1), [0]
    )
    assert inside(maps[0, 0], UPPER) < 0.01


@pytest.mark.parametrize("size", [32, 45])
def test_each_mask_covers_exactly_its_area_of_the_image(size):
    areas = (0.05, 0.1, 0.4)
    masks = ExtremalPerturbation(areas=areas, iterations=12).masks(small_network(), images(size=size), [0, 2])
    assert masks.shape == (2, 2, 3, size, size)
    torch.testing.assert_close(masks.mean(dim=(3, 4)), torch.tensor(areas).expand(2, 2, 3), rtol=1e-3, atol=0)


def test_as_published_a_mask_covers_more_than_it_was_asked_for():
    method = ExtremalPerturbation(step=7, sigma=21, iterations=25, variant="as_published")
    assert float(method(small_network(), images(1), [0]).mean()) > 0.3


def test_a_map_is_the_mean_of_its_masks_and_lies_between_0_and_1():
    method = ExtremalPerturbation(areas=(0.1, 0.3), iterations=6)
    maps = method(small_network(), images(), [1])
    torch.testing.assert_close(maps, method.masks(small_network(), images(), [1]).mean(dim=2))
    assert maps.dtype == torch.float32
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1


def test_a_map_is_the_same_in_any_batch_and_any_order_of_classes():
    method = ExtremalPerturbation(areas=(0.1, 0.3), iterations=50, batch_size=4)
    network = small_network()
    together = method(network, images(), [0, 1, 2])
    alone = torch.cat([method(network, image, [2, 0]) for image in images().split(1)])
    torch.testing.assert_close(alone, together[:, [2, 0]], rtol=0, atol=1e-6)


def test_in_single_precision_a_map_is_the_same_bits_in_any_batch():
    method = ExtremalPerturbation(areas=(0.1, 0.3), iterations=50, precision="single")
    network = small_network()
    together = method(network, images(), [0, 1, 2])
    alone = torch.cat([method(network, image, [2, 0]) for image in images().split(1)])
    assert torch.equal(alone, together[:, [2, 0]])


def test_the_number_of_masks_in_a_pass_changes_nothing():
    few, many = (ExtremalPerturbation(areas=(0.1, 0.3), iterations=50, batch_size=size) for size in (3, 16))
    network = small_network()
    torch.testing.assert_close(few(network, images(), [0, 1]), many(network, images(), [0, 1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", ["corrected", "as_published"])
def test_two_calls_give_the_same_bits(variant):
    method = ExtremalPerturbation(areas=(0.1,), iterations=4, variant=variant)
    network = small_network()
    assert torch.equal(method(network, images(1), [1]), method(network, images(1), [1]))


@pytest.mark.parametrize("variant", ["corrected", "as_published"])
@pytest.mark.parametrize("classes", [[1], [7]])
def test_the_network_is_as_before_also_after_an_error(variant, classes):
    network = small_network().train()
    network[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    method = ExtremalPerturbation(areas=(0.1,), iterations=2, variant=variant)
    if classes == [7]:
        with pytest.raises(InputError, match=r"`classes` must lie in 0 … 2; got \[7\]"):
            method(network, images(1), classes)
    else:
        method(network, images(1), classes)
    assert all(part.training for part in network.modules())
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, *[True] * 7]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_it_works_where_autograd_is_off():
    method = ExtremalPerturbation(areas=(0.1,), iterations=3)
    network = small_network()
    expected = method(network, images(1), [1])
    with torch.inference_mode():
        assert torch.equal(method(network, images(1), [1]), expected)


def test_no_class_gives_no_map():
    assert ExtremalPerturbation()(small_network(), images(), []).shape == (2, 0, 32, 32)


def test_it_is_registered_and_takes_a_list_of_areas():
    method = ATTRIBUTIONS.build("extremal_perturbation", areas=[0.1, 0.2])
    assert method == ExtremalPerturbation(areas=(0.1, 0.2))
    assert not method.shares_passes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"areas": (0.1, 1.0)}, "`areas` must be a number above 0 and below 1; got 1.0"),
        ({"areas": (0,)}, "`areas` must be a number above 0 and below 1; got 0"),
        ({"areas": ()}, "`areas` must be numbers above 0 and below 1, one at least"),
        ({"areas": 0.1}, "`areas` must be numbers above 0 and below 1, one at least; got 0.1"),
        ({"step": 0}, "`step` must be a whole number, 1 or more; got 0"),
        ({"sigma": 0.0}, "`sigma` must be a number above 0"),
        ({"sigma": 2.5, "variant": "as_published"}, "`sigma` must be a whole number"),
        ({"iterations": 0}, "`iterations` must be a whole number, 1 or more"),
        ({"batch_size": 0}, "`batch_size` must be a whole number, 1 or more"),
        ({"objective": "keep"}, "`objective` must be one of 'preserve', 'delete'; got 'keep'"),
        ({"perturbation": "noise"}, "`perturbation` must be one of 'blur', 'fade'; got 'noise'"),
        ({"precision": "half"}, "`precision` must be one of 'double', 'single'; got 'half'"),
        ({"variant": "torchray"}, "`variant` must be one of 'corrected', 'as_published'; got 'torchray'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ExtremalPerturbation(**settings)
