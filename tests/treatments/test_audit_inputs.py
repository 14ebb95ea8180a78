import json

import numpy as np
import pytest

from tailscope.core.records import ClassCounts
from tailscope.treatments.balanced_mixup import BalancedMixup
from tailscope.treatments.cross_entropy import Control, InterWeighted, IntraWeighted
from tailscope.treatments.drw import Drw
from tailscope.treatments.fed_audit import labels_audit, marks, mixing_audit
from tailscope.treatments.group_balanced import GroupBalancedSampling
from tailscope.treatments.inputs_audit import counts_audit, rebuilt_audit, weights_audit
from tailscope.treatments.sampling import WeightedSampling

CLASSES = ("mass", "nodule", "hernia")


@pytest.fixture(scope="module")
def targets():
    labels = (np.random.default_rng(8).random((200, 3)) < [0.4, 0.2, 0.05]).astype(float)
    labels[::9, 1] = np.nan
    return labels


@pytest.fixture(scope="module")
def other_rows():
    return (np.random.default_rng(9).random((200, 3)) < [0.2, 0.3, 0.1]).astype(float)


def _counts(targets):
    return ClassCounts.from_targets(CLASSES, targets)


def test_counts_of_the_training_rows_pass(targets):
    assert counts_audit(_counts(targets), targets)["same"]


def test_counts_of_other_rows_are_set_beside_those_of_the_training_rows(targets, other_rows):
    found = counts_audit(_counts(other_rows), targets)

    assert not found["same"]
    assert found["classes"]["mass"]["positives"] == np.sum(other_rows[:, 0] == 1)
    assert found["classes"]["mass"]["positives_in_rows"] == np.sum(targets[:, 0] == 1)
    assert found["classes"]["nodule"]["negatives_in_rows"] == np.sum(targets[:, 1] == 0)


def test_weights_of_the_training_rows_pass_in_any_scale(targets):
    plan = WeightedSampling()(_counts(targets))

    assert weights_audit(7 * plan.sample_weights(targets), plan, targets)["same"]


def test_weights_of_other_rows_are_counted(targets, other_rows):
    plan = WeightedSampling()(_counts(targets))

    found = weights_audit(plan.sample_weights(other_rows), plan, targets)

    assert not found["same"]
    assert 50 < found["images_that_differ"] <= 200


def test_weights_that_read_a_column_are_computed_with_it(targets):
    view = np.where(np.arange(200) % 3 == 0, "AP", "PA")
    plan = GroupBalancedSampling(column="view")(_counts(targets))
    used = plan.draw_weights(targets, {"view": view})

    assert weights_audit(used, plan, targets, {"view": view})["same"]
    assert not weights_audit(used, plan, targets, {"view": view[::-1].copy()})["same"]


def test_weights_on_one_side_only_differ(targets):
    sampling, control = WeightedSampling()(_counts(targets)), Control()(_counts(targets))

    assert not weights_audit(None, sampling, targets)["same"]
    assert not weights_audit(np.ones(200), control, targets)["same"]
    assert weights_audit(None, control, targets)["same"]


def test_the_weights_of_a_mix_up_s_partners_are_computed_by_its_own_sampler(targets, other_rows):
    plan = BalancedMixup()(_counts(targets))
    partners = plan.mixing.partner_weights

    assert weights_audit(partners(targets), plan, targets, partner=True)["same"]
    assert not weights_audit(partners(other_rows), plan, targets, partner=True)["same"]
    assert not weights_audit(partners(targets), plan, targets)["same"]  # the first stream has none


@pytest.mark.parametrize("treatment", [Control(), IntraWeighted(), InterWeighted(), Drw(beta=0.9)])
def test_a_plan_built_from_the_training_rows_is_found_again(treatment, targets):
    found = rebuilt_audit(treatment, treatment(_counts(targets)), targets, CLASSES)

    assert found["same"]
    assert found["largest_change"] == 0


@pytest.mark.parametrize("treatment", [IntraWeighted(), InterWeighted(), Drw(beta=0.9)])
def test_a_plan_built_from_other_rows_is_found_whatever_counts_are_stated(treatment, targets, other_rows):
    found = rebuilt_audit(treatment, treatment(_counts(other_rows)), targets, CLASSES)

    assert not found["same"]
    assert found["largest_change"] > 0.01


def test_a_plan_for_another_number_of_classes_is_another_plan(targets):
    plan = Control()(ClassCounts(("mass",), (1,), (1,)))

    assert not rebuilt_audit(Control(), plan, targets, CLASSES)["same"]


def test_labels_of_the_images_drawn_pass(targets):
    counts = np.random.default_rng(1).integers(0, 3, 200)
    drawn = np.repeat(np.arange(200), counts)
    fed = (targets[drawn] == 1).sum(axis=0)
    marked = ((targets[drawn] == 1) * (drawn[:, None] % 997 + 1)).sum(axis=0)

    assert labels_audit(targets, counts, fed, marked, CLASSES)["same"]


def test_labels_right_in_number_but_of_other_images_are_found(targets):
    drawn = np.arange(200)
    shifted = np.roll(targets, 1, axis=0)  # the labels of the neighbour
    fed = (shifted == 1).sum(axis=0)
    marked = ((shifted == 1) * marks(drawn)[:, None]).sum(axis=0)

    found = labels_audit(targets, np.ones(200, dtype=int), fed, marked, CLASSES)

    assert not found["same"]
    assert found["classes"]["mass"]["fed"] == found["classes"]["mass"]["labels"]
    assert not found["classes"]["mass"]["own_images"]


def test_own_pairs_are_expected_as_often_as_two_independent_streams_meet():
    rng = np.random.default_rng(3)
    first, second = rng.random(20), rng.random(20)
    draws = [rng.choice(20, size=200_000, p=each / each.sum()) for each in (first, second)]

    found = mixing_audit(first, second, 200_000, int(np.sum(draws[0] == draws[1])))

    assert found["own"] == pytest.approx(found["own_expected"], rel=0.03)


def test_the_audits_are_json(targets, other_rows):
    plan = WeightedSampling()(_counts(targets))
    audits = [
        counts_audit(_counts(other_rows), targets),
        weights_audit(plan.sample_weights(targets), plan, targets),
        rebuilt_audit(Control(), plan, targets, CLASSES),
        labels_audit(targets, np.ones(200, dtype=int), np.zeros(3, dtype=int), np.zeros(3, dtype=int), CLASSES),
        mixing_audit(None, np.ones(200), 200, 3),
    ]

    assert json.loads(json.dumps(audits)) == audits
