"""HiResCAM against its closed forms and a slow version."""

from __future__ import annotations

import torch
from torch import nn

from tailscope.attribution.gradcam import GradCam
from tailscope.attribution.hirescam import HiResCam
from tailscope.attribution.registry import ATTRIBUTIONS

from .cam_cases import K, PooledNet, close, images, one_by_one, small


def test_a_slow_version_with_one_image_and_one_class_at_a_time_gives_the_same_maps() -> None:
    network = small()
    expected = one_by_one(network, lambda activation, slope: sum(map(torch.mul, activation, slope)).relu(), [2, 0, 2])
    close(HiResCam("second")(network, images(), [2, 0, 2]), expected)


def test_behind_a_global_mean_and_a_linear_head_it_is_grad_cam() -> None:
    network = small(PooledNet)
    expected = GradCam("second", relu=False)(network, images(), range(K))
    close(HiResCam("second", relu=False)(network, images(), range(K)), expected)


def test_before_a_linear_head_map_and_bias_add_up_to_the_logit() -> None:
    network = small()
    network.head = nn.Sequential(nn.Flatten(), nn.Linear(80, K))
    maps = HiResCam("second", relu=False)(network, images(), range(K))
    close(maps.sum(dim=(2, 3)) + network.head[1].bias.detach(), network(images()).detach())


def test_where_the_head_is_not_a_mean_it_is_not_grad_cam() -> None:
    network = small()
    ours, theirs = HiResCam("second")(network, images(), [0]), GradCam("second")(network, images(), [0])
    assert not torch.allclose(ours / ours.amax(), theirs / theirs.amax(), atol=0.05)


def test_a_place_that_the_logit_ignores_is_not_marked() -> None:
    network = small()
    with torch.no_grad():
        network.head[1].weight.view(8, 5, 4, 4)[:, :, 0, :] = 0
    maps = HiResCam("second", relu=False)(network, images(), range(K))
    assert not maps[:, :, 0].any()
    assert maps[:, :, 1:].any()
    assert GradCam("second", relu=False)(network, images(), range(K))[:, :, 0].any()


def test_negative_values_stay_without_relu() -> None:
    signed = HiResCam("second", relu=False)(small(), images(), [1])
    assert bool((signed < 0).any())
    assert torch.equal(HiResCam("second")(small(), images(), [1]), signed.relu())


def test_no_class_gives_no_map() -> None:
    assert HiResCam("second")(small(), images(), []).shape == (3, 0, 4, 4)


def test_it_is_registered_under_its_name() -> None:
    assert ATTRIBUTIONS.build("hirescam", relu=False) == HiResCam(relu=False)
