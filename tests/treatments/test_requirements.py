import dataclasses
import itertools

import numpy as np
import pytest
from torch import nn

from tailscope.core.records import ClassCounts
from tailscope.treatments.auc_margin import AucMarginLoss
from tailscope.treatments.plan import ASCENT, BOTH_SIDES, LEARNS, POSITIVES, SINGLE_LABEL, TreatmentPlan
from tailscope.treatments.requirements import TrainingFacts, chance_of_both, unmet_requirements

NAMES = ("mass", "nodule", "hernia")


def _facts(targets, **changes):
    targets = np.asarray(targets, dtype=float)
    counts = ClassCounts.from_targets(NAMES[: targets.shape[1]], targets)
    return dataclasses.replace(TrainingFacts(counts, targets, None, 32, "adam", 1e-3, 1000, 0.5), **changes)


def _plan(*requirements, **parts):
    return TreatmentPlan(AucMarginLoss(3, 1.0), requirements=requirements, **parts)


def _rare(images=1000):
    """One hernia, ten nodules, half of the images with a mass; each image with one label or none."""
    targets = np.zeros((images, 3))
    targets[0, 2] = targets[1:11, 1] = targets[11 : 11 + images // 2, 0] = 1
    return targets


def _rare_first(targets):
    return np.where(targets[:, 2] == 1, 500.0, 1.0)


def _by_column(targets, attributes):
    return np.where(attributes["view"] == "PA", 1.0, 0.0)


def test_a_plan_without_requirements_has_no_problem():
    assert unmet_requirements(_plan(), _facts(_rare())) == []


def test_parameters_of_the_loss_need_nothing():
    assert unmet_requirements(_plan(LEARNS), _facts(_rare())) == []


def test_an_unknown_requirement_is_itself_a_problem():
    (problem,) = unmet_requirements(_plan("moonlight"), _facts(_rare()))

    assert problem.startswith("training does not know the requirement 'moonlight'; it knows both_sides_in_batch, ")


@pytest.mark.parametrize(("positive", "negative"), [(0.5, 0.5), (0.25, 0.5), (0.0, 1.0)])
def test_the_chance_of_both_sides_counts_all_outcomes(positive, negative):
    shares = {"positive": positive, "negative": negative, "unknown": 1 - positive - negative}
    wanted = sum(
        np.prod([shares[drawn] for drawn in batch])
        for batch in itertools.product(shares, repeat=4)
        if {"positive", "negative"} <= set(batch)
    )

    assert float(chance_of_both(positive, negative, 4)) == pytest.approx(wanted, abs=1e-12)


def test_classes_too_rare_for_the_batch_are_named_worst_first_with_the_batch_size_that_would_do():
    (problem,) = unmet_requirements(_plan(BOTH_SIDES), _facts(_rare()))

    assert problem == (
        "each class needs a positive and a negative in the batch; of the batches of 32, these hold both too seldom: "
        "'hernia' in 3.15 %, 'nodule' in 27.5 %, expected at least 50 %: raise `batch_size` to 693 or more, or draw "
        "rare positives more often by a `sampler`, e.g. class_aware_sampling"
    )
    assert chance_of_both(0.001, 0.999, 693) >= 0.5 > chance_of_both(0.001, 0.999, 692)


def test_the_batch_size_that_is_advised_is_enough():
    assert unmet_requirements(_plan(BOTH_SIDES), _facts(_rare(), batch_size=693)) == []


def test_draw_weights_change_the_chance():
    targets = _rare()[:, 1:]
    weights = np.where(targets.any(axis=1), 100.0, 1.0)

    problems = unmet_requirements(_plan(BOTH_SIDES), _facts(targets[:, :1], draw_weights=weights))

    assert problems == []


def test_an_unknown_label_counts_on_neither_side():
    targets = np.full((100, 1), np.nan)
    targets[:2, 0] = [1, 0]

    (problem,) = unmet_requirements(_plan(BOTH_SIDES), _facts(targets))

    assert "'mass' in 7.39 %" in problem  # 1 − 2·0.99³² + 0.98³²


def test_a_class_that_is_never_drawn_has_no_batch_size():
    weights = np.ones(1000)
    weights[0] = 0

    (problem,) = unmet_requirements(_plan(BOTH_SIDES), _facts(_rare(), draw_weights=weights, batch_size=128))

    assert "'hernia' in 0 %" in problem
    assert "no batch is large enough, because an image of that kind is never drawn, or take a `sampler`" in problem


def test_of_very_many_classes_ten_are_named():
    targets = np.zeros((100, 12))
    targets[np.arange(12), np.arange(12)] = 1
    facts = TrainingFacts(
        ClassCounts.from_targets(tuple("abcdefghijkl"), targets), targets, None, 8, "adam", 1e-3, 10, 1.0
    )

    (problem,) = unmet_requirements(_plan(BOTH_SIDES), facts)

    assert "'j' in 7.73 % and 2 more, expected" in problem


def test_batches_without_any_positive_are_a_problem():
    targets = np.zeros((1000, 2))
    targets[0, 0] = targets[1, 1] = 1

    (problem,) = unmet_requirements(_plan(POSITIVES), _facts(targets))

    assert problem.startswith("a batch needs a positive of any class; 6.21 % of the batches of 32 hold one, expected")
    assert "raise `batch_size` to 347 or more" in problem


def test_a_common_class_provides_the_positives_of_the_batch():
    assert unmet_requirements(_plan(POSITIVES), _facts(_rare())) == []


@pytest.mark.parametrize("row", [[1, 1, 0], [0, 0, 0], [1, 0, np.nan]])
def test_rows_that_are_not_of_exactly_one_label_are_counted_and_the_first_is_named(row):
    targets = np.eye(3)[[0, 1, 2, 0]]
    targets[1] = targets[3] = row

    (problem,) = unmet_requirements(_plan(SINGLE_LABEL), _facts(targets))

    assert "2 of 4 images have not, the first is row 1 of the training split: choose `form: sigmoid`" in problem


def test_one_label_per_image_satisfies_a_softmax():
    assert unmet_requirements(_plan(SINGLE_LABEL), _facts(np.eye(3))) == []


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_dual_variable_that_cannot_reach_the_margin_is_a_problem(optimizer):
    facts = _facts(_rare(), optimizer=optimizer, steps=30)

    (problem,) = unmet_requirements(_plan(ASCENT, parameter_lr=0.05), facts)

    assert problem == (
        "the dual variable must be able to reach the margin 1; in 30 steps of at most 0.05, 0.5 of it on average, it "
        "comes to 0.75: raise `parameter_lr` to 0.067 or more, or train more epochs"
    )


@pytest.mark.parametrize("parts", [{"parameter_lr": 0.067}, {"parameter_lr": 0.1}])
def test_the_learning_rate_that_is_advised_is_enough(parts):
    assert unmet_requirements(_plan(ASCENT, **parts), _facts(_rare(), steps=30)) == []


def test_without_a_learning_rate_of_its_own_the_network_s_counts():
    (problem,) = unmet_requirements(_plan(ASCENT), _facts(_rare()))

    assert "in 1000 steps of at most 0.001" in problem


def test_the_reach_under_sgd_is_not_checked():
    assert unmet_requirements(_plan(ASCENT), _facts(_rare(), optimizer="sgd", steps=1)) == []


def test_a_loss_without_a_margin_has_no_reach():
    (problem,) = unmet_requirements(TreatmentPlan(nn.BCEWithLogitsLoss(), requirements=(ASCENT,)), _facts(_rare()))

    assert "the loss has none: give it that attribute" in problem


def test_a_later_stage_is_checked_with_its_own_share_of_the_steps():
    plan = TreatmentPlan(AucMarginLoss(3, 1.0), phases=((0.8, _plan(ASCENT, parameter_lr=0.05)),))

    (problem,) = unmet_requirements(plan, _facts(_rare(), steps=100))

    assert problem.startswith("from 80 % of the training on, the dual variable must")
    assert "in 20 steps of at most 0.05" in problem


def test_a_later_stage_is_checked_with_its_own_draw_weights():
    later = _plan(BOTH_SIDES, sample_weights=_rare_first)
    plan = TreatmentPlan(AucMarginLoss(3, 1.0), phases=((0.5, later),))

    (problem,) = unmet_requirements(plan, _facts(_rare()))

    assert "'hernia'" not in problem
    assert "'nodule'" in problem


def test_a_later_stage_s_sampler_reads_the_attributes():
    targets = np.array([[1.0], [0.0], [1.0], [0.0]])
    later = _plan(BOTH_SIDES, sample_weights=_by_column, attributes=("view",))
    facts = _facts(targets, attributes={"view": np.array(["PA", "PA", "AP", "AP"])})

    assert unmet_requirements(TreatmentPlan(AucMarginLoss(1, 1.0), phases=((0.5, later),)), facts) == []


def test_a_problem_of_several_stages_is_told_once():
    plan = dataclasses.replace(_plan(SINGLE_LABEL), phases=((0.5, _plan(SINGLE_LABEL)),))

    assert len(unmet_requirements(plan, _facts(_rare()))) == 1
