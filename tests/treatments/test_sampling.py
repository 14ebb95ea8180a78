import numpy as np
import pytest

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import WeightedSampling

NAN = float("nan")
TARGETS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, NAN], [NAN, 0, 0], [0, 0, 0], [0, NAN, 1], [0, 0, 0], [0, 0, 0]]
)
COUNTS = ClassCounts.from_targets(("mass", "nodule", "hernia"), TARGETS)


def _slow_weights(reduce):
    """METHODS section 2, image by image: 1/n⁺ of each positive class, the images without one as one more class."""
    positives = [int(np.sum(TARGETS[:, c] == 1)) for c in range(3)]
    empty = sum(1 for row in TARGETS if not any(label == 1 for label in row))
    weights = []
    for row in TARGETS:
        own = [1 / positives[c] for c in range(3) if row[c] == 1] or [1 / empty]
        weights.append({"max": max(own), "mean": sum(own) / len(own), "sum": sum(own)}[reduce])
    return weights


@pytest.mark.parametrize("reduce", ["max", "mean", "sum"])
def test_an_image_weighs_by_the_rarity_of_its_positive_classes(reduce):
    weights = WeightedSampling(reduce=reduce)(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(weights, _slow_weights(reduce), rtol=1e-12)


def test_the_images_without_a_positive_are_drawn_as_often_together_as_one_class_of_single_labels():
    targets = np.array([[1, 0]] * 2 + [[0, 1]] * 5 + [[0, 0]] * 20 + [[0, NAN]] * 3)
    weights = WeightedSampling()(ClassCounts.from_targets(("mass", "hernia"), targets)).sample_weights(targets)

    np.testing.assert_allclose([weights[:2].sum(), weights[2:7].sum(), weights[7:].sum()], 1.0, rtol=1e-12)


def test_weights_above_the_clip_quantile_are_lowered_to_it():
    # Class weights 1/4, 1/2, 1/2 and, for the four images without a positive, 1/4: the median is 3/8.
    weights = WeightedSampling(clip_quantile=0.5)(COUNTS).sample_weights(TARGETS)

    assert weights.tolist() == [0.25, 0.375, 0.375, 0.25, 0.25, 0.25, 0.375, 0.25, 0.25]


def test_quantile_0_draws_every_image_alike():
    weights = WeightedSampling(clip_quantile=0.0)(COUNTS).sample_weights(TARGETS)

    assert len(set(weights.tolist())) == 1


def test_an_additional_class_without_images_does_not_enter_the_quantile():
    targets = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1]])
    plan = WeightedSampling(clip_quantile=0.5)(ClassCounts.from_targets(("mass", "hernia"), targets))

    assert plan.sample_weights(targets).tolist() == [0.25, 0.25, 0.25, 0.25, 0.625]


def test_the_published_weights_reach_only_the_first_k_images():
    weights = WeightedSampling(variant="as_published")(COUNTS).sample_weights(TARGETS)

    per_class = np.array([1 / 4, 1 / 2, 1 / 2])
    np.testing.assert_allclose(weights[:3], per_class / per_class.sum(), rtol=1e-5)
    assert weights[3:].tolist() == [0.0] * 6


def test_fewer_images_than_classes_are_refused_by_the_published_weights():
    plan = WeightedSampling(variant="as_published")(COUNTS)

    with pytest.raises(InputError, match="expected at least 3 images, got 2: use variant 'corrected'"):
        plan.sample_weights(TARGETS[:2])


@pytest.mark.parametrize("variant", ["corrected", "as_published"])
def test_targets_of_another_width_are_refused(variant):
    plan = WeightedSampling(variant=variant)(COUNTS)

    with pytest.raises(InputError, match=r"`targets` must be \(N, 3\), one column per class; got \(9, 2\)"):
        plan.sample_weights(TARGETS[:, :2])
