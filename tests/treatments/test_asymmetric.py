import math

import numpy as np
import pytest
import torch

from tailscope.core.errors import InputError
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


CLASSES = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (24, 44, 60))
SINGLE = torch.eye(3, dtype=torch.float64)[[0, 2, 1]]


def _single_logits():
    values = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 3.0, 0.0]]
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("gamma_pos", "gamma_neg", "epsilon", "wanted"),
    [(0, 4, 0.1, 1.3637556232887762), (1, 4, 0.1, 1.1918060582063479), (1, 2, 0.2, 1.113646438568369)],
)
def test_softmax_agrees_with_the_code_of_the_authors(gamma_pos, gamma_neg, epsilon, wanted):
    # Alibaba-MIIL/ASL, src/loss_functions/losses.py, commit 05b193d: ASLSingleLabel, run in float64.
    treatment = Asymmetric(gamma_pos=gamma_pos, gamma_neg=gamma_neg, epsilon=epsilon, form="softmax")

    assert treatment(CLASSES).loss(_single_logits(), SINGLE).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "epsilon"), [(0.5, 1.5, 0.3), (2, 0, 0.1)])
def test_softmax_focuses_the_true_class_and_the_others_apart(gamma_pos, gamma_neg, epsilon):
    rows = []
    for x, y in zip(_single_logits().tolist(), SINGLE.argmax(dim=1).tolist(), strict=True):
        p = [math.exp(a) / sum(math.exp(other) for other in x) for a in x]
        true = -(1 - epsilon + epsilon / 3) * (1 - p[y]) ** gamma_pos * math.log(p[y])
        others = [-epsilon / 3 * p[c] ** gamma_neg * math.log(p[c]) for c in range(3) if c != y]
        rows.append(true + sum(others))
    treatment = Asymmetric(gamma_pos=gamma_pos, gamma_neg=gamma_neg, epsilon=epsilon, form="softmax")

    assert treatment(CLASSES).loss(_single_logits(), SINGLE).item() == pytest.approx(sum(rows) / 3, rel=1e-12)


def test_softmax_without_focus_and_smoothing_is_cross_entropy_in_value_and_gradient():
    logits = _single_logits()
    wanted = torch.nn.functional.cross_entropy(logits, SINGLE.argmax(dim=1))

    value = Asymmetric(gamma_pos=0, gamma_neg=0, epsilon=0, form="softmax")(CLASSES).loss(logits, SINGLE)

    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (value, wanted))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


def test_a_detached_softmax_weight_leaves_the_value_and_scales_the_plain_gradient():
    logits = _single_logits()
    settings = {"gamma_pos": 2, "epsilon": 0, "form": "softmax"}

    value = Asymmetric(detach_weight=True, **settings)(CLASSES).loss(logits, SINGLE)
    value.backward()

    p = torch.softmax(logits.detach(), dim=1)
    weight = (1 - (p * SINGLE).sum(dim=1, keepdim=True)) ** 2
    assert value.item() == pytest.approx(Asymmetric(**settings)(CLASSES).loss(logits, SINGLE).item(), rel=1e-12)
    torch.testing.assert_close(logits.grad, weight * (p - SINGLE) / 3, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "softmax", "margin": 0.2}, "`margin` must be 0 with form 'softmax'; got 0.2: leave it out"),
        ({"form": "softmax", "variant": "as_published"}, "the published code has no soft-max form"),
        ({"epsilon": 0.2}, "`epsilon` has no effect with form 'sigmoid'; got 0.2: leave it out"),
    ],
)
def test_a_setting_that_the_form_does_not_have_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Asymmetric(**settings)


@pytest.mark.parametrize("margin", [0, 0.0])
def test_margin_zero_may_be_stated_with_softmax(margin):
    assert Asymmetric(form="softmax", margin=margin)(CLASSES).requirements == ("single_label",)
