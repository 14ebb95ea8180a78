import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import ClassBalancedFocal, Focal
from tailscope.treatments.focal import class_balanced_alpha, published_alpha

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _slow_focal(logits, targets, alphas, gamma):
    cells = []
    for row, labels in zip(logits, targets, strict=True):
        for x, y, alpha in zip(row, labels, alphas, strict=True):
            p = 1 / (1 + math.exp(-x))
            p_t, alpha_t = (p, alpha) if y else (1 - p, 1 - alpha)
            cells.append(-alpha_t * (1 - p_t) ** gamma * math.log(p_t))
    return math.fsum(cells) / len(cells)


@pytest.fixture
def batch():
    rng = np.random.default_rng(9)
    return rng.normal(scale=3, size=(10, 3)), (rng.random((10, 3)) < 0.4).astype(float)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("alpha", "alphas"), [(0.25, (0.25,) * 3), ("per_class", (0.6, 0.8, 0.96))])
def test_focal_agrees_with_equation_5_of_lin(batch, gamma, alpha, alphas):
    logits, targets = batch

    value = Focal(gamma=gamma, alpha=alpha)(COUNTS).loss(torch.tensor(logits), torch.tensor(targets))

    assert value.item() == pytest.approx(_slow_focal(logits, targets, alphas, gamma), rel=1e-12)


def test_class_balanced_focal_agrees_with_the_effective_numbers_of_cui(batch):
    logits, targets = batch
    effective = [[(1 - 0.99**n) / (1 - 0.99) for n in side] for side in (COUNTS.positives, COUNTS.negatives)]
    # The weight of a side is 1 over its effective number; scaled so that both sides sum to 1.
    alphas = [(1 / pos) / (1 / pos + 1 / neg) for pos, neg in zip(*effective, strict=True)]

    value = ClassBalancedFocal(beta=0.99)(COUNTS).loss(torch.tensor(logits), torch.tensor(targets))

    assert value.item() == pytest.approx(_slow_focal(logits, targets, alphas, 2.0), rel=1e-10)


@pytest.mark.parametrize("beta", ["0.9999", "0.999999999"])
def test_alpha_keeps_its_digits_for_beta_near_1(beta):
    getcontext().prec = 60
    counts = ClassCounts(("hernia",), (227,), (111893,))
    pos, neg = (1 - Decimal(float(beta)) ** n for n in (227, 111893))

    alpha = class_balanced_alpha(counts, float(beta))

    assert alpha[0] == pytest.approx(float(neg / (pos + neg)), rel=1e-12)


def test_beta_0_weighs_both_sides_alike():
    assert class_balanced_alpha(COUNTS, 0).tolist() == [0.5, 0.5, 0.5]


def test_the_published_alpha_of_a_class_without_positives_is_nan():
    alpha = published_alpha(ClassCounts(("mass", "hernia"), (5, 0), (5, 9)), 0.99)

    assert alpha.dtype == np.float32
    assert np.isnan(alpha).tolist() == [False, True]


def test_a_fractional_gamma_has_a_finite_gradient_where_the_cell_is_right():
    logits = torch.full((1, 3), 200.0, requires_grad=True)

    Focal(gamma=0.5)(COUNTS).loss(logits, torch.ones(1, 3)).backward()

    assert (logits.grad == 0).all()
