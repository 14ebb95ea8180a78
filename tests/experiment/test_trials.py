from __future__ import annotations

from itertools import pairwise

import pytest

from tailscope.experiment.config import TreatmentSection
from tailscope.experiment.trials import TRIALS, best_trial, edge_of, trials_of
from tailscope.treatments import TREATMENTS

FOCAL = trials_of(TreatmentSection(name="focal"), 0.01, 4.0)
CONTROL = trials_of(TreatmentSection(name="control"), 0.01, 4.0)


@pytest.mark.parametrize("name", sorted(set(TREATMENTS.names()) - {"ensemble", "group_balanced_sampling", "warm_up"}))
def test_every_treatment_gets_the_same_number_of_trials_with_the_defaults_among_them(name):
    trials = trials_of(TreatmentSection(name=name), 0.01, 4.0)
    assert [trial.number for trial in trials] == list(range(1, TRIALS + 1))
    assert sum(trial.lr == 0.01 and trial.steps == 0 for trial in trials) == 1
    home = next(trial for trial in trials if trial.steps == 0)
    built = TREATMENTS.build(name)
    assert all(getattr(built, key) == value for key, value in home.settings.items())


def test_learning_rates_alone_are_spaced_evenly_in_their_logarithm():
    rates = [trial.lr for trial in CONTROL]
    assert rates[0] == 0.0025
    assert rates[4] == 0.01
    assert rates[8] == 0.04
    ratios = [high / low for low, high in pairwise(rates)]
    assert ratios == pytest.approx([2**0.5] * 8, rel=1e-5)


def test_a_main_parameter_is_searched_with_three_learning_rates():
    assert [(trial.lr, trial.value) for trial in FOCAL] == [
        (lr, value) for lr in (0.0025, 0.01, 0.04) for value in (1.0, 2.0, 4.0)
    ]
    assert {trial.parameter for trial in FOCAL} == {"gamma"}


def test_a_main_parameter_that_the_arm_states_is_kept():
    trials = trials_of(TreatmentSection(name="focal", gamma=3.0), 0.01, 4.0)
    assert len(trials) == TRIALS
    assert {trial.parameter for trial in trials} == {""}
    assert len({trial.lr for trial in trials}) == TRIALS


def test_a_main_parameter_inside_a_part_is_not_searched():
    trials = trials_of(TreatmentSection(name="combined", loss="focal"), 0.01, 4.0)
    assert {trial.parameter for trial in trials} == {""}


def test_the_highest_score_is_chosen_and_a_trial_without_one_never():
    assert best_trial(FOCAL, {1: 0.6, 7: 0.8, 9: 0.7}).number == 7
    assert best_trial(FOCAL, {3: 0.1}).number == 3
    assert best_trial(FOCAL, {}) is None


@pytest.mark.parametrize(
    ("trials", "scores", "expected"),
    [
        (FOCAL, dict.fromkeys(range(1, 10), 0.7), 5),  # the defaults
        (FOCAL, {1: 0.7, 9: 0.7, 6: 0.7}, 6),  # one step away, not two
        (CONTROL, {2: 0.7, 6: 0.7, 8: 0.7}, 6),
        (CONTROL, {4: 0.7, 6: 0.7}, 4),  # equally near: the lower learning rate
    ],
)
def test_of_equal_scores_that_nearest_to_the_defaults_is_chosen(trials, scores, expected):
    assert best_trial(trials, scores).number == expected


@pytest.mark.parametrize(
    ("trials", "number", "expected"),
    [
        (FOCAL, 5, ""),
        (FOCAL, 2, "learning rate 0.0025 is the lowest tried"),
        (FOCAL, 4, "gamma 1 is the lowest tried"),
        (FOCAL, 9, "learning rate 0.04 is the highest tried, gamma 4 is the highest tried"),
        (CONTROL, 8, ""),
        (CONTROL, 9, "learning rate 0.04 is the highest tried"),
    ],
)
def test_an_edge_is_named(trials, number, expected):
    assert edge_of(trials[number - 1], trials) == expected
