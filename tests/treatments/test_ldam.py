import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control
from tailscope.treatments.ldam import LDAM

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))
TARGETS = np.eye(3)[[0, 1, 2, 0, 2]]


def _logits():
    return np.random.default_rng(26).normal(scale=2, size=(5, 3))


def _value_and_gradient(treatment, targets=TARGETS):
    leaf = torch.tensor(_logits(), requires_grad=True)
    value = treatment(COUNTS).loss(leaf, torch.tensor(targets))
    return value, torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_softmax_agrees_with_equations_13_and_14_of_cao(scale):
    constant = 0.5 * 4**0.25  # the rarest class has the largest margin
    rows = []
    for x, y in zip(_logits(), TARGETS.argmax(axis=1), strict=True):
        own = math.exp(scale * (x[y] - constant / COUNTS.positives[y] ** 0.25))
        others = sum(math.exp(scale * x[c]) for c in range(3) if c != y)
        rows.append(-math.log(own / (own + others)))

    value, _ = _value_and_gradient(LDAM(scale=scale, form="softmax"))

    assert value.item() == pytest.approx(math.fsum(rows) / 5, rel=1e-12)


@pytest.mark.parametrize(("scale", "wanted"), [(1.0, 1.287076726079084), (30.0, 17.186736179957105)])
def test_softmax_agrees_with_the_code_of_the_authors(scale, wanted):
    # kaidic/LDAM-DRW, losses.py, commit 3193f05: LDAMLoss([40, 20, 4], max_m=0.5, s=scale), run in float64 on a CPU.
    logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 3.0, 0.0]], dtype=torch.float64) / 4
    targets = torch.eye(3, dtype=torch.float64)[[0, 2, 1]]

    assert LDAM(scale=scale, form="softmax")(COUNTS).loss(logits, targets).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_sigmoid_is_the_same_loss_with_two_answers_per_class(scale):
    targets = (np.random.default_rng(27).random((5, 3)) < 0.5).astype(float)
    constant = 0.5 * 4**0.25
    cells = []
    for (n, c), x in np.ndenumerate(_logits()):
        # Equation 13 with logits x and 0: the true answer's logit loses the margin of its side.
        sides = {1: (x, 0.0, COUNTS.positives[c]), 0: (0.0, x, COUNTS.negatives[c])}
        own, other, images = sides[int(targets[n, c])]
        exponential = math.exp(scale * (own - constant / images**0.25))
        cells.append(-math.log(exponential / (exponential + math.exp(scale * other))))

    value, _ = _value_and_gradient(LDAM(scale=scale), targets)

    assert value.item() == pytest.approx(math.fsum(cells) / 15, rel=1e-12)


def test_one_constant_makes_the_largest_margin_of_all_classes_and_sides_the_stated_one():
    counts = ClassCounts(("mass", "normal"), (16, 81), (81, 1))

    margins = LDAM(max_margin=0.6)(counts).loss.margins

    np.testing.assert_allclose(margins, [[0.3, 0.2], [0.2, 0.6]], rtol=1e-12)


def test_the_softmax_form_counts_positives_only():
    margins = LDAM(max_margin=0.6, form="softmax")(ClassCounts(("mass", "normal"), (16, 81), (81, 1))).loss.margins

    np.testing.assert_allclose(margins, [0.6, 0.4], rtol=1e-12)


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_margin_zero_is_control_in_value_and_gradient(form):
    torch.testing.assert_close(
        _value_and_gradient(LDAM(max_margin=0, form=form)), _value_and_gradient(Control(form=form))
    )


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_predictions_stand_on_the_scale_of_the_loss(form):
    logits = torch.tensor(_logits())
    probabilities = {"sigmoid": torch.sigmoid(3 * logits), "softmax": torch.softmax(3 * logits, dim=1)}

    adjusted = LDAM(scale=3, form=form)(COUNTS).adjust_logits(logits)

    torch.testing.assert_close(torch.sigmoid(adjusted), probabilities[form])


def test_scale_one_leaves_the_logits_of_the_sigmoid_form_alone():
    assert LDAM()(COUNTS).adjust_logits is None
