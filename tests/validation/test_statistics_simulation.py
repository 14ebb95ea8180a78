"""The simulation of the statistics: its truths are true, its counting is right, its page comes from the code."""

from __future__ import annotations

import doctest
from dataclasses import replace

import monte_carlo
import numpy as np
import pandas as pd
import pytest
import simulated_experiment
import simulated_scores
import statistics_simulation
from monte_carlo import Rate, repeat
from simulated_experiment import AP, AUROC, LENS, Design, judge, simulate, truth_of
from simulated_scores import Noise, draw_lens_values, draw_people, draw_positives, draw_scores
from sklearn.metrics import average_precision_score, roc_auc_score
from statistics_simulation import Promise, Simulation, cells_of_one_class, family, hits, kept, thin

from tailscope.performance import auroc

TINY = Design("tiny", (0.4, 0.2), (0.8, 0.9), patients=120, resamples=40, noise=0.0)


def generous(patients: int = 20_000):
    random = np.random.default_rng(0)
    return draw_people(patients, np.array([0.3]), random), random


def test_findings_have_their_prevalence_and_cluster_in_patients():
    people, _ = generous()
    label = people.labels[:, 0]
    assert label.mean() == pytest.approx(0.3, abs=0.01)
    pairs = (people.patients[1:] == people.patients[:-1]) & label[:-1]
    assert label[1:][pairs].mean() > 0.45  # the next image of a patient with a finding
    assert not (people.annotated & ~people.labels).any()


@pytest.mark.parametrize("positive", [5, 50])
def test_a_class_has_exactly_as_many_positive_patients_as_asked_for(positive):
    people = draw_positives(positive, 0.1, np.random.default_rng(positive))
    assert np.unique(people.patients[people.labels[:, 0]]).size == positive


@pytest.mark.parametrize("own", [0.0, 0.3, 1.0])
def test_runs_have_the_auroc_and_ap_that_were_set_whatever_the_noise(own):
    people, random = generous()
    signal = simulated_scores.signal_of_auroc(0.8, 0.0)
    scores = draw_scores(people, 0, np.array([signal]), Noise(0.0, own, 2), random)
    precision = simulated_scores.precision_of_signal(signal, float(people.labels.mean()), 0.0)
    for run in scores.T:
        assert roc_auc_score(people.labels[:, 0], run) == pytest.approx(0.8, abs=0.01)
        assert average_precision_score(people.labels[:, 0], run) == pytest.approx(precision, abs=0.015)


def test_the_mean_over_many_noisy_runs_is_the_auroc_that_was_set():
    people, random = generous(400)
    signal = simulated_scores.signal_of_auroc(0.8, 0.5)
    scores = draw_scores(people, 0, np.full(400, signal), Noise(0.5, 1.0, 1), random)  # as many arms, one run each
    found = auroc(scores, np.repeat(people.labels, 400, axis=1))
    assert found.mean() == pytest.approx(0.8, abs=0.015)  # 3 standard errors
    assert found.std() > 0.08  # by the noise of runs; by that of images alone .02


def test_lens_values_differ_on_average_by_what_was_set_and_in_few_images():
    people, random = generous()
    values = draw_lens_values(people, 0, np.array([0.0, 0.1]), Noise(0.0, 0.0, 1), random)
    moved = values[:, 1] - values[:, 0]
    assert moved.mean() == pytest.approx(0.1, abs=0.005)
    assert set(moved.round(6)) == {0.0, 0.4}  # a quarter of the maps moves four times as far


def test_a_class_without_annotation_has_no_lens_values():
    people, random = generous(50)
    bare = replace(people, annotated=np.zeros_like(people.labels))
    assert draw_lens_values(bare, 0, np.zeros(2), Noise(0.1, 0.3, 3), random).shape == (0, 6)


def test_an_experiment_holds_scikit_learns_values_and_depends_on_its_number_alone():
    truths = truth_of(TINY)
    cells = {(cell.metric, cell.class_name): cell for cell in simulate(TINY, truths, 3)}
    again = {(cell.metric, cell.class_name): cell for cell in simulate(TINY, truths, 3)}
    assert len(cells) == 6
    for address, cell in cells.items():
        assert cell.values.shape == (5, 3)
        np.testing.assert_array_equal(cell.resampled, again[address].resampled)
    other = simulate(TINY, truths, 4)[0]
    assert (other.values != cells[other.metric, other.class_name].values).all()


def test_the_values_of_a_cell_are_those_of_the_scores(monkeypatch):
    kept_scores = []
    real = draw_scores
    monkeypatch.setattr(simulated_experiment, "draw_scores", lambda *given: kept_scores.append((given[0], real(*given)))
                        or kept_scores[-1][1])  # fmt: skip
    cells = simulate(TINY, truth_of(TINY), 0)
    people, scores = kept_scores[0]
    expected = [roc_auc_score(people.labels[:, 0], run) for run in scores.T]
    np.testing.assert_allclose(cells[0].values.ravel(), expected, atol=1e-12)
    assert cells[0].metric == AUROC
    assert cells[0].positive_patients == np.unique(people.patients[people.labels[:, 0]]).size


def test_a_class_without_positives_is_not_estimable_and_nothing_else_suffers(monkeypatch):
    monkeypatch.setattr(Design, "people", lambda self, random: _without_second(self, random))
    findings, _ = judge(simulate(TINY, truth_of(TINY), 0))
    missing = findings["class"].str.startswith("2:")
    assert (findings.loc[missing, "reason"] == "no positive or no negative test image").all()
    assert findings.loc[missing, "p"].isna().all()
    assert findings.loc[~missing, "p"].notna().all()


def _without_second(design, random):
    people = draw_people(design.patients, np.array(design.prevalences), random)
    people.labels[:, 1] = people.annotated[:, 1] = False
    return people


def test_the_noise_of_runs_is_set_to_the_patient_noise(monkeypatch):
    monkeypatch.setattr(simulated_experiment, "_PILOTS", 8)
    design = replace(TINY, patients=300, noise=3.0, own=0.05, seeds=20, name="noisy")
    truths = truth_of(design)
    found = pd.DataFrame([family(design, truths, number) for number in range(4)]).mean()
    assert found[f"noise {AUROC}"] == pytest.approx(3.0, rel=0.3)
    assert found[f"noise {LENS}"] == pytest.approx(3.0, rel=0.3)


def test_a_claim_is_counted_where_there_is_one_and_not_where_there_is_none():
    quiet = replace(TINY, patients=400, own=0.02, name="quiet")
    same = family(quiet, truth_of(quiet), 0)
    assert (same["hidden"], same[AUROC], same[AP], same[LENS]) == (0, 0, 0, 0)
    apart = replace(quiet, shifts=(0.1,) * 4, lens_differences=(0.3,) * 4)
    claimed = family(apart, truth_of(apart), 0)
    assert (claimed["hidden"], claimed[AUROC], claimed[LENS]) == (0, 1, 1)
    assert claimed[f"beyond {LENS}"] == 1


def test_a_hidden_difference_is_counted_for_its_class():
    design = replace(TINY, patients=1500, own=0.002, lens_differences=(0.3, 0, 0, 0), name="hidden")
    assert hits(design, truth_of(design), 0) == {"1: 0.4": 1.0, "2: 0.2": 1.0}


def test_intervals_of_many_positive_patients_cover_and_those_of_five_say_nothing_of_equivalence():
    design = replace(thin(60, 0.0), resamples=60)
    truths = truth_of(design)
    found = pd.DataFrame([cells_of_one_class(design, truths, number) for number in range(8)]).mean()
    assert found[f"covers {AUROC}"] > 0.8
    few = replace(thin(5, 0.0), resamples=40)
    record = cells_of_one_class(few, truth_of(few), 0)
    assert record[f"verdict {AUROC}"] == record[f"verdict {AP}"] == 0


def test_the_margin_of_ap_is_exact():
    design = thin(60, 0.0)
    precisions = truth_of(design)[0].precisions
    assert precisions[3] - precisions[0] == pytest.approx(0.02, abs=1e-9)
    assert precisions[4] - precisions[0] == pytest.approx(-0.02, abs=1e-9)


def test_a_rate_of_yes_and_no_is_exact_and_one_of_shares_goes_by_experiments():
    assert str(Rate.of([0.0] * 60)) == "0.000 (0.000–0.060)"
    shares = Rate.of([0.2, 0.4, float("nan")])
    assert shares.value == pytest.approx(0.3)
    assert shares.hi - shares.value == pytest.approx(1.96 * 0.1)
    assert np.isnan(Rate.of([float("nan")]).value)


def test_a_rate_breaks_its_promise_only_beyond_what_the_simulation_leaves_uncertain():
    assert Promise("", Rate(0.08, 0.07, 0.09)).is_broken
    assert not Promise("", Rate(0.08, 0.06, 0.1)).is_broken  # by chance, in one of a hundred
    assert Promise("", Rate(0.9, 0.88, 0.92), 0.95).is_broken
    assert not Promise("", Rate(0.99, 0.98, 1.0), 0.95).is_broken
    assert kept([Promise("a", Rate(0.06, 0.04, 0.08))]).startswith("None of 1 rates")


def test_experiments_give_the_same_on_any_number_of_processes():
    assert repeat(abs, [-3, 2, -1], workers=2) == repeat(abs, [-3, 2, -1], workers=1) == [3, 2, 1]


def test_the_page_has_every_setting_and_its_numbers_come_from_the_code(monkeypatch):
    tiny = replace(TINY, noise=0.5)
    edges = {words: replace(tiny, name=words) for words in list(statistics_simulation.EDGES)[:1]}
    for name, value in {"LONG_TAIL": tiny, "COMMON": tiny, "EDGES": edges, "SIZES": (5,), "POWER": ((100, 0.1),),
                        "CLASSES": 3}.items():  # fmt: skip
        monkeypatch.setattr(statistics_simulation, name, value)
    monkeypatch.setattr(simulated_experiment, "_PILOTS", 2)
    page = statistics_simulation.page(Simulation(experiments=2, workers=1))
    assert page.startswith("# Do the statistics keep what they promise?\n\nFor the reader")
    assert "2 simulated experiments per setting, 40 patient resamples" in page
    assert page.count("\n| 3 | ") == page.count("\n| 5 | ") == 2
    expected = pd.DataFrame(
        [family(edges["lens at Δ, AUROC and AP equal"], truth_of(edges["lens at Δ, AUROC and AP equal"]), number)
         for number in range(2)]
    )  # fmt: skip
    row = [str(Rate.of(expected[name].tolist())) for name in ("hidden", f"beyond {LENS}")]
    assert f"| lens at Δ, AUROC and AP equal | {row[0]} | {row[1]} |" in page


@pytest.mark.parametrize("module", [monte_carlo, simulated_scores, statistics_simulation], ids=lambda one: one.__name__)
def test_the_examples_of_the_scripts_are_true(module):
    assert doctest.testmod(module).failed == 0
