import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import Uncertainty

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


@pytest.fixture
def batch():
    rng = np.random.default_rng(11)
    logits = rng.normal(scale=2, size=(12, 3))
    targets = (rng.random((12, 3)) < 0.4).astype(float)
    targets[rng.random((12, 3)) < 0.2] = np.nan
    return torch.tensor(logits), torch.tensor(targets)


def _class_means(logits, targets):
    means = []
    for x, y in zip(logits.T.tolist(), targets.T.tolist(), strict=True):
        known = [(a, b) for a, b in zip(x, y, strict=True) if not math.isnan(b)]
        means.append(sum(math.log1p(math.exp(-a if b else a)) for a, b in known) / len(known))
    return means


def _loss(s, variant="corrected"):
    loss = Uncertainty(variant=variant)(COUNTS).loss.double()
    loss.log_variance.data.copy_(torch.tensor(s, dtype=torch.float64))
    return loss


def test_uncertainty_agrees_with_the_sum_over_the_classes_of_kendall(batch):
    s = (0.5, -1.0, 2.0)

    value = _loss(s)(*batch)

    wanted = sum(math.exp(-a) * mean + a / 2 for a, mean in zip(s, _class_means(*batch), strict=True))
    assert value.item() == pytest.approx(wanted, rel=1e-12)


def test_the_optimum_weight_is_one_over_twice_the_class_mean(batch):
    means = _class_means(*batch)
    loss = _loss([math.log(2 * mean) for mean in means])

    loss(*batch).backward()

    np.testing.assert_allclose(loss.log_variance.grad, 0, atol=1e-12)


def test_the_published_optimum_weight_is_k_times_too_high(batch):
    logits, targets = batch[0], torch.nan_to_num(batch[1])
    loss = _loss([math.log(2 * mean / 3) for mean in _class_means(logits, targets)], "as_published")

    loss(logits, targets).backward()

    np.testing.assert_allclose(loss.log_variance.grad, 0, atol=1e-12)


def test_a_class_without_a_known_label_in_the_batch_has_no_term(batch):
    logits, targets = batch[0], batch[1].clone()
    targets[:, 1] = torch.nan
    loss = _loss((0.5, -1.0, 2.0))

    loss(logits, targets).backward()

    assert loss.log_variance.grad[1] == 0
    assert (loss.log_variance.grad[[0, 2]] != 0).all()


def test_the_log_variances_are_saved_with_the_loss():
    loss = _loss((0.5, -1.0, 2.0))
    fresh = Uncertainty()(COUNTS).loss.double()

    fresh.load_state_dict(loss.state_dict())

    assert fresh.log_variance.tolist() == [0.5, -1.0, 2.0]


def test_every_plan_learns_its_own_log_variances():
    treatment = Uncertainty()

    assert treatment(COUNTS).loss.log_variance is not treatment(COUNTS).loss.log_variance
