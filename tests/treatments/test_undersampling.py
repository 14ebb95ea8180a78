import pickle

import numpy as np
import pytest

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.undersampling import RandomUndersampling

NAN = float("nan")
TARGETS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, NAN], [NAN, 0, 0], [0, 0, 0], [0, NAN, 1], [0, 0, 0], [1, 0, 0]]
)
COUNTS = ClassCounts.from_targets(("mass", "nodule", "hernia"), TARGETS)


def _slow(targets, ratio):
    """Image by image: the largest share kept, min(1, ratio·n_min/n_c), over its classes or the group without any."""
    sizes = [sum(1 for row in targets if row[c] == 1) for c in range(targets.shape[1])]
    empty = sum(1 for row in targets if not any(label == 1 for label in row))
    kept = [min(1.0, ratio * min(sizes) / size) for size in sizes]
    other = min(1.0, ratio * min(sizes) / empty) if empty else 1.0
    return [max([kept[c] for c in range(len(kept)) if row[c] == 1], default=other) for row in targets]


@pytest.mark.parametrize("ratio", [1.0, 1.3, 2, 3.0, 50.0])
def test_an_image_is_kept_by_the_largest_share_of_its_classes(ratio):
    weights = RandomUndersampling(ratio)(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(weights, _slow(TARGETS, ratio), rtol=1e-12)


def test_every_image_remains_possible():
    assert RandomUndersampling()(COUNTS).sample_weights(TARGETS).min() > 0


def test_one_label_per_image_brings_every_class_down_to_the_rarest():
    targets = np.array([[1, 0]] * 30 + [[0, 1]] * 4 + [[0, 0]] * 200)
    counts = ClassCounts.from_targets(("mass", "hernia"), targets)
    weights = RandomUndersampling(ratio=1)(counts).sample_weights(targets)

    np.testing.assert_allclose([weights[:30].sum(), weights[30:34].sum(), weights[34:].sum()], 4.0, rtol=1e-12)


def test_a_ratio_of_three_keeps_at_most_three_times_the_rarest():
    targets = np.array([[1, 0, 0]] * 30 + [[0, 1, 0]] * 8 + [[0, 0, 1]] * 4)
    counts = ClassCounts.from_targets(("mass", "nodule", "hernia"), targets)
    weights = RandomUndersampling(3)(counts).sample_weights(targets)

    np.testing.assert_allclose([weights[:30].sum(), weights[30:38].sum(), weights[38:].sum()], [12, 8, 4], rtol=1e-12)


def test_ratio_1_draws_as_weighted_sampling_by_the_maximum():
    ours = RandomUndersampling(ratio=1)(COUNTS).sample_weights(TARGETS)
    by_maximum = WeightedSampling(reduce="max")(COUNTS).sample_weights(TARGETS)

    np.testing.assert_allclose(ours / ours.sum(), by_maximum / by_maximum.sum(), rtol=1e-12)


def test_a_permutation_of_the_images_permutes_the_weights():
    order = np.random.default_rng(0).permutation(len(TARGETS))
    weights = RandomUndersampling()(COUNTS).sample_weights

    np.testing.assert_array_equal(weights(TARGETS[order]), weights(TARGETS)[order])


def test_a_permutation_of_the_classes_leaves_the_weights():
    order = [2, 0, 1]
    permuted = ClassCounts.from_targets(tuple(COUNTS.names[c] for c in order), TARGETS[:, order])

    np.testing.assert_array_equal(
        RandomUndersampling()(permuted).sample_weights(TARGETS[:, order]),
        RandomUndersampling()(COUNTS).sample_weights(TARGETS),
    )


def test_the_weights_survive_pickling():
    weights = RandomUndersampling()(COUNTS).sample_weights

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(weights))(TARGETS), weights(TARGETS))


def test_the_limit_case_draws_uniformly():
    treatment = RandomUndersampling(**RandomUndersampling.limit.settings)
    targets = np.tile(np.eye(3), (4, 1))

    weights = treatment(ClassCounts.from_targets(("a", "b", "c"), targets)).sample_weights(targets)

    assert weights.tolist() == [1.0] * 12


def test_the_default_stands_among_the_values_of_a_search():
    main = RandomUndersampling.main

    assert getattr(RandomUndersampling(), main.name) in main.values
    assert list(main.values) == sorted(main.values)


@pytest.mark.parametrize("ratio", [0.5, NAN, float("inf"), True])
def test_a_ratio_below_1_or_without_end_is_refused(ratio):
    with pytest.raises(InputError, match=r"`ratio` must be a number in \[1, inf\); got"):
        RandomUndersampling(ratio)


def test_a_class_without_positives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 0 positive"):
        RandomUndersampling()(ClassCounts(("mass", "hernia"), (3, 0), (3, 6)))


def test_targets_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"`targets` must be \(N, 3\), one column per class; got \(9, 2\)"):
        RandomUndersampling()(COUNTS).sample_weights(TARGETS[:, :2])
