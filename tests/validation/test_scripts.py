"""The scripts that validate the instrument: their counting is right, and their quick mode runs through."""

from __future__ import annotations

import counting
import dose_response
import judging
import markdown
import numpy as np
import pytest
import recovery
import shortcut_phantom
from judging import SetJudge, draws_between, draws_within, judge_excess, judge_pair
from looking import Probe, all_methods, all_metrics
from scipy import stats
from training_runs import TIED, TUBE, Trainer, tie

PATIENTS = np.repeat([f"p{number}" for number in range(20)], 3)
TINY = {"train": 40, "val": 24, "test": 40, "subtlety": 0.2, "prevalence": {TIED: 0.4, "mass": 0.3}}
SETTINGS = {**TINY, "minimum_positives": 4}


def runs_of(shift: float, count: int = 3, seed: int = 0, between: float = 0.02) -> np.ndarray:
    """(count, 60) excess: patients and pairs in common, a shift, noise of runs and of pairs."""
    random = np.random.default_rng(seed)
    shared = np.random.default_rng(99).normal(0.1, 0.05, 60)
    return shared + shift + random.normal(0, between, (count, 1)) + random.normal(0, 0.02, (count, 60))


def test_the_test_of_one_pair_is_the_t_test_over_patient_means():
    first, second = runs_of(0.0, 2)
    means = (first - second).reshape(20, 3).mean(axis=1)
    expected = stats.ttest_1samp(means, 0.0)
    found = judge_pair(first, second, PATIENTS)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx(means.mean())


def test_pairs_without_a_value_are_left_out_of_the_test_of_one_pair():
    first, second = runs_of(0.0, 2)
    first[:3] = np.nan  # all of the first patient
    expected = judge_pair(first[3:], second[3:], PATIENTS[3:])
    assert judge_pair(first, second, PATIENTS) == expected


def test_an_excess_that_is_the_same_everywhere_and_not_zero_is_seen_and_zero_is_not():
    assert judge_excess(np.full(60, 0.1), PATIENTS).flags(1.0)
    assert not judge_excess(np.full(60, 0.1), PATIENTS).flags(-1.0)
    assert not judge_excess(np.zeros(60), PATIENTS).flags()


def test_one_patient_alone_says_nothing():
    assert not judge_pair(np.ones(3), np.zeros(3), np.repeat("p", 3)).flags()


def test_sets_of_runs_that_differ_by_much_more_than_their_noise_are_told_apart_in_their_direction():
    judge = SetJudge(np.concatenate([runs_of(0.3), runs_of(0.0, seed=1)]), PATIENTS)
    found = judge((0, 1, 2), (3, 4, 5))
    assert found.flags(1.0)
    assert not found.flags(-1.0)
    assert judge((3, 4, 5), (0, 1, 2)).difference == pytest.approx(-found.difference)


def test_sets_of_runs_of_one_kind_raise_few_false_alarms_and_single_runs_many():
    sets, singles = [], []
    for seed in range(60):
        runs = runs_of(0.0, 6, seed=seed)
        sets.append(SetJudge(runs, PATIENTS)((0, 1, 2), (3, 4, 5)).flags())
        singles.append(judge_pair(runs[0], runs[1], PATIENTS).flags())
    assert np.mean(sets) < 0.12  # .05 is right; 60 draws
    assert np.mean(singles) > 0.5  # patients are not the noise that matters here


def test_a_pair_that_one_run_leaves_undefined_is_left_out_for_all_runs():
    runs = runs_of(0.0, 4)
    holed = runs.copy()
    holed[2, 10:13] = np.nan
    kept = np.r_[0:10, 13:60]
    expected = SetJudge(runs[:, kept], PATIENTS[kept])((0, 1), (2, 3))
    assert SetJudge(holed, PATIENTS)((0, 1), (2, 3)) == expected


def test_draws_are_all_there_are_or_as_many_as_asked_for_without_repetition():
    assert len(list(draws_between(range(4), range(4, 12), 3, 1000))) == 4 * 56
    assert len(list(draws_within(range(6), 3, 1000))) == 10
    some = list(draws_within(range(8), 3, 40))
    assert len(set(some)) == len(some) == 40
    assert not any(set(first) & set(second) for first, second in some)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return Trainer(tmp_path_factory.mktemp("validation"), epochs=1)


@pytest.fixture(scope="module")
def probe(trainer):
    data = trainer.data("phantom", {**SETTINGS, "shortcuts": tie(0.5), "test_shortcuts": "tied"})
    return Probe(data, TIED, (TIED, TUBE), most=12)


def test_a_probe_takes_images_with_both_regions_first(probe):
    assert probe.rows.size == 12
    assert probe.places(TIED).size == 12
    assert probe.places(TUBE).size == 8  # half of 16 positives
    assert (probe.data.targets[probe.rows, probe.data.classes.index(TIED)] == 1).all()


def test_counts_follow_the_looks(probe):
    random = np.random.default_rng(0)
    clean = [{("map", "score", TUBE): random.normal(0.0, 0.01, 8)} for _ in range(4)]
    tied = [{("map", "score", TUBE): random.normal(0.4, 0.01, 8)} for _ in range(2)]
    runs = counting.Runs(probe, clean + tied, size=2)
    cell = ("map", "score")
    assert runs.mean(TUBE, [4, 5])[cell] == pytest.approx(0.4, abs=0.02)
    assert runs.power(TUBE, [4, 5], range(4), 1.0)[cell] == 1
    assert runs.power(TUBE, [4, 5], range(4), -1.0)[cell] == 0
    assert runs.seen([TUBE], [4, 5])[cell] == 1
    assert runs.pair_flags(TUBE, [(4, 0), (5, 1)], 1.0)[cell] == 1


def test_methods_and_metrics_are_those_of_the_registries_or_those_named():
    assert list(all_methods("layer4", ["gradcam"])) == ["gradcam"]
    assert all_methods("layer4", ["gradcam"])["gradcam"].layer == "layer4"
    assert "mass_inside" in all_metrics()


def test_the_phantom_without_its_tube_differs_from_the_picture_on_the_tube_alone(probe, trainer):
    settings = {**SETTINGS, "shortcuts": tie(0.5), "test_shortcuts": "tied"}
    bare = shortcut_phantom._without_tube(settings, probe)
    places = probe.places(TUBE)
    differs = (bare != probe.data.pixels[probe.rows[places]])[..., 0]
    masks = probe.masks[TUBE][places]
    assert (differs & masks).any(axis=(1, 2)).all()
    assert (differs & ~masks).sum() < 0.5 * masks.sum()  # the soft edge of the line


@pytest.mark.slow
def test_recovery_runs_through_and_has_a_row_per_method_and_a_column_per_metric(trainer):
    page = recovery.compare(SETTINGS, trainer, 4, 2, 8, ("gradcam",))
    assert "## Power, tube" in page
    assert "| method | " + " | ".join(all_metrics()) + " |" in page
    assert page.count("| gradcam | ") == 7


@pytest.mark.slow
def test_the_dose_response_runs_through_on_a_phantom_base(trainer):
    settings = {**dose_response.PASTED, **dose_response.PHANTOM_BASE, "copies": 1}
    text = dose_response.Study(settings, None, 2, 2, 8, ("gradcam",), (0.9,)).run(trainer)
    assert "### Power at strength 0.9: the map moved onto the tube" in text
    assert "### Untied class: the map of mass moved onto the tube at 0.9" in text


@pytest.mark.slow
def test_the_shortcut_phantom_runs_through_and_draws_its_figure(trainer, tmp_path):
    found = shortcut_phantom.compare(SETTINGS, trainer, 1, 8)
    assert found["strength"].tolist() == [0.0, 0.5, 0.9]
    assert found[list(shortcut_phantom.WORDS)].notna().all(axis=None)
    shortcut_phantom.draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "share of triples in order" in shortcut_phantom.as_markdown(found)


@pytest.mark.parametrize("module", [counting, judging, markdown, shortcut_phantom], ids=lambda module: module.__name__)
def test_the_examples_of_the_scripts_are_true(module):
    import doctest

    assert doctest.testmod(module).failed == 0
