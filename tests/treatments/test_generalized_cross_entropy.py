import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.generalized_cross_entropy import GeneralizedCrossEntropy

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))
TARGETS = np.eye(3)[[0, 1, 2, 0, 2]]
FORMS = pytest.mark.parametrize("form", ["sigmoid", "softmax"])


def _logits():
    return np.random.default_rng(29).normal(scale=3, size=(5, 3))


def _value_and_gradient(treatment):
    leaf = torch.tensor(_logits(), requires_grad=True)
    value = treatment(COUNTS).loss(leaf, torch.tensor(TARGETS))
    return value, torch.autograd.grad(value, leaf)[0]


def _true_probabilities(form):
    if form == "softmax":
        rows = zip(_logits(), TARGETS.argmax(axis=1), strict=True)
        return [math.exp(x[y]) / sum(math.exp(other) for other in x) for x, y in rows]
    probabilities = ((1 / (1 + math.exp(-x)), y) for x, y in zip(_logits().flat, TARGETS.flat, strict=True))
    return [p if y else 1 - p for p, y in probabilities]


@FORMS
@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
def test_it_agrees_with_equation_6_of_zhang(form, q):
    values = [(1 - p**q) / q for p in _true_probabilities(form)]

    value, _ = _value_and_gradient(GeneralizedCrossEntropy(q=q, form=form))

    assert value.item() == pytest.approx(math.fsum(values) / len(values), rel=1e-12)


@FORMS
def test_q_zero_is_control_bit_for_bit(form):
    value, gradient = _value_and_gradient(GeneralizedCrossEntropy(q=0, form=form))
    control, control_gradient = _value_and_gradient(Control(form=form))

    assert torch.equal(value, control)
    assert torch.equal(gradient, control_gradient)


@FORMS
def test_a_tiny_q_approaches_control_in_value_and_gradient(form):
    torch.testing.assert_close(
        _value_and_gradient(GeneralizedCrossEntropy(q=1e-12, form=form)),
        _value_and_gradient(Control(form=form)),
        rtol=1e-10,
        atol=1e-12,
    )


def test_q_one_is_the_mean_absolute_error():
    probabilities = 1 / (1 + np.exp(-_logits()))

    value, _ = _value_and_gradient(GeneralizedCrossEntropy(q=1))

    assert value.item() == pytest.approx(np.abs(TARGETS - probabilities).mean(), rel=1e-12)


def test_q_one_is_half_the_summed_absolute_error_of_the_softmax():
    exponentials = np.exp(_logits())
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)

    value, _ = _value_and_gradient(GeneralizedCrossEntropy(q=1, form="softmax"))

    assert value.item() == pytest.approx(np.abs(TARGETS - probabilities).sum(axis=1).mean() / 2, rel=1e-12)


def test_the_gradient_is_that_of_control_times_the_true_probability_to_the_q():
    _, gradient = _value_and_gradient(GeneralizedCrossEntropy(q=0.7))
    _, control = _value_and_gradient(Control())

    shares = np.reshape([p**0.7 for p in _true_probabilities("sigmoid")], (5, 3))
    np.testing.assert_allclose(gradient, control.numpy() * shares, rtol=1e-12)


def test_a_badly_missed_positive_hardly_pulls():
    logits = torch.full((1, 3), -100.0, requires_grad=True)

    GeneralizedCrossEntropy()(COUNTS).loss(logits, torch.ones(1, 3)).backward()

    assert (logits.grad < 0).all()
    assert (logits.grad > -1e-30).all()


def test_float32_keeps_the_digits_of_value_and_gradient_for_large_and_small_p():
    logits = torch.tensor([[-90.0, -30.0, -10.0, -1.0, 1.0, 10.0, 16.0]])
    counts = ClassCounts(tuple("abcdefg"), (1,) * 7, (1,) * 7)
    results = []
    for leaf in (logits.clone().requires_grad_(), logits.double().requires_grad_()):
        cells = GeneralizedCrossEntropy()(counts).loss.cells(leaf, torch.ones_like(leaf))
        results.append((cells.double(), torch.autograd.grad(cells.sum(), leaf)[0].double()))

    torch.testing.assert_close(*results, rtol=1e-5, atol=0)
