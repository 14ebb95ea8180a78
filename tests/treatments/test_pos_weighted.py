import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control, IntraWeighted
from tailscope.treatments.pos_weighted import PosWeighted

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


@pytest.fixture
def batch():
    rng = np.random.default_rng(21)
    return rng.normal(scale=3, size=(12, 3)), (rng.random((12, 3)) < 0.4).astype(float)


def _value_and_gradient(treatment, batch):
    logits = torch.tensor(batch[0], requires_grad=True)
    value = treatment(COUNTS).loss(logits, torch.tensor(batch[1]))
    return value, torch.autograd.grad(value, logits)[0]


def _slow(batch, power, cap):
    cells = []
    for row, labels in zip(*batch, strict=True):
        for c, (x, y) in enumerate(zip(row, labels, strict=True)):
            p = 1 / (1 + math.exp(-x))
            weight = min(math.pow(COUNTS.negatives[c] / COUNTS.positives[c], power), cap)
            cells.append(-weight * math.log(p) if y else -math.log(1 - p))
    return math.fsum(cells) / len(cells)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("cap", [None, 3.0])
def test_a_positive_weighs_the_power_of_the_ratio_of_the_sides_at_most_the_cap(batch, power, cap):
    value, _ = _value_and_gradient(PosWeighted(power=power, cap=cap), batch)

    assert value.item() == pytest.approx(_slow(batch, power, math.inf if cap is None else cap), rel=1e-12)


def test_power_one_agrees_with_the_pos_weight_of_torch(batch):
    logits = torch.tensor(batch[0], requires_grad=True)
    ratios = torch.tensor([60 / 40, 80 / 20, 96 / 4], dtype=torch.float64)
    wanted = torch.nn.BCEWithLogitsLoss(pos_weight=ratios)(logits, torch.tensor(batch[1]))

    value, gradient = _value_and_gradient(PosWeighted(power=1), batch)

    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, logits)[0], rtol=1e-12, atol=1e-16)


def test_power_zero_is_control_in_value_and_gradient(batch):
    torch.testing.assert_close(_value_and_gradient(PosWeighted(power=0), batch), _value_and_gradient(Control(), batch))


@pytest.mark.parametrize("cap", [None, 5.0])
def test_power_one_is_intra_weighted(cap):
    weights = PosWeighted(power=1, cap=cap)(COUNTS).loss.positive_weight

    assert torch.equal(weights, IntraWeighted(cap=cap)(COUNTS).loss.positive_weight)


def test_the_square_root_of_24_negatives_per_positive_is_the_default():
    assert PosWeighted()(COUNTS).loss.positive_weight[2].item() == pytest.approx(math.sqrt(24), rel=1e-15)


def test_a_class_with_more_positives_than_negatives_weighs_below_one():
    plan = PosWeighted()(ClassCounts(("mass",), (40,), (10,)))

    assert plan.loss.positive_weight.tolist() == [0.5]
