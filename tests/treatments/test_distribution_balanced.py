import math

import numpy as np
import pytest
import torch

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS
from tailscope.treatments.distribution_balanced import DistributionBalanced

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _slow_loss(logits, targets, counts, alpha=0.1, beta=10.0, mu=0.2, scale=2.0, bias=0.05):
    """Wu et al., sections "re-balanced weighting" and "negative-tolerant regularization", cell by cell."""
    cells = []
    for row, labels in zip(logits, targets, strict=True):
        asked = sum(1 / n for n, y in zip(counts.positives, labels, strict=True) if y == 1)
        for x, y, pos, neg in zip(row, labels, counts.positives, counts.negatives, strict=True):
            if np.isnan(y):
                continue
            smooth = alpha + (1 / (1 + math.exp(-beta * (1 / pos / asked - mu))) if asked else 1.0)
            z = x - bias * math.log((pos + neg) / pos - 1)
            cells.append(smooth * (math.log1p(math.exp(-z)) if y == 1 else math.log1p(math.exp(scale * z)) / scale))
    return math.fsum(cells) / len(cells)


@pytest.fixture
def batch():
    rng = np.random.default_rng(21)
    targets = (rng.random((16, 3)) < 0.4).astype(float)
    targets[rng.random((16, 3)) < 0.2] = np.nan
    targets[0] = 0
    return rng.normal(scale=3, size=(16, 3)), targets


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mu": 0.3, "negative_scale": 5.0},
        {"alpha": 0.0, "beta": 1.0, "mu": 0.0, "negative_scale": 1.0, "bias": 1.0},
    ],
)
def test_the_loss_agrees_with_the_definition_of_wu(batch, settings):
    logits, targets = batch
    names = {"negative_scale": "scale"}
    slow = {names.get(name, name): value for name, value in settings.items()}

    value = DistributionBalanced(**settings)(COUNTS).loss(torch.tensor(logits), torch.tensor(targets))

    assert value.item() == pytest.approx(_slow_loss(logits, targets, COUNTS, **slow), rel=1e-12)


def test_the_gradient_agrees_with_finite_differences(batch):
    logits, targets = batch
    loss = DistributionBalanced()(COUNTS).loss

    assert torch.autograd.gradcheck(lambda x: loss(x, torch.tensor(targets)), torch.tensor(logits, requires_grad=True))


def test_the_limit_case_is_a_multiple_of_control_in_value_and_gradient():
    counts = ClassCounts(("a", "b", "c"), (7, 7, 7), (7, 7, 7))
    limit = DistributionBalanced.limit
    rng = np.random.default_rng(22)
    targets = torch.eye(3, dtype=torch.float64)[torch.tensor(rng.integers(0, 3, 20))]
    logits = torch.tensor(rng.normal(scale=4, size=(20, 3)), requires_grad=True)

    value = TREATMENTS.build("distribution_balanced", **limit.settings)(counts).loss(logits, targets)
    control = limit.factor * TREATMENTS.build("control")(counts).loss(logits, targets)

    torch.testing.assert_close(value, control, rtol=1e-12, atol=0)
    (gradient,), (wanted,) = (torch.autograd.grad(loss, logits) for loss in (value, control))
    torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-15)


def test_a_rare_label_outweighs_a_frequent_one_on_the_same_image():
    cells = DistributionBalanced(bias=0)(COUNTS).loss.cells(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]]))

    assert cells[0, 2] > cells[0, 0]


@pytest.mark.parametrize("beta", [10.0, 0.0])
def test_an_image_without_a_positive_has_the_largest_weight_that_beta_admits(beta):
    cells = DistributionBalanced(bias=0, beta=beta)(COUNTS).loss.cells(torch.zeros(1, 3), torch.zeros(1, 3))

    largest = 0.1 + (1.0 if beta else 0.5)
    np.testing.assert_allclose(cells.numpy(), largest * math.log(2) / 2, rtol=1e-6)


def test_an_unknown_label_is_no_positive_of_the_image():
    loss = DistributionBalanced()(COUNTS).loss
    logits = torch.zeros(1, 3, dtype=torch.float64)

    unknown = loss.cells(logits, torch.tensor([[1.0, 0.0, torch.nan]]))
    negative = loss.cells(logits, torch.tensor([[1.0, 0.0, 0.0]]))

    assert torch.equal(unknown[:, :2], negative[:, :2])


@pytest.mark.parametrize("logit", [-100.0, 100.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_extreme_logits(logit, target):
    logits = torch.full((2, 3), logit, requires_grad=True)

    value = DistributionBalanced(negative_scale=5)(COUNTS).loss(logits, torch.full((2, 3), target))
    value.backward()

    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_permuting_the_classes_with_their_counts_permutes_the_gradient(batch):
    order = [2, 0, 1]
    shuffled = ClassCounts(
        *(tuple(part[c] for c in order) for part in (COUNTS.names, COUNTS.positives, COUNTS.negatives))
    )

    def gradient(counts, columns):
        logits = torch.tensor(batch[0][:, columns], requires_grad=True)
        DistributionBalanced()(counts).loss(logits, torch.tensor(batch[1][:, columns])).backward()
        return logits.grad

    torch.testing.assert_close(gradient(shuffled, order), gradient(COUNTS, [0, 1, 2])[:, order])


def test_a_class_without_positives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 0 positive and 9 negative"):
        DistributionBalanced()(ClassCounts(("hernia",), (0,), (9,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negative_scale": 0.5}, r"`negative_scale` must be a number in \[1, inf\); got 0.5"),
        ({"alpha": -0.1}, r"`alpha` must be a number in \[0, inf\); got -0.1"),
        ({"bias": math.nan}, r"`bias` must be a number in \[0, inf\); got nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        DistributionBalanced(**settings)
