"""What every registered attribution promises about questions and wrong input, on one network of each form of maps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tailscope.attribution import ATTRIBUTIONS
from tailscope.core import InputError

from .families import K, build, fresh, hooks_on, images, network, suits

pytestmark = [
    pytest.mark.filterwarnings("ignore::tailscope.models.layers.CoarseGridWarning"),
    pytest.mark.filterwarnings("ignore:guided_backprop hardly depends:UserWarning"),
]

# Maps, maps behind a functional ReLU in place, maps with the channels last, tokens.
NETWORKS = ("timm resnet", "torchvision densenet", "timm swin", "timm vit")
PAIRS = [(method, family) for family in NETWORKS for method in ATTRIBUTIONS.names() if suits(method, family)]
every_pair = pytest.mark.parametrize(("method", "family"), PAIRS)
every_method = pytest.mark.parametrize("method", ATTRIBUTIONS.names())


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@every_pair
def test_the_order_of_classes_is_that_of_the_question(method: str, family: str) -> None:
    module = network(family)
    every = build(method)(module, images(), range(K))
    close(build(method)(module, images(), [2, 1, 2]), every[:, [2, 1, 2]])


@every_pair
def test_the_order_of_images_does_not_matter(method: str, family: str) -> None:
    module = network(family)
    close(build(method)(module, images().flip(0), [1]).flip(0), build(method)(module, images(), [1]))


@every_pair
def test_no_class_gives_no_map(method: str, family: str) -> None:
    module = network(family)
    some = build(method)(module, images(), [1])
    none = build(method)(module, images(), [])
    assert none.shape == (2, 0, *some.shape[2:])
    assert none.dtype == torch.float32


@every_pair
def test_images_are_not_changed(method: str, family: str) -> None:
    given = images()
    build(method)(network(family), given, [1])
    assert torch.equal(given, images())
    assert not given.requires_grad


@every_pair
def test_logits_are_the_same_bits_afterwards(method: str, family: str) -> None:
    module = network(family)
    with torch.no_grad():
        before = module(images())
        build(method)(module, images(), [0, 1])
        assert torch.equal(module(images()), before)


@every_method
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_autograd_is_off(method: str, mode: Callable[[], object]) -> None:
    module = network("timm vit")
    expected = build(method)(module, images(), [0])
    with mode():
        assert torch.equal(build(method)(module, images(), [0]), expected)


@every_method
def test_images_that_ask_for_gradients_are_left_alone(method: str) -> None:
    given = images().requires_grad_()
    assert not build(method)(network("timm vit"), given, [0]).requires_grad
    assert given.requires_grad
    assert given.grad is None


@every_method
def test_a_constant_added_to_a_logit_changes_no_map(method: str) -> None:
    """Maps explain how a logit depends on the image: its constant part is no part of that."""
    module = fresh("timm vit")
    before = build(method)(module, images(), range(K))
    module.head.bias.data.add_(2.0)
    after = build(method)(module, images(), range(K))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=2e-3 * float(before.abs().max()))


@every_method
@pytest.mark.parametrize("classes", [[K], [0, -1]])
def test_a_class_out_of_range_is_refused(method: str, classes: list[int]) -> None:
    module = network("timm vit")
    with pytest.raises(InputError, match=r"`classes` must lie in 0 … 2; got \[(3|-1)\]"):
        build(method)(module, images(), classes)


@every_method
def test_images_that_are_none_are_refused(method: str) -> None:
    module = network("timm vit")
    for wrong in (images()[0], images()[:0], images().long()):
        with pytest.raises(InputError, match=r"images must be floating \(B, C, H, W\), B at least 1"):
            build(method)(module, wrong, [0])


@every_method
def test_images_with_a_hole_are_refused(method: str) -> None:
    given = images()
    given[1, 0, 3, 4] = float("nan")
    with pytest.raises(InputError, match="images must be finite; got NaN or infinity in image 1 of the batch"):
        build(method)(network("timm vit"), given, [0])


@every_method
def test_logits_that_are_not_finite_are_refused(method: str) -> None:
    module = fresh("timm vit")
    module.head.bias.data[1] = float("nan")
    with pytest.raises(InputError, match="logits must be finite"):
        build(method)(module, images(), [0])
    assert hooks_on(module) == 0


@every_method
def test_an_error_inside_the_network_passes_and_leaves_nothing(method: str) -> None:
    module = fresh("timm vit").train()
    with pytest.raises(RuntimeError, match="channels"):
        build(method)(module, images(channels=2), [0])
    assert hooks_on(module) == 0
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())


@every_method
def test_it_says_whether_classes_share_passes(method: str) -> None:
    """All classes of one image in fewer passes of its batch than one class each, or not."""
    module = fresh("timm vit")
    assert _passes(module, method, range(K)) >= _passes(module, method, [0])
    if build(method).shares_passes:
        assert _passes(module, method, range(K)) == _passes(module, method, [0])


def _passes(module: nn.Module, method: str, classes: object) -> int:
    rows: list[int] = []
    handle = module.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    build(method)(module, images(1), classes)
    handle.remove()
    return sum(rows)
