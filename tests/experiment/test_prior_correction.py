from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from tailscope.core import ExperimentData, write_json
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.prior_correction import NO_CELLS, PriorCorrection
from tailscope.treatments import TREATMENTS

RNG = np.random.default_rng(9)
CLASSES = ("mass", "hernia")
TARGETS = (RNG.random((400, 2)) < [0.3, 0.05]).astype(np.float32)
TARGETS[:10, 0] = np.nan
LOGITS = RNG.normal(-1, 2, (50, 2))
AS_IT_IS = np.array([[1.0, 1.0], [0.0, 0.0]])


def correction(name, drawn=None, fitted=AS_IT_IS, **settings):
    from tailscope.core import ClassCounts

    plan = TREATMENTS.build(name, **settings)(ClassCounts.from_targets(CLASSES, TARGETS))
    return PriorCorrection(plan, TARGETS, drawn, fitted)


def ratios():
    return np.nansum(TARGETS == 0, axis=0) / np.nansum(TARGETS == 1, axis=0)


@pytest.mark.parametrize("name", ["control", "inter_weighted", "uncertainty", "effective_number", "drw"])
def test_weights_on_classes_ask_for_no_correction(name):
    np.testing.assert_allclose(correction(name)(LOGITS), LOGITS, atol=1e-9)


def test_a_weight_on_positives_is_taken_back_as_its_logarithm():
    np.testing.assert_allclose(correction("intra_weighted")(LOGITS), LOGITS - np.log(ratios()), rtol=1e-6)


def test_weights_that_are_counted_in_the_batch_are_taken_as_those_of_the_training_images():
    found = correction("intra_weighted", variant="as_published")(LOGITS)
    np.testing.assert_allclose(found, LOGITS - np.log(ratios()), atol=1e-5)


def test_focal_is_corrected_by_the_slopes_of_its_loss():
    gamma, alpha = 2.0, 0.25
    p = expit(LOGITS)
    up = alpha * (1 - p) ** gamma * (gamma * p * np.log(p) - (1 - p))
    down = (1 - alpha) * p**gamma * (p - gamma * (1 - p) * np.log(1 - p))
    found = correction("focal", gamma=gamma, alpha=alpha)(LOGITS)
    np.testing.assert_allclose(expit(found), down / (down - up), rtol=1e-9)


def test_below_its_margin_the_asymmetric_loss_means_that_there_is_nothing():
    found = correction("asymmetric", margin=0.05)(np.array([[logit(0.04), logit(0.06)]]))
    assert found[0, 0] == -np.inf
    assert np.isfinite(found[0, 1])


def test_a_shift_inside_the_loss_is_added_to_the_logits():
    np.testing.assert_allclose(correction("logit_adjusted")(LOGITS), LOGITS - np.log(ratios()), rtol=1e-6)


def test_what_a_smoothed_label_stands_for_is_read_back():
    p = expit(LOGITS)
    found = expit(correction("label_smoothing", epsilon=0.2)(LOGITS))
    np.testing.assert_allclose(found, np.clip((p - 0.1) / 0.8, 0, 1), atol=1e-9)


def test_a_step_after_training_is_taken_back():
    fitted = np.array([[1.0, 2.0], [3.0, -1.0]])
    found = correction("control", fitted=fitted)(LOGITS * fitted[0] + fitted[1])
    np.testing.assert_allclose(found, LOGITS, atol=1e-9)


def test_a_scale_of_the_predictions_is_taken_back_before_the_loss_is_asked():
    plain = correction("ldam", scale=1.0, max_margin=0.0)(LOGITS)
    np.testing.assert_allclose(correction("ldam", scale=4.0, max_margin=0.0)(LOGITS), plain, atol=1e-6)


def test_draws_shift_by_realised_over_training_odds():
    drawn = np.array([0.5, 0.2])
    prevalence = (TARGETS == 1).mean(axis=0)
    shift = logit(drawn) - logit(prevalence)
    np.testing.assert_allclose(correction("weighted_sampling", drawn)(LOGITS), LOGITS - shift, atol=1e-6)


def test_a_class_that_was_never_drawn_is_left_as_it_is():
    found = correction("weighted_sampling", np.array([0.5, 0.0]))(LOGITS)
    np.testing.assert_allclose(found[:, 1], LOGITS[:, 1], atol=1e-9)
    assert (found[:, 0] < LOGITS[:, 0]).all()


def test_weights_that_know_the_other_labels_count_with_their_mean_over_the_training_images():
    one = correction("distribution_balanced")
    lonely = np.nansum(TARGETS == 1, axis=1) == 1
    weight = 0.1 + expit(10 * (1 - 0.2))  # of a positive without others
    rarity = 1 / np.nansum(TARGETS == 1, axis=0)
    offset = 0.05 * np.log(ratios())
    positives = np.flatnonzero(TARGETS[:, 1] == 1)
    shares = [rarity[1] / np.nansum(rarity * (TARGETS[row] == 1)) for row in positives]
    of_positives = np.mean([0.1 + expit(10 * (share - 0.2)) for share in shares])
    of_negatives = []
    for row in np.flatnonzero(TARGETS[:, 1] == 0):
        total = np.nansum(rarity * (TARGETS[row] == 1))
        of_negatives.append(1.1 if total == 0 else 0.1 + expit(10 * (rarity[1] / total - 0.2)))
    z = LOGITS[:, 1] - offset[1]
    up, down = of_positives * expit(-z), np.mean(of_negatives) * expit(2 * z)
    assert lonely.any()
    assert weight == pytest.approx(1.0997, abs=1e-4)
    np.testing.assert_allclose(expit(one(LOGITS)[:, 1]), down / (down + up), rtol=1e-5)


@pytest.mark.parametrize(("name", "settings"), [("two_way", {}), ("control", {"form": "softmax"})])
def test_a_loss_without_values_per_class_leaves_the_logits_and_says_so(name, settings):
    one = correction(name, **settings)
    assert one.why_none == NO_CELLS
    np.testing.assert_array_equal(one(LOGITS), LOGITS)


def written(path, treatment, audit, adjustment=None):
    folder = ExperimentFolder(path)
    record = {"treatment": treatment, "adjustment": adjustment}
    folder.run("one").mkdir(parents=True)
    write_json(folder.run("one") / "run.json", record)
    write_json(folder.run("one") / "audit.json", audit)
    return folder


def data():
    ids = np.array([f"i{number}" for number in range(400)])
    pixels = np.zeros((400, 1, 1, 1), dtype=np.uint8)
    return ExperimentData(
        "small", CLASSES, ids, ids, np.full(400, "train"), TARGETS, pixels, pd.DataFrame(), lambda *_: None,
        np.zeros((0, 2), dtype=np.int64), "f",
    )  # fmt: skip


def stream(realised, expected=0.4):
    return {"classes": {name: {"realised": realised, "expected": expected} for name in CLASSES}}


def test_draws_are_read_from_the_epochs_in_which_the_last_plan_held(tmp_path):
    epochs = [{"sampling": stream(0.1, 0.1)}, {"sampling": stream(0.4)}, {"sampling": stream(0.44)}]
    audit = {"sampling": stream(0.39), "epochs": epochs}
    folder = written(tmp_path, {"name": "weighted_sampling", "settings": {}}, audit)
    assert PriorCorrection.of(folder, "one", data()).drawn.tolist() == [pytest.approx(0.42)] * 2


def test_partners_of_a_mix_up_count_by_their_mean_share(tmp_path):
    epochs = [{"sampling": stream(0.2, 0.2), "partner": stream(0.6)}]
    audit = {"sampling": stream(0.2, 0.2), "partner": stream(0.5), "epochs": epochs}
    folder = written(tmp_path, {"name": "balanced_mixup", "settings": {"alpha": 1.0}}, audit)
    assert PriorCorrection.of(folder, "one", data()).drawn.tolist() == [pytest.approx(0.4)] * 2  # λ̄ = ½


def test_without_a_sampler_no_draws_are_corrected_and_the_fitted_step_is_read(tmp_path):
    audit = {"sampling": stream(0.5), "epochs": []}
    step = {"scale": [2.0, 2.0], "shift": [1.0, 1.0], "notes": []}
    folder = written(tmp_path, {"name": "temperature", "settings": {}}, audit, step)
    one = PriorCorrection.of(folder, "one", data())
    assert one.drawn is None
    np.testing.assert_allclose(one(2 * LOGITS + 1), LOGITS, atol=1e-9)
