import json

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tailscope.core import ClassCounts, InputError
from tailscope.training import EpochWatch
from tailscope.treatments import IntraWeighted

CLASSES = ("mass", "nodule", "hernia")
GROUPS = ("head", "medium", "tail")
WEIGHTS = np.array([1.5, 4.0, 24.0])
STEPS = [np.array([3, 0, 3, 7]), np.array([1, 9, 4, 0]), np.array([8, 8])]


@pytest.fixture(scope="module")
def labels():
    found = (np.random.default_rng(0).random((10, 3)) < 0.5).astype(np.float32)
    found[4, 1] = np.nan
    return found


def _step(labels, rows, seed, dtype=torch.float32):
    """Rows, targets, logits, gradient and loss of one step under IntraWeighted."""
    logits = torch.tensor(np.random.default_rng(seed).normal(size=(len(rows), 3)), dtype=dtype, requires_grad=True)
    targets = torch.from_numpy(labels[rows])
    loss = IntraWeighted()(ClassCounts(CLASSES, (40, 20, 4), (60, 80, 96))).loss(logits, targets)
    loss.backward()
    return {"rows": rows, "targets": targets, "logits": logits, "gradient": logits.grad, "loss": loss}


@pytest.fixture
def watched(labels):
    watch = EpochWatch(CLASSES, GROUPS, 10)
    for seed, rows in enumerate(STEPS):
        watch.step(**_step(labels, rows, seed), training=True)
    return watch


def _written_out(labels):
    """(control gradient, gradient, targets) of each step, float64."""
    for seed, rows in enumerate(STEPS):
        x = np.random.default_rng(seed).normal(size=(len(rows), 3)).astype(np.float32).astype(np.float64)
        y = labels[rows].astype(np.float64)
        known = ~np.isnan(y)
        control = np.where(known, 1 / (1 + np.exp(-x)) - np.nan_to_num(y), 0) / known.sum()
        yield control, np.where(y == 1, WEIGHTS * control, control), y, x


def test_pulls_and_control_s_are_summed_over_the_steps(labels, watched):
    found = watched.summary()["classes"]

    for c, name in enumerate(CLASSES):
        steps = list(_written_out(labels))
        positives = sum(np.abs(g[y[:, c] == 1, c]).sum() for _, g, y, _ in steps)
        negatives = sum(np.abs(g[y[:, c] == 0, c]).sum() for _, g, y, _ in steps)
        assert found[name]["positives"] == pytest.approx(positives, rel=1e-6)
        assert found[name]["negatives"] == pytest.approx(negatives, rel=1e-6)
        assert found[name]["positives_to_control"] == pytest.approx(WEIGHTS[c], rel=1e-6)
        assert found[name]["negatives_to_control"] == pytest.approx(1, rel=1e-6)


def test_losses_and_norms_are_means_over_the_steps(labels, watched):
    found = watched.summary()

    steps = list(_written_out(labels))
    norm, reference = (np.mean([np.linalg.norm(step[part]) for step in steps]) for part in (1, 0))
    assert found["gradient_norm"] == pytest.approx(norm, rel=1e-6)
    assert found["gradient_norm_ratio"] == pytest.approx(norm / reference, rel=1e-6)
    control = []
    for _, _, y, x in steps:
        known = ~np.isnan(y)
        cells = binary_cross_entropy_with_logits(torch.tensor(x[known]), torch.tensor(y[known]))
        control.append(float(cells))
    assert found["mean_loss_control"] == pytest.approx(np.mean(control), rel=1e-6)
    assert found["loss_ratio"] == pytest.approx(found["mean_loss"] / np.mean(control), rel=1e-6)


def test_groups_get_their_shares(watched):
    found = watched.summary()

    assert sum(group["share"] for group in found["groups"].values()) == pytest.approx(1)
    assert found["groups"]["tail"]["share"] == pytest.approx(found["classes"]["hernia"]["share"])
    assert found["groups"]["tail"]["share"] > found["groups"]["tail"]["share_control"]


def test_images_and_labels_are_counted_as_trained(labels, watched):
    drawn = np.concatenate(STEPS)

    assert watched.draws.tolist() == np.bincount(drawn, minlength=10).tolist()
    assert watched.labelled.tolist() == watched.draws.tolist()
    assert watched.fed.tolist() == np.sum(labels[drawn] == 1, axis=0).tolist()
    assert watched.marked.tolist() == np.sum((labels[drawn] == 1) * (drawn + 1)[:, None], axis=0).tolist()
    found = watched.summary()
    assert (found["draws"], found["images_drawn"]) == (10, 7)
    assert found["draw_counts"] == {"0": 3, "1": 4, "2": 3}
    assert [found["classes"][name]["fed"] for name in CLASSES] == watched.fed.tolist()


def test_steps_in_evaluation_mode_are_counted(labels):
    watch = EpochWatch(CLASSES, GROUPS, 10)
    for seed, rows in enumerate(STEPS):
        watch.step(**_step(labels, rows, seed), training=seed > 0)

    assert (watch.summary()["steps"], watch.summary()["training_steps"]) == (3, 2)


def test_with_a_mix_up_the_labels_are_those_of_the_larger_share(labels):
    watch = EpochWatch(CLASSES, GROUPS, 10)
    rows, partners = np.array([1, 2, 3]), np.array([5, 2, 0])
    watch.step(**_step(labels, rows, 0), training=True, partners=partners, share=0.4)
    watch.step(**_step(labels, partners, 1) | {"rows": rows}, training=True, partners=partners, share=0.6)

    assert watch.partner_draws.tolist() == (2 * np.bincount(partners, minlength=10)).tolist()
    assert watch.labelled.tolist() == np.bincount([*rows, *partners], minlength=10).tolist()
    found = watch.summary()
    assert (found["pairs"], found["own_pairs"]) == (6, 2)
    both = np.concatenate([rows, partners])
    assert watch.marked.tolist() == np.sum((labels[both] == 1) * (both + 1)[:, None], axis=0).tolist()


def test_partners_without_their_share_are_refused(labels):
    watch = EpochWatch(CLASSES, GROUPS, 10)

    with pytest.raises(InputError, match="`partners` need their `share`, the λ of the batch"):
        watch.step(**_step(labels, STEPS[0], 0), training=True, partners=STEPS[0])


def test_half_precision_logits_and_a_loss_that_is_a_number_do(labels, watched):
    watch = EpochWatch(CLASSES, GROUPS, 10)
    for seed, rows in enumerate(STEPS):
        step = _step(labels, rows, seed, torch.bfloat16)
        watch.step(**step | {"loss": step["loss"].item()}, training=True)

    found, wanted = watch.summary(), watched.summary()
    assert found["mean_loss"] == pytest.approx(wanted["mean_loss"], rel=0.02)
    assert found["classes"]["hernia"]["positives_to_control"] == pytest.approx(24, rel=0.02)


def test_logits_of_unknown_labels_do_not_matter(labels):
    step = _step(labels, np.array([4, 1]), 0)
    watch = EpochWatch(CLASSES, GROUPS, 10)
    logits, gradient = step["logits"].detach().clone(), step["gradient"].clone()
    logits[0, 1], gradient[0, 1] = torch.nan, torch.nan
    watch.step(**step | {"logits": logits, "gradient": gradient}, training=True)

    assert np.isfinite(watch.summary()["gradient_norm_control"])
    assert np.isfinite(watch.summary()["classes"]["nodule"]["negatives"])


def test_a_gradient_that_is_not_finite_is_seen(labels):
    step = _step(labels, STEPS[0], 0)
    watch = EpochWatch(CLASSES, GROUPS, 10)
    watch.step(**step | {"gradient": torch.full((4, 3), torch.nan)}, training=True)

    assert np.isnan(watch.summary()["gradient_norm"])


def test_the_summary_is_json_and_does_not_grow_with_the_images(labels):
    sizes = []
    for num_images in (10, 100_000):
        watch = EpochWatch(CLASSES, GROUPS, num_images)
        watch.step(**_step(labels, STEPS[0], 0), training=True)
        text = json.dumps(watch.summary())
        assert json.loads(text) == watch.summary()
        sizes.append(len(text))

    assert sizes[1] < sizes[0] + 20


def test_an_epoch_without_a_step_has_no_means():
    found = EpochWatch(CLASSES, GROUPS, 10).summary()

    assert np.isnan(found["mean_loss"])
    assert (found["steps"], found["images_drawn"]) == (0, 0)
