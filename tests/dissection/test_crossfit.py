from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection.crossfit import CrossFit, CrossFitter, patient_halves


def draw(images: int = 12, units: int = 5, masks: int = 4) -> tuple[NDArray[np.int64], ...]:
    rng = np.random.default_rng(0)
    areas = rng.integers(0, 30, (images, masks))
    activated = rng.integers(0, 40, (images, units))
    inside = (np.minimum(activated[:, :, None], areas[:, None, :]) * rng.random((images, units, masks))).astype(
        np.int64
    )
    halves = patient_halves(np.arange(images) // 2, np.arange(images) < 8, 6, rng)
    return areas, activated, inside, halves


def fitted(step: int = 5) -> CrossFit:
    areas, activated, inside, halves = draw()
    fitter = CrossFitter(areas, halves)
    for first in range(0, 5, step):
        fitter.add(first, activated[:, first : first + step], inside[:, first : first + step])
    return fitter.finish(np.arange(12))


def oracle(weights: NDArray[np.float64]) -> float:
    """Every split, half and mask written out; the choice never sees the weights."""
    areas, activated, inside, halves = draw()
    scores: dict[bool, list[float]] = {True: [], False: []}
    for mask in range(4):
        for half in halves:
            for choose in (half, ~half):
                ious = []
                for unit in range(5):
                    part = inside[choose, unit, mask].sum()
                    ious.append(part / (activated[choose, unit].sum() + areas[choose, mask].sum() - part))
                best = int(np.argmax(ious))
                scored = weights * ~choose
                part = (scored * inside[:, best, mask]).sum()
                union = (scored * (activated[:, best] + areas[:, mask])).sum() - part
                if union > 0:
                    scores[mask == 0].append(part / union)
    return float(np.mean(scores[True]) - np.mean(scores[False]))


def test_value_is_the_held_out_iou_of_the_chosen_units_minus_the_same_under_derangements() -> None:
    assert fitted().value == pytest.approx(oracle(np.ones(12)), rel=1e-12)
    assert fitted().value == pytest.approx(fitted().best - fitted().null, rel=1e-12)


def test_score_pools_the_images_by_their_weights() -> None:
    weights = np.random.default_rng(1).poisson(1.0, (7, 12)).astype(float)
    expected = [oracle(row) for row in weights]
    np.testing.assert_allclose(fitted().score(weights), expected, rtol=1e-12)


def test_weights_of_one_change_nothing_and_no_weight_leaves_nothing() -> None:
    scores = fitted().score(np.array([[1.0] * 12, [2.0] * 12, [0.0] * 12]))
    assert scores[0] == scores[1] == fitted().value
    assert np.isnan(scores[2])


def test_the_blocks_of_units_do_not_matter() -> None:
    one, whole = fitted(1), fitted(5)
    assert one.chosen.tolist() == whole.chosen.tolist()
    assert one.null_union.tolist() == whole.null_union.tolist()
    assert one.value == whole.value


def test_no_image_is_scored_in_the_half_that_chose() -> None:
    halves = draw()[3]
    choosing = np.concatenate([halves, ~halves])
    assert (fitted().union[choosing] == 0).all()


def test_of_equally_good_units_the_first_is_chosen() -> None:
    areas, activated, inside, halves = draw()
    fitter = CrossFitter(areas, halves)
    for first in (0, 1, 2):
        fitter.add(first, activated[:, :1], inside[:, :1])
    assert fitter.finish(np.arange(12)).chosen.tolist() == [0] * 12


@pytest.mark.parametrize("weights", [np.ones((2, 11)), np.ones(12), -np.ones((1, 12))])
def test_weights_that_do_not_fit_are_refused(weights: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match=r"`weights` must be \(R, 12\)"):
        fitted().score(weights)


def test_halves_never_part_a_patient_and_share_annotated_patients_evenly() -> None:
    patients = np.repeat(np.arange(15), 3)
    annotated = patients < 7
    halves = patient_halves(patients, annotated, 40, np.random.default_rng(0))
    by_patient = halves.reshape(40, 15, 3)
    assert (by_patient == by_patient[:, :, :1]).all()
    assert set(by_patient[:, :7, 0].sum(axis=1)) == {3, 4}
    assert by_patient[:, 7:, 0].sum(axis=1).tolist() == [4] * 40
