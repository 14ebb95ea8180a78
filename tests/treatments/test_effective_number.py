import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.effective_number import EffectiveNumber, effective_number_weights

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _slow_weights(beta):
    """Equations 10 and 11 of Cui with their scaling: the weights sum to the number of classes."""
    raw = [(1 - beta) / (1 - beta**n) for n in COUNTS.positives]
    return [weight * len(raw) / sum(raw) for weight in raw]


def _logits():
    return np.random.default_rng(22).normal(scale=2, size=(10, 3))


def test_the_weights_agree_with_equation_10_of_cui():
    np.testing.assert_allclose(effective_number_weights(COUNTS, 0.99), _slow_weights(0.99), rtol=1e-12)


@pytest.mark.parametrize("beta", ["0.9999", "0.999999999999"])
def test_the_weights_keep_their_digits_for_beta_near_one(beta):
    getcontext().prec = 60
    counts = ClassCounts(("mass", "hernia"), (19894, 227), (92226, 111893))
    exact = [1 / (1 - Decimal(float(beta)) ** n) for n in counts.positives]

    weights = effective_number_weights(counts, float(beta))

    np.testing.assert_allclose(weights, [float(2 * w / sum(exact)) for w in exact], rtol=1e-12)


def test_the_weights_of_beta_zero_are_one_and_near_one_they_are_inverse_frequencies():
    assert effective_number_weights(COUNTS, 0).tolist() == [1, 1, 1]
    near = effective_number_weights(COUNTS, 1 - 1e-12)
    np.testing.assert_allclose(near * COUNTS.positives, near[0] * 40, rtol=1e-9)


def test_sigmoid_weighs_both_terms_of_each_class():
    logits, targets = _logits(), (np.random.default_rng(23).random((10, 3)) < 0.4).astype(float)
    weights = _slow_weights(0.99)
    cells = [weights[c] * math.log1p(math.exp(-x if targets[n, c] else x)) for (n, c), x in np.ndenumerate(logits)]

    value = EffectiveNumber(beta=0.99)(COUNTS).loss(torch.tensor(logits), torch.tensor(targets))

    assert value.item() == pytest.approx(math.fsum(cells) / 30, rel=1e-12)


def test_softmax_weighs_an_image_by_its_class_and_divides_by_the_number_of_images():
    logits, classes = _logits(), np.random.default_rng(24).integers(0, 3, 10)
    weights = _slow_weights(0.99)
    rows = [
        -weights[c] * math.log(math.exp(x[c]) / sum(math.exp(other) for other in x))
        for x, c in zip(logits, classes, strict=True)
    ]

    value = EffectiveNumber(beta=0.99, form="softmax")(COUNTS).loss(
        torch.tensor(logits), torch.tensor(np.eye(3)[classes])
    )

    assert value.item() == pytest.approx(math.fsum(rows) / 10, rel=1e-12)


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_beta_zero_is_control_in_value_and_gradient(form):
    targets = torch.tensor(np.eye(3)[np.arange(10) % 3])

    def value_and_gradient(treatment):
        logits = torch.tensor(_logits(), requires_grad=True)
        value = treatment(COUNTS).loss(logits, targets)
        return value, torch.autograd.grad(value, logits)[0]

    torch.testing.assert_close(
        value_and_gradient(EffectiveNumber(beta=0, form=form)), value_and_gradient(Control(form=form))
    )
