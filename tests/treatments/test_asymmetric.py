import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Asymmetric

COUNTS = ClassCounts(("mass", "hernia"), (40, 4), (60, 96))


def _slow_cell(x, y, gamma_pos, gamma_neg, margin):
    p = 1 / (1 + math.exp(-x))
    if y:
        return -((1 - p) ** gamma_pos) * math.log(p)
    shifted = max(p - margin, 0)
    return -(shifted**gamma_neg) * math.log(1 - shifted)


@pytest.mark.parametrize("gammas", [(0, 0), (1, 4), (0.5, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.9])
@pytest.mark.parametrize("variant", ["corrected", "as_published"])
def test_asymmetric_agrees_with_the_definition_of_ridnik(gammas, margin, variant):
    rng = np.random.default_rng(10)
    logits = rng.normal(scale=3, size=(20, 2))
    targets = (rng.random((20, 2)) < 0.4).astype(float)
    wanted = [_slow_cell(x, y, *gammas, margin) for x, y in zip(logits.flat, targets.flat, strict=True)]

    treatment = Asymmetric(gamma_pos=gammas[0], gamma_neg=gammas[1], margin=margin, variant=variant)
    cells = treatment(COUNTS).loss.cells(torch.tensor(logits), torch.tensor(targets))

    np.testing.assert_allclose(cells.flatten(), wanted, rtol=1e-10, atol=1e-15)


def test_a_negative_within_the_margin_has_no_loss_and_no_gradient():
    logits = torch.tensor([[-5.0, -3.0]], requires_grad=True)  # p = 0.007 and 0.047

    value = Asymmetric()(COUNTS).loss(logits, torch.zeros(1, 2))
    value.backward()

    assert value.item() == 0
    assert logits.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(("variant", "slope"), [("corrected", -1.0), ("as_published", 0.0)])
def test_a_badly_missed_positive_keeps_its_gradient_only_when_corrected(variant, slope):
    logits = torch.tensor([[-30.0, -30.0]], dtype=torch.float64, requires_grad=True)

    Asymmetric(variant=variant)(COUNTS).loss(logits, torch.ones(1, 2)).backward()

    np.testing.assert_allclose(2 * logits.grad, slope, atol=1e-10)


@pytest.mark.parametrize("variant", ["corrected", "as_published"])
def test_a_detached_weight_leaves_the_value_and_scales_the_plain_gradient(variant):
    targets = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    logits = torch.tensor([[0.3, 0.7]], dtype=torch.float64, requires_grad=True)
    p, q = (1 / (1 + math.exp(-x)) for x in (0.3, 0.7))

    attached = Asymmetric(variant=variant)(COUNTS).loss(logits, targets)
    value = Asymmetric(variant=variant, detach_weight=True)(COUNTS).loss(logits, targets)
    value.backward()

    shifted = q - 0.05
    negative_slope = shifted**4 * q * (1 - q) / (1 - shifted)
    assert value.item() == pytest.approx(attached.item(), rel=1e-12)
    np.testing.assert_allclose(2 * logits.grad[0], [-((1 - p) ** 2), negative_slope], rtol=1e-12)


@pytest.mark.parametrize("margin", [0.05, 1e-6, 1e-30])
def test_a_badly_missed_negative_costs_minus_log_of_the_margin_in_float32(margin):
    treatment = Asymmetric(gamma_neg=0, margin=margin)

    value = treatment(COUNTS).loss(torch.full((1, 2), 100.0), torch.zeros(1, 2))

    assert value.item() == pytest.approx(-math.log(margin), rel=1e-6)
