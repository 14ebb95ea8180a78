import itertools
import math

import numpy as np
import pytest
import torch

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.two_way import TwoWay

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _slow_set(logits, labels, t_pos, t_neg):
    """Kobayashi: log(1 + (Σ e^{−x/T_p})^T_p · (Σ e^{x/T_n})^T_n) of one image or one class."""
    positive = sum(math.exp(-x / t_pos) for x, y in zip(logits, labels, strict=True) if y == 1)
    negative = sum(math.exp(x / t_neg) for x, y in zip(logits, labels, strict=True) if y == 0)
    return math.log1p(positive**t_pos * negative**t_neg)


def _slow_mean(logits, targets, t_pos, t_neg):
    values = [_slow_set(x, y, t_pos, t_neg) for x, y in zip(logits, targets, strict=True) if (y == 1).any()]
    return math.fsum(values) / len(values) if values else 0.0


@pytest.fixture
def batch():
    rng = np.random.default_rng(23)
    targets = (rng.random((12, 3)) < 0.4).astype(float)
    targets[rng.random((12, 3)) < 0.2] = np.nan
    targets[:3] = [[0, 0, 0], [1, 1, 1], [np.nan, 1, 1]]
    return rng.normal(scale=3, size=(12, 3)), targets


@pytest.mark.parametrize("temperatures", [(4.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize(("way", "parts"), [("sample", (1, 0)), ("class", (0, 1)), ("both", (1, 1))])
def test_the_loss_agrees_with_the_definition_of_kobayashi(batch, temperatures, way, parts):
    logits, targets = batch
    rows, columns = _slow_mean(logits, targets, *temperatures), _slow_mean(logits.T, targets.T, *temperatures)

    treatment = TwoWay(*temperatures, way=way)
    value = treatment(COUNTS).loss(torch.tensor(logits), torch.tensor(targets))

    assert value.item() == pytest.approx(parts[0] * rows + parts[1] * columns, rel=1e-12)


@pytest.mark.parametrize("way", ["both", "sample", "class"])
def test_the_gradient_agrees_with_finite_differences(batch, way):
    loss = TwoWay(way=way)(COUNTS).loss

    assert torch.autograd.gradcheck(
        lambda x: loss(x, torch.tensor(batch[1])), torch.tensor(batch[0], requires_grad=True)
    )


@pytest.mark.parametrize("num_classes", [2, 3, 9])
def test_on_one_label_images_with_temperatures_1_it_is_the_softmax_cross_entropy(num_classes):
    rng = np.random.default_rng(24)
    counts = ClassCounts(tuple("abcdefghi"[:num_classes]), (1,) * num_classes, (1,) * num_classes)
    logits = torch.tensor(rng.normal(scale=4, size=(20, num_classes)), requires_grad=True)
    targets = torch.eye(num_classes, dtype=torch.float64)[torch.tensor(rng.integers(0, num_classes, 20))]

    value = TwoWay(**TwoWay.limit.settings)(counts).loss(logits, targets)
    wanted = -torch.log_softmax(logits, dim=1)[targets == 1].mean()

    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(TwoWay.limit.value(logits, targets), wanted)
    torch.testing.assert_close(torch.autograd.grad(value, logits), torch.autograd.grad(wanted, logits))


def test_one_positive_and_one_negative_cost_the_logistic_loss_of_their_difference():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    logits = torch.tensor([[0.5, 2.0], [-1.0, 3.0]], dtype=torch.float64)

    value = TwoWay(**TwoWay.limit.settings)(ClassCounts(("a", "b"), (1, 1), (1, 1))).loss(logits, targets)

    assert value.item() == pytest.approx((math.log1p(math.exp(1.5)) + math.log1p(math.exp(-4.0))) / 2, rel=1e-12)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_batch_of_one_side_has_loss_and_gradient_0(target):
    logits = torch.randn(4, 3, requires_grad=True)

    value = TwoWay()(COUNTS).loss(logits, torch.full((4, 3), target))
    value.backward()

    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_a_row_without_negatives_counts_with_0_and_one_without_positives_not_at_all():
    logits, targets = torch.zeros(3, 2), torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])

    value = TwoWay(1, 1, way="sample")(ClassCounts(("a", "b"), (1, 1), (1, 1))).loss(logits, targets)

    assert value.item() == pytest.approx(math.log(2) / 2)


def test_an_unknown_label_belongs_to_neither_set(batch):
    logits, targets = batch
    loss = TwoWay()(COUNTS).loss
    moved = np.where(np.isnan(targets), 77.0, logits)

    values = [loss(torch.tensor(x), torch.tensor(targets)) for x in (logits, moved)]

    assert torch.equal(*values)


@pytest.mark.parametrize("temperatures", [(4.0, 1.0), (0.01, 0.01), (100.0, 100.0)])
@pytest.mark.parametrize("side", [-100.0, 100.0])
def test_value_and_gradient_are_finite_at_extreme_logits_in_float32(temperatures, side):
    targets = torch.tensor(list(itertools.product([0.0, 1.0, torch.nan], repeat=3)))
    logits = torch.where(targets == 1, side, -side).requires_grad_()

    value = TwoWay(*temperatures)(COUNTS).loss(logits, targets)
    value.backward()

    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_a_large_margin_is_not_cut_off():
    logits = torch.tensor([[30.0, -30.0]], requires_grad=True)

    value = TwoWay(1, 1, way="sample")(ClassCounts(("a", "b"), (1, 1), (1, 1))).loss(logits, torch.tensor([[1.0, 0.0]]))
    value.backward()

    assert value.item() == pytest.approx(math.exp(-60), rel=1e-5)
    assert logits.grad[0, 0].item() == pytest.approx(-math.exp(-60), rel=1e-5)


def test_neither_the_order_of_images_nor_that_of_classes_matters(batch):
    logits, targets = (torch.tensor(part) for part in batch)
    rows, columns = torch.randperm(12), torch.tensor([2, 0, 1])

    def gradient(x, y):
        leaf = x.clone().requires_grad_()
        TwoWay()(COUNTS).loss(leaf, y).backward()
        return leaf.grad

    torch.testing.assert_close(gradient(logits[rows], targets[rows]), gradient(logits, targets)[rows])
    torch.testing.assert_close(gradient(logits[:, columns], targets[:, columns]), gradient(logits, targets)[:, columns])


def test_the_plan_asks_for_positives_in_the_batch():
    assert TwoWay()(COUNTS).requirements == ("positives_in_batch",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature_positive": 0}, r"`temperature_positive` must be a number in \[0.01, 100\]; got 0"),
        ({"temperature_negative": 1e3}, r"`temperature_negative` must be a number in \[0.01, 100\]; got 1000.0"),
        ({"way": "image"}, "`way` must be one of 'both', 'sample', 'class'; got 'image'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TwoWay(**settings)
