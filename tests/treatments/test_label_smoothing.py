import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.label_smoothing import LabelSmoothing

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))
TARGETS = np.eye(3)[[0, 1, 2, 0, 2]]


def _logits():
    return np.random.default_rng(28).normal(scale=3, size=(5, 3))


def _value_and_gradient(treatment):
    leaf = torch.tensor(_logits(), requires_grad=True)
    value = treatment(COUNTS).loss(leaf, torch.tensor(TARGETS))
    return value, torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_sigmoid_is_bce_against_smoothed_targets(epsilon):
    cells = []
    for (n, c), x in np.ndenumerate(_logits()):
        p, y = 1 / (1 + math.exp(-x)), TARGETS[n, c] * (1 - epsilon) + epsilon / 2
        cells.append(-y * math.log(p) - (1 - y) * math.log(1 - p))

    value, _ = _value_and_gradient(LabelSmoothing(epsilon=epsilon))

    assert value.item() == pytest.approx(math.fsum(cells) / 15, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_softmax_is_cross_entropy_against_smoothed_targets(epsilon):
    rows = []
    for x, labels in zip(_logits(), TARGETS, strict=True):
        total = sum(math.exp(other) for other in x)
        smoothed = [(1 - epsilon) * y + epsilon / 3 for y in labels]
        rows.append(-sum(share * math.log(math.exp(a) / total) for a, share in zip(x, smoothed, strict=True)))

    value, _ = _value_and_gradient(LabelSmoothing(epsilon=epsilon, form="softmax"))

    assert value.item() == pytest.approx(math.fsum(rows) / 5, rel=1e-12)


def test_softmax_agrees_with_the_label_smoothing_of_torch():
    logits = torch.tensor(_logits(), requires_grad=True)
    classes = torch.tensor(TARGETS.argmax(axis=1))
    wanted = torch.nn.functional.cross_entropy(logits, classes, label_smoothing=0.1)

    value, gradient = _value_and_gradient(LabelSmoothing(form="softmax"))

    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, logits)[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_epsilon_zero_is_control_in_value_and_gradient(form):
    torch.testing.assert_close(
        _value_and_gradient(LabelSmoothing(epsilon=0, form=form)), _value_and_gradient(Control(form=form))
    )


def test_the_minimum_of_a_positive_lies_at_a_finite_logit():
    logit = torch.tensor([[math.log(1.9 / 0.1)]], dtype=torch.float64, requires_grad=True)

    LabelSmoothing()(ClassCounts(("mass",), (1,), (9,))).loss(logit, torch.ones(1, 1, dtype=torch.float64)).backward()

    assert logit.grad.item() == pytest.approx(0, abs=1e-15)
