import math
import pickle

import numpy as np
import pytest

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.repeat_factor import RepeatFactorSampling

NAN = float("nan")
TARGETS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, NAN], [NAN, 0, 0], [0, 0, 0], [0, NAN, 1], [0, 0, 0], [0, 0, 0]]
)
COUNTS = ClassCounts.from_targets(("mass", "nodule", "hernia"), TARGETS)


def _slow(targets, threshold):
    """Gupta et al. (2019), image by image: the largest max(1, sqrt(t/f_c)) over the image's classes."""
    factors = []
    for c in range(targets.shape[1]):
        known = [row[c] for row in targets if row[c] in (0, 1)]
        share = sum(known) / len(known)
        factors.append(max(1.0, math.sqrt(threshold / share)))
    return [max([factors[c] for c in range(len(factors)) if row[c] == 1], default=1.0) for row in targets]


@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.3, 0.5, 1.0])
def test_an_image_has_the_largest_repeat_factor_of_its_positive_classes(threshold):
    weights = RepeatFactorSampling(threshold)(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(weights, _slow(TARGETS, threshold), rtol=1e-12)


def test_the_published_example_has_the_published_factors():
    # detectron2, tests/data/test_sampler.py, test_repeat_factors_from_category_frequency: threshold 0.5, images with
    # the categories {0, 1}, {0}, {}: factors sqrt(3/2), 1, 1.
    targets = np.array([[1, 1], [1, 0], [0, 0]])
    weights = RepeatFactorSampling(0.5)(ClassCounts.from_targets(("0", "1"), targets)).sample_weights(targets)

    np.testing.assert_allclose(weights, [math.sqrt(3 / 2), 1.0, 1.0], rtol=1e-12)


def test_classes_at_or_above_the_threshold_keep_their_rate():
    counts = ClassCounts(("head", "edge", "tail"), (30, 10, 1), (70, 90, 99))
    weights = RepeatFactorSampling()(counts).sample_weights(np.eye(3))

    np.testing.assert_allclose(weights, [1.0, 1.0, math.sqrt(10)], rtol=1e-12)


def test_a_permutation_of_the_images_permutes_the_weights():
    order = np.random.default_rng(0).permutation(len(TARGETS))
    weights = RepeatFactorSampling(0.5)(COUNTS).sample_weights

    np.testing.assert_array_equal(weights(TARGETS[order]), weights(TARGETS)[order])


def test_a_permutation_of_the_classes_leaves_the_weights():
    order = [2, 0, 1]
    permuted = ClassCounts.from_targets(tuple(COUNTS.names[c] for c in order), TARGETS[:, order])

    np.testing.assert_array_equal(
        RepeatFactorSampling(0.5)(permuted).sample_weights(TARGETS[:, order]),
        RepeatFactorSampling(0.5)(COUNTS).sample_weights(TARGETS),
    )


def test_the_weights_survive_pickling():
    weights = RepeatFactorSampling(0.5)(COUNTS).sample_weights

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(weights))(TARGETS), weights(TARGETS))


def test_the_limit_case_draws_uniformly():
    weights = RepeatFactorSampling(**RepeatFactorSampling.limit.settings)(COUNTS).sample_weights(TARGETS)

    assert weights.tolist() == [1.0] * len(TARGETS)


def test_the_default_stands_among_the_values_of_a_search():
    main = RepeatFactorSampling.main

    assert getattr(RepeatFactorSampling(), main.name) in main.values
    assert list(main.values) == sorted(main.values)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, NAN, True])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(InputError, match=r"`threshold` must be a number in \[0, 1\]; got"):
        RepeatFactorSampling(threshold)


def test_a_class_without_negatives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 6 positive and 0 negative"):
        RepeatFactorSampling()(ClassCounts(("mass", "hernia"), (3, 6), (3, 0)))


def test_targets_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"`targets` must be \(N, 3\), one column per class; got \(9, 2\)"):
        RepeatFactorSampling()(COUNTS).sample_weights(TARGETS[:, :2])
