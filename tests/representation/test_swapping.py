from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tailscope.core import InputError
from tailscope.representation.swapping import Halves, Head, Swap, swap_effects

RNG = np.random.default_rng(0)
IMAGES, WIDTH, CLASSES = 40, 6, 3
TARGETS = (RNG.random((IMAGES, CLASSES)) < 0.4).astype(np.float32)
TARGETS[:5, 1] = np.nan


def half(seed: int, shift: float = 0.0) -> Halves:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(IMAGES, WIDTH)).astype(np.float32)
    features[:, :CLASSES] += shift * np.nan_to_num(TARGETS)
    return Halves(features, Head(rng.normal(size=(CLASSES, WIDTH)).astype(np.float32), rng.normal(size=CLASSES)))


CONTROL, TREATED = half(1, 0.5), half(2, 1.0)


def test_each_cell_holds_the_auroc_of_its_features_under_its_head():
    found = Swap.of(CONTROL, TREATED).auroc(TARGETS)
    for row, features in enumerate((CONTROL.features, TREATED.features)):
        for column, head in enumerate((CONTROL.head, TREATED.head)):
            for number in range(CLASSES):
                known = ~np.isnan(TARGETS[:, number])
                scores = features.astype(np.float64) @ head.weight[number].astype(np.float64) + head.bias[number]
                expected = roc_auc_score(TARGETS[known, number], scores[known])
                np.testing.assert_allclose(found[row, column, number], expected, rtol=1e-12)


def test_main_effects_add_up_to_the_whole_difference():
    found = Swap.of(CONTROL, TREATED).auroc(TARGETS)
    effects = swap_effects(found)
    np.testing.assert_allclose(effects.features + effects.head, found[1, 1] - found[0, 0], atol=1e-12)


def test_a_network_swapped_with_itself_changes_nothing():
    effects = swap_effects(Swap.of(CONTROL, CONTROL).auroc(TARGETS))
    assert all((effect == 0).all() for effect in effects)


def test_a_treatment_of_the_head_alone_is_an_effect_of_the_head():
    treated = Halves(CONTROL.features, TREATED.head)
    effects = swap_effects(Swap.of(CONTROL, treated).auroc(TARGETS))
    assert (effects.features == 0).all()
    assert (effects.interaction == 0).all()
    assert (effects.head != 0).any()


def test_a_treatment_of_the_features_alone_is_an_effect_of_the_features():
    treated = Halves(TREATED.features, CONTROL.head)
    effects = swap_effects(Swap.of(CONTROL, treated).auroc(TARGETS))
    assert (effects.head == 0).all()
    assert (effects.interaction == 0).all()
    assert (effects.features != 0).any()


def test_features_that_only_turned_are_an_interaction():
    """The same network with its feature axes permuted: nothing is lost, and no head reads the other's features."""
    turn = np.roll(np.arange(WIDTH), 1)
    treated = Halves(CONTROL.features[:, turn], Head(CONTROL.head.weight[:, turn], CONTROL.head.bias))
    found = Swap.of(CONTROL, treated).auroc(TARGETS)
    effects = swap_effects(found)
    np.testing.assert_allclose(effects.features + effects.head, 0, atol=1e-12)
    np.testing.assert_allclose(effects.interaction, 2 * found[0, 0] - found[0, 1] - found[1, 0], atol=1e-12)


def test_a_bias_changes_no_ranking():
    treated = Halves(CONTROL.features, Head(CONTROL.head.weight, CONTROL.head.bias + 3))
    assert (swap_effects(Swap.of(CONTROL, treated).auroc(TARGETS)).head == 0).all()


def test_a_resample_is_the_auroc_of_the_images_drawn():
    counts = np.random.default_rng(3).integers(0, 4, (5, IMAGES))
    swap = Swap.of(CONTROL, TREATED)
    found = swap.resampled_auroc(TARGETS, counts)
    assert found.shape == (5, 2, 2, CLASSES)
    for number, drawn in enumerate(counts):
        rows = np.repeat(np.arange(IMAGES), drawn)
        np.testing.assert_allclose(found[number], Swap(swap.logits[:, :, rows]).auroc(TARGETS[rows]), rtol=1e-12)


def test_a_class_without_both_labels_is_undefined():
    targets = TARGETS.copy()
    targets[:, 2] = 0
    found = Swap.of(CONTROL, TREATED).auroc(targets)
    assert np.isnan(found).all(axis=(0, 1)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "treated",
    [
        Halves(CONTROL.features[:-1], CONTROL.head),
        Halves(CONTROL.features, Head(CONTROL.head.weight[:-1], CONTROL.head.bias[:-1])),
        Halves(CONTROL.features, Head(CONTROL.head.weight[:, 1:], CONTROL.head.bias)),
    ],
)
def test_networks_that_do_not_fit_are_refused(treated):
    with pytest.raises(InputError, match="heads of one shape and features of the same images"):
        Swap.of(CONTROL, treated)


def test_features_of_another_width_or_not_finite_are_refused():
    with pytest.raises(InputError, match=r"\(N, 6\)"):
        CONTROL.head.logits(CONTROL.features[:, 1:])
    with pytest.raises(InputError, match="finite"):
        CONTROL.head.logits(np.full((2, WIDTH), np.inf))


@pytest.mark.parametrize(
    ("weight", "bias"),
    [(np.zeros(3), np.zeros(3)), (np.zeros((3, 2)), np.zeros(2)), (np.full((1, 2), np.nan), np.zeros(1))],
)
def test_a_head_that_is_no_linear_layer_is_refused(weight, bias):
    with pytest.raises(InputError, match="`weight`"):
        Head(weight, bias)
