import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Control, InterWeighted, IntraWeighted
from tailscope.treatments.cross_entropy import BatchWeightedBCE, WeightedBCE, class_weights, positive_weights

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _batch():
    rng = np.random.default_rng(8)
    logits = rng.normal(scale=3, size=(10, 3))
    targets = (rng.random((10, 3)) < 0.4).astype(float)
    targets[rng.random((10, 3)) < 0.2] = np.nan
    return logits, targets


def _slow_mean(logits, targets, cell):
    cells = [
        cell(1 / (1 + math.exp(-logits[n, c])), targets[n, c], c)
        for n in range(len(logits))
        for c in range(logits.shape[1])
        if not math.isnan(targets[n, c])
    ]
    return math.fsum(cells) / len(cells)


def _value(loss, logits, targets):
    return loss(torch.tensor(logits), torch.tensor(targets)).item()


def test_control_agrees_with_torch_where_every_label_is_known():
    logits, targets = _batch()
    x, y = torch.tensor(logits), torch.tensor(np.nan_to_num(targets))

    wanted = torch.nn.functional.binary_cross_entropy_with_logits(x, y)

    assert _value(WeightedBCE(3), x.numpy(), y.numpy()) == pytest.approx(wanted.item(), rel=1e-12)


def test_intra_weighted_positives_weigh_the_ratio_of_the_training_set():
    logits, targets = _batch()
    ratios = (60 / 40, 80 / 20, 96 / 4)

    def cell(p, y, c):
        return -ratios[c] * math.log(p) if y else -math.log(1 - p)

    value = _value(IntraWeighted()(COUNTS).loss, logits, targets)

    assert value == pytest.approx(_slow_mean(logits, targets, cell), rel=1e-12)


def test_the_cap_bounds_the_weight_of_a_positive():
    assert positive_weights(COUNTS, cap=5).tolist() == [1.5, 4.0, 5.0]
    assert IntraWeighted(cap=5)(COUNTS).loss.positive_weight.tolist() == [1.5, 4.0, 5.0]


def test_the_intra_weight_does_not_depend_on_the_batch():
    logits, targets = _batch()
    loss = IntraWeighted()(COUNTS).loss
    x, y = torch.tensor(logits), torch.tensor(targets)

    one_by_one = torch.cat([loss.cells(x[n : n + 1], y[n : n + 1]) for n in range(len(x))])

    torch.testing.assert_close(loss.cells(x, y), one_by_one, equal_nan=True)


def test_the_published_intra_weight_is_the_ratio_within_the_batch():
    loss = BatchWeightedBCE(1, fallback=0.5)
    zeros = torch.zeros(4, 1, dtype=torch.float64)

    cells = loss.cells(zeros, torch.tensor([[1.0], [0.0], [0.0], [torch.nan]])).flatten() / math.log(2)

    np.testing.assert_allclose(cells, [2 / (1 + 1e-6), 1, 1, np.nan], rtol=1e-12)


def test_the_published_intra_weight_falls_back_where_the_batch_has_one_side_only():
    loss = BatchWeightedBCE(1, fallback=0.5)

    cells = loss.cells(torch.zeros(2, 1), torch.ones(2, 1)).flatten() / math.log(2)

    torch.testing.assert_close(cells, torch.full((2,), 0.5))


def test_inter_weighted_classes_weigh_by_their_rarity_with_mean_1():
    logits, targets = _batch()
    raw = [math.sqrt((40 + 64) / n) for n in (40, 20, 4)]
    weights = [w * 3 / sum(raw) for w in raw]

    def cell(p, y, c):
        return -weights[c] * (math.log(p) if y else math.log(1 - p))

    value = _value(InterWeighted()(COUNTS).loss, logits, targets)

    assert value == pytest.approx(_slow_mean(logits, targets, cell), rel=1e-12)
    np.testing.assert_allclose(class_weights(COUNTS), weights, rtol=1e-12)


def test_the_rare_class_weighs_most_when_corrected_and_least_as_published():
    assert InterWeighted()(COUNTS).loss.class_weight.argmax() == 2
    assert InterWeighted(variant="as_published")(COUNTS).loss.class_weight.argmin() == 2


def test_the_softmax_form_of_control_agrees_with_the_cross_entropy_of_torch():
    logits, _ = _batch()
    classes = np.arange(10) % 3
    wanted = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(classes))

    assert _value(Control(form="softmax")(COUNTS).loss, logits, np.eye(3)[classes]) == pytest.approx(
        wanted.item(), rel=1e-12
    )
