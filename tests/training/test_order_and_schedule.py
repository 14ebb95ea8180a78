from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from scipy.stats import chisquare
from share_of_process import own_share

from tailscope.core import InputError
from tailscope.training import (
    Best,
    TrainingSettings,
    batches,
    epoch_draws,
    learning_rate,
    process_share,
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


@pytest.mark.parametrize(("count", "size", "expected"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (3, 8, [3]), (6, 4, [4, 2])])
def test_no_batch_holds_a_single_image(count, size, expected):
    assert [batch.size for batch in batches(np.arange(count), size)] == expected


@pytest.fixture(scope="module")
def in_two_processes():
    """Calls `own_share` in two real processes, rank r always in process r."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        processes = [stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for _ in range(2)]

        def call(**arguments):
            asked = [process.submit(own_share, rank, 2, **arguments) for rank, process in enumerate(processes)]
            ids, shares = zip(*(answer.result() for answer in asked), strict=True)
            assert len(set(ids)) == 2
            return shares

        yield call


WEIGHTS = np.array([0.0, 1.0, 1.0, 2.0, 0.5, 4.0, 0.0, 8.0, 3.0, 0.25])


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, np.tile(WEIGHTS, 5)], ids=["once each", "weighted"])
@pytest.mark.parametrize("batch_size", [8, 7])
def test_two_processes_together_see_the_epoch_of_one_batch_by_batch(in_two_processes, weights, batch_size):
    shares = in_two_processes(batch_size=batch_size, count=50, weights=weights, epochs=3)

    for epoch in range(3):
        whole = batches(epoch_draws(50, 7, epoch, weights), batch_size)
        rest = [share[epoch].tolist() for share in shares]
        for batch in whole:
            parts = [[rest[rank].pop(0) for _ in range(rank, batch.size, 2)] for rank in range(2)]
            assert sorted(parts[0] + parts[1]) == sorted(batch.tolist())
            assert 0 <= len(parts[0]) - len(parts[1]) <= 1
        assert rest == [[], []]


@pytest.mark.slow
def test_images_are_drawn_at_their_rate_by_two_processes_together_and_by_each(in_two_processes):
    epochs = 2000
    shares = in_two_processes(batch_size=4, count=WEIGHTS.size, weights=WEIGHTS, epochs=epochs)
    counts = [np.bincount(np.concatenate(share), minlength=WEIGHTS.size) for share in shares]

    assert sum(counts).sum() == epochs * WEIGHTS.size
    for count in (*counts, sum(counts)):
        assert (count[WEIGHTS == 0] == 0).all()
        drawn = count[WEIGHTS > 0]
        assert chisquare(drawn, drawn.sum() * WEIGHTS[WEIGHTS > 0] / WEIGHTS.sum()).pvalue > 0.001


def test_the_only_process_has_the_whole_epoch():
    draws = epoch_draws(23, 0, 0)
    assert process_share(draws, 0, 1, 4).tolist() == draws.tolist()


def test_full_batches_are_shared_equally_where_the_processes_divide_them():
    assert [process_share(np.arange(24), rank, 4, 8).size for rank in range(4)] == [6, 6, 6, 6]


def test_a_last_batch_of_fewer_images_than_processes_leaves_some_without():
    assert [process_share(np.arange(10), rank, 4, 8).size for rank in range(4)] == [3, 3, 2, 2]


@pytest.mark.parametrize(("rank", "processes"), [(2, 2), (-1, 2), (0, 0)])
def test_a_process_that_does_not_exist_is_refused(rank, processes):
    with pytest.raises(InputError, match=rf"`rank` must be in \[0, {processes}\), .*; got {rank}"):
        process_share(np.arange(4), rank, processes, 2)


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
