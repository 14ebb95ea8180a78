from __future__ import annotations

import numpy as np
import pytest

from tailscope.training import (
    Best,
    TrainingSettings,
    batches,
    epoch_draws,
    learning_rate,
    order_digest,
    validation_score,
)


def test_without_weights_each_image_is_seen_once():
    assert sorted(epoch_draws(50, 0, 3).tolist()) == list(range(50))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {tuple(epoch_draws(50, seed, epoch).tolist()) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_weights_set_the_rate_of_draws():
    weights = np.array([1.0, 3.0, 0.0])
    draws = np.concatenate([epoch_draws(3, seed, 0, weights) for seed in range(4000)])
    assert np.bincount(draws, minlength=3) / draws.size == pytest.approx([0.25, 0.75, 0], abs=0.02)


def test_equal_orders_have_equal_digests():
    assert order_digest(20, 0, 2, None) == order_digest(20, 0, 2, None)
    assert order_digest(20, 0, 2, None) != order_digest(20, 0, 2, np.ones(20))


@pytest.mark.parametrize(("count", "size", "expected"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (3, 8, [3]), (6, 4, [4, 2])])
def test_no_batch_holds_a_single_image(count, size, expected):
    assert [batch.size for batch in batches(np.arange(count), size)] == expected


def test_the_rate_rises_then_falls_to_nearly_nothing():
    settings = TrainingSettings(lr=1.0, warmup_fraction=0.1)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert max(rates) == 1.0
    assert np.all(np.diff(rates[10:]) <= 0)
    assert 0 < rates[-1] < 0.001


def test_a_constant_rate_stays_after_the_warm_up():
    settings = TrainingSettings(lr=0.5, schedule="constant", warmup_fraction=0.2)
    assert {learning_rate(settings, step, 10) for step in range(2, 10)} == {0.5}


def test_a_score_that_is_not_finite_never_wins():
    best = Best().after(0, float("nan")).after(1, 0.6).after(2, float("inf")).after(3, 0.6)
    assert best == Best(1, 0.6)


def test_the_score_averages_over_estimable_classes():
    logits = np.array([[0.0, 1], [1, 1], [2, 1]], np.float32)
    targets = np.array([[0, 0], [0, 0], [1, 0]], np.float32)
    assert validation_score(logits, targets) == 1.0


def test_logits_that_are_not_finite_have_no_score():
    logits = np.array([[0.0], [np.nan]], np.float32)
    assert np.isnan(validation_score(logits, np.array([[0], [1]], np.float32)))
