"""Networks with weights drawn anew: which, how, and that nothing else changes."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from tailscope.attribution.randomising import randomised
from tailscope.core import InputError


class Net(nn.Module):
    """Three kernels, a batch norm, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3)
        self.scale = nn.ParameterDict({"gamma": nn.Parameter(torch.arange(6.0))})
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.second(self.norm(self.first(x)).relu()) * self.scale["gamma"][:, None, None]
        return self.head(maps.mean(dim=(2, 3)))


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    network = Net()
    with torch.no_grad():
        network.norm.weight.uniform_(0.5, 2.0)
        network.norm.running_mean.fill_(3.0)
        network.norm.num_batches_tracked.fill_(7)
    return network


def changed(network: nn.Module, copied: nn.Module) -> set[str]:
    """Names of parameters and buffers that differ."""
    before, after = network.state_dict(), copied.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


HEAD = {"head.weight", "head.bias"}
SECOND = {"second.weight", "second.bias", "scale.gamma"}
NORM = {"norm.weight", "norm.running_mean", "norm.num_batches_tracked"}
FIRST = {"first.weight", "first.bias", *NORM}


def test_a_cascade_goes_from_the_head_downwards_and_keeps_what_it_drew(trained: nn.Module) -> None:
    stages = list(randomised(trained))
    assert [name for name, _ in stages] == ["head", "second", "first"]
    assert [changed(trained, copied) for _, copied in stages] == [HEAD, HEAD | SECOND, HEAD | SECOND | FIRST]


def test_independent_stages_change_one_unit_each(trained: nn.Module) -> None:
    stages = [changed(trained, copied) for _, copied in randomised(trained, scheme="independent")]
    assert stages == [HEAD, SECOND, FIRST]


def test_a_unit_gets_the_same_numbers_in_both_schemes_and_any_number_of_stages(trained: nn.Module) -> None:
    (_, whole), *rest = randomised(trained, stages=1)
    assert not rest
    for _, copied in randomised(trained, scheme="independent"):
        for name in changed(trained, copied):
            assert torch.equal(copied.state_dict()[name], whole.state_dict()[name])


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(trained: nn.Module) -> None:
    one, same, other = (next(randomised(trained, seed=seed))[1].head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_weights_come_from_the_layers_own_initialiser(trained: nn.Module) -> None:
    (_, whole) = next(randomised(trained, stages=1))
    assert whole.first.weight.abs().max() <= 1 / 3  # uniform within 1/√9 for nine inputs
    assert whole.first.weight.abs().max() > 0.25


def test_a_batch_norm_starts_again_with_its_running_statistics(trained: nn.Module) -> None:
    (_, whole) = next(randomised(trained, stages=1))
    fresh = nn.BatchNorm2d(4).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in whole.norm.state_dict().items())


def test_parameters_without_an_initialiser_are_shuffled(trained: nn.Module) -> None:
    (_, whole) = next(randomised(trained, stages=1))
    gamma = whole.scale["gamma"].detach()
    assert gamma.tolist() != list(range(6))
    assert sorted(gamma.tolist()) == list(range(6))


def test_the_given_network_and_torchs_random_state_stay_as_they_were(trained: nn.Module) -> None:
    trained.train()
    trained.head.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    state = torch.get_rng_state()
    copies = [copied for _, copied in randomised(trained)]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(copied.training and not copied.head.weight.requires_grad for copied in copies)


def test_copies_do_not_share_weights(trained: nn.Module) -> None:
    copies = [copied for _, copied in randomised(trained)]
    with torch.no_grad():
        copies[0].first.weight.fill_(5.0)
    assert not (trained.first.weight == 5).any()
    assert not (copies[1].first.weight == 5).any()


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm.create_model("test_resnet", num_classes=2),
        lambda: timm.create_model("test_vit", num_classes=2, img_size=32),
        lambda: timm.create_model("test_convnext", num_classes=2),
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=2),
    ],
    ids=["resnet", "timm vit", "convnext", "torchvision vit"],
)
def test_the_last_stage_of_a_cascade_leaves_no_kernel_as_it_was(build) -> None:
    torch.manual_seed(1)
    network = build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    stages = list(randomised(network, stages=4))
    assert len(stages) == 4
    sizes = [len(changed(network, copied)) for _, copied in stages]
    assert sizes == sorted(set(sizes))
    kept = set(dict(network.named_parameters())) - changed(network, stages[-1][1])
    assert not kept
    logits = [copied.eval()(torch.randn(1, 3, 32, 32)) for _, copied in stages]
    assert all(torch.isfinite(one).all() for one in logits)


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(InputError, match="has no parameter"):
        next(randomised(nn.Sequential(nn.Flatten())))


@pytest.mark.parametrize(("change", "message"), [({"stages": 0}, "`stages` must be 1"), ({"scheme": "x"}, "`scheme`")])
def test_a_wrong_setting_is_refused(change, message) -> None:
    with pytest.raises(InputError, match=message):
        next(randomised(nn.Linear(1, 1), **change))
