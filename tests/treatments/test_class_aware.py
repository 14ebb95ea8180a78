import pickle

import numpy as np
import pytest

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.class_aware import ClassAwareSampling
from tailscope.treatments.sampling import WeightedSampling

NAN = float("nan")
TARGETS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, NAN], [NAN, 0, 0], [0, 0, 0], [0, NAN, 1], [0, 0, 0], [0, 0, 0]]
)
COUNTS = ClassCounts.from_targets(("mass", "nodule", "hernia"), TARGETS)


def _two_steps(targets, *, with_others):
    """Shen et al. (2016), by enumeration: the probability that a uniform class, then a uniform image of it, is n."""
    lists = [[n for n, row in enumerate(targets) if row[c] == 1] for c in range(targets.shape[1])]
    if with_others:
        lists.append([n for n, row in enumerate(targets) if not any(label == 1 for label in row)])
    lists = [images for images in lists if images]
    probability = [0.0] * len(targets)
    for images in lists:
        for image in images:
            probability[image] += 1 / len(lists) / len(images)
    return probability


@pytest.mark.parametrize("without_positive", ["class", "left_out"])
def test_an_image_weighs_as_much_as_a_uniform_class_and_then_a_uniform_image_reach_it(without_positive):
    weights = ClassAwareSampling(without_positive)(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(weights, _two_steps(TARGETS, with_others=without_positive == "class"), rtol=1e-12)


@pytest.mark.parametrize("without_positive", ["class", "left_out"])
def test_the_weights_are_probabilities(without_positive):
    assert ClassAwareSampling(without_positive)(COUNTS).sample_weights(TARGETS).sum() == pytest.approx(1.0, rel=1e-12)


def test_with_the_images_without_a_positive_it_draws_as_weighted_sampling_by_the_sum():
    ours = ClassAwareSampling()(COUNTS).sample_weights(TARGETS)
    sums = WeightedSampling(reduce="sum")(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(ours, sums / sums.sum(), rtol=1e-12)


def test_without_an_image_without_a_positive_the_additional_class_takes_no_share():
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    weights = ClassAwareSampling()(ClassCounts.from_targets(("mass", "hernia"), targets)).sample_weights(targets)

    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 6, 1 / 2], rtol=1e-12)


def test_images_without_a_positive_are_left_out_on_demand_and_the_plan_says_so():
    plan = ClassAwareSampling("left_out")(COUNTS)

    assert plan.leaves_out
    assert np.flatnonzero(plan.sample_weights(TARGETS) == 0).tolist() == [4, 5, 7, 8]
    assert not ClassAwareSampling()(COUNTS).leaves_out


@pytest.mark.parametrize("without_positive", ["class", "left_out"])
def test_a_permutation_of_the_images_permutes_the_weights(without_positive):
    order = np.random.default_rng(0).permutation(len(TARGETS))
    weights = ClassAwareSampling(without_positive)(COUNTS).sample_weights

    np.testing.assert_array_equal(weights(TARGETS[order]), weights(TARGETS)[order])


def test_a_permutation_of_the_classes_leaves_the_weights():
    order = [2, 0, 1]
    permuted = ClassCounts.from_targets(tuple(COUNTS.names[c] for c in order), TARGETS[:, order])

    np.testing.assert_allclose(
        ClassAwareSampling()(permuted).sample_weights(TARGETS[:, order]),
        ClassAwareSampling()(COUNTS).sample_weights(TARGETS),
        rtol=1e-12,
    )


def test_the_weights_survive_pickling():
    weights = ClassAwareSampling()(COUNTS).sample_weights

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(weights))(TARGETS), weights(TARGETS))


def test_the_limit_case_draws_uniformly():
    treatment = ClassAwareSampling(**ClassAwareSampling.limit.settings)
    targets = np.tile(np.eye(3), (4, 1))

    weights = treatment(ClassCounts.from_targets(("a", "b", "c"), targets)).sample_weights(targets)

    np.testing.assert_allclose(weights, 1 / 12, rtol=1e-12)


def test_another_choice_for_the_images_without_a_positive_is_refused():
    with pytest.raises(InputError, match="`without_positive` must be one of 'class', 'left_out'; got 'drop'"):
        ClassAwareSampling("drop")


def test_a_class_without_positives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 0 positive"):
        ClassAwareSampling()(ClassCounts(("mass", "hernia"), (3, 0), (3, 6)))


def test_targets_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"`targets` must be \(N, 3\), one column per class; got \(9, 2\)"):
        ClassAwareSampling()(COUNTS).sample_weights(TARGETS[:, :2])
