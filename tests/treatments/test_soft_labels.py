"""Labels that are a probability mix losses, not targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from treatment_cases import CASES, COUNTS, NAMES

from tailscope.treatments import TREATMENTS, CellLoss, Labels, TreatmentPlan, soft_problem
from tailscope.treatments.soft_labels import adds_up

K = len(NAMES)
# Losses that weigh a label by others of its image or batch; read from their formulas.
COUPLED = {"auc_margin", "distribution_balanced", "two_way"}
SHARES = torch.tensor([[0.7, np.nan, np.nan], [0.25, 0.7, np.nan], [np.nan, 1 / 3, np.nan], [np.nan, np.nan, 0.9]])
HARD = torch.tensor([[np.nan, 1, 0], [np.nan, np.nan, 1], [0, np.nan, np.nan], [1, 0, np.nan]])


def plan_of(name, settings):
    return TREATMENTS.build(name, **settings)(COUNTS)


def logits(rows=4):
    return 2 * torch.randn(rows, K, generator=torch.Generator().manual_seed(1))


def element_by_element(loss, x):
    """The definition, one soft label at a time, for a loss that is a sum over elements."""
    known = torch.where(SHARES.isnan(), HARD, 0.0)
    value = loss(x, known)
    for row, column in torch.argwhere(~SHARES.isnan()).tolist():
        positive = known.clone()
        positive[row, column] = 1.0
        value = value + SHARES[row, column] * (loss(x, positive) - loss(x, known))
    return value


def additive_losses():
    for name, settings in CASES:
        if name == "ensemble":
            continue
        plan = plan_of(name, settings)
        if isinstance(plan.loss, CellLoss) and soft_problem(plan, K) is None:
            yield pytest.param(plan.loss, id=f"{name}-{settings}")


def test_of_plain_cross_entropy_it_is_that_with_a_soft_target():
    x, targets = logits(), torch.where(SHARES.isnan(), HARD, SHARES)
    known = ~targets.isnan()
    expected = binary_cross_entropy_with_logits(x[known], targets[known])
    found = Labels(HARD, SHARES).loss(plan_of("control", {}).loss, x)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("loss", list(additive_losses()))
def test_every_loss_that_is_a_sum_over_elements_mixes_element_by_element(loss):
    x = logits()
    with torch.no_grad():
        assert torch.allclose(Labels(HARD, SHARES).loss(loss, x), element_by_element(loss, x), rtol=1e-4, atol=1e-5)


def test_a_share_of_readers_is_the_mean_of_the_loss_over_their_readings():
    loss, x = plan_of("asymmetric", {}).loss, logits(1)
    readings = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 0]])
    targets, soft = torch.tensor([[np.nan, np.nan, 0.0]]), torch.tensor([[2 / 3, 2 / 3, np.nan]])
    expected = torch.stack([loss(x, reading[None]) for reading in readings]).mean()
    assert torch.allclose(Labels(targets, soft).loss(loss, x), expected)


def test_the_gradient_is_mixed_as_well():
    x = logits().requires_grad_()
    Labels(HARD, SHARES).loss(plan_of("control", {}).loss, x).backward()
    known = ~(HARD.isnan() & SHARES.isnan())
    wanted = torch.where(SHARES.isnan(), HARD, SHARES)
    expected = torch.where(known, (torch.sigmoid(x) - wanted) / known.sum(), 0.0)
    assert torch.allclose(x.grad, expected.detach(), atol=1e-6)


def test_without_soft_labels_the_loss_is_called_once_on_the_targets():
    class Counting(nn.Module):
        calls = 0

        def forward(self, logits, targets):
            Counting.calls += 1
            return binary_cross_entropy_with_logits(logits, targets)

    x, targets = logits(), torch.ones(4, K)
    assert Labels(targets).loss(Counting(), x) == binary_cross_entropy_with_logits(x, targets)
    assert Counting.calls == 1


def test_a_batch_in_which_no_label_happens_to_be_soft_has_the_plain_loss():
    loss, x = plan_of("focal", {}).loss, logits()
    none = torch.full_like(HARD, torch.nan)
    assert torch.equal(Labels(HARD, none).loss(loss, x), loss(x, HARD))


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if case[0] != "ensemble"], ids=str)
def test_losses_that_weigh_labels_by_each_other_are_refused_and_no_others(name, settings):
    plan = plan_of(name, settings)
    losses = [stage.loss for _, stage in plan.stages]
    parts = {str(settings.get(key)) for key in ("treatment", "loss")} | {name}
    softmax = any("softmax" in str(value) for value in settings.values())
    problem = soft_problem(plan, K)
    if COUPLED & parts or softmax:
        assert "no sum over images and classes" in problem
        assert "set `data.uncertain` to zeros, ones or ignore" in problem
    elif settings.get("variant") != "as_published":  # whose formulas may divide by the labels of a batch
        assert problem is None, losses


def test_a_treatment_that_makes_labels_of_its_own_is_refused():
    plan = TreatmentPlan(nn.BCEWithLogitsLoss(), batch_transform=lambda images, targets, _: (images, targets))
    assert "it makes labels of its own" in soft_problem(plan, K)


def test_a_loss_divided_by_its_positives_does_not_add_up_and_is_left_as_it_was():
    class PerPositive(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, logits, targets):
            self.seen += 1
            return binary_cross_entropy_with_logits(logits, targets, reduction="sum") / (1 + targets.sum())

    loss = PerPositive()
    assert not adds_up(loss, K)
    assert loss.seen == 0
