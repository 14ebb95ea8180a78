import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.logit_adjusted import LogitAdjusted

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (24, 44, 60))
TARGETS = np.eye(3)[[0, 1, 2, 0, 0, 1]]


def _logits():
    return np.random.default_rng(25).normal(scale=2, size=(6, 3))


def _value_and_gradient(treatment, logits=None):
    leaf = torch.tensor(_logits() if logits is None else logits, requires_grad=True)
    value = treatment(COUNTS).loss(leaf, torch.tensor(TARGETS))
    return value, torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_softmax_agrees_with_equation_10_of_menon(tau):
    priors = [n / 64 for n in COUNTS.positives]
    rows = []
    for x, y in zip(_logits(), TARGETS.argmax(axis=1), strict=True):
        # Written as there: log(1 + Σ_{y'≠y} (π_y'/π_y)^τ · e^{f_y' − f_y}).
        pairs = [(priors[c] / priors[y]) ** tau * math.exp(x[c] - x[y]) for c in range(3) if c != y]
        rows.append(math.log1p(sum(pairs)))

    value, _ = _value_and_gradient(LogitAdjusted(tau=tau, form="softmax"))

    assert value.item() == pytest.approx(math.fsum(rows) / 6, rel=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_sigmoid_is_the_same_loss_with_two_answers_per_class(tau):
    cells = []
    for (n, c), x in np.ndenumerate(_logits()):
        prior = COUNTS.positives[c] / 64
        odds = ((1 - prior) / prior) ** (tau if TARGETS[n, c] else -tau)
        cells.append(math.log1p(odds * math.exp(-x if TARGETS[n, c] else x)))

    value, _ = _value_and_gradient(LogitAdjusted(tau=tau))

    assert value.item() == pytest.approx(math.fsum(cells) / 18, rel=1e-12)


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_tau_zero_is_control_in_value_and_gradient(form):
    torch.testing.assert_close(
        _value_and_gradient(LogitAdjusted(tau=0, form=form)), _value_and_gradient(Control(form=form))
    )


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_it_is_control_on_logits_that_start_at_the_log_prior(form):
    positives = np.array(COUNTS.positives)
    shift = np.log(positives / (64 - positives)) if form == "sigmoid" else np.log(positives / 64)

    torch.testing.assert_close(
        _value_and_gradient(LogitAdjusted(form=form)), _value_and_gradient(Control(form=form), _logits() + shift)
    )


def test_only_the_sigmoid_form_ranks_as_control_by_construction():
    assert LogitAdjusted()(COUNTS).same_ranking == (
        "control started at another bias: the loss is control's on logits shifted by a constant per class"
    )
    assert LogitAdjusted(form="softmax")(COUNTS).same_ranking == ""


def test_predictions_are_without_the_shift():
    logits = torch.tensor(_logits())

    assert LogitAdjusted()(COUNTS).adjust_logits is None
    adjusted = LogitAdjusted(form="softmax")(COUNTS).adjust_logits(logits)
    torch.testing.assert_close(torch.sigmoid(adjusted), torch.softmax(logits, dim=1))
