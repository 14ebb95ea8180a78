import json

import numpy as np
import pytest
import torch

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.core.seeding import generator
from tailscope.treatments import (
    Asymmetric,
    Control,
    Focal,
    IntraWeighted,
    Uncertainty,
    WeightedSampling,
    check_audit,
    gradient_audit,
    sampling_audit,
)

CLASSES = ("mass", "nodule", "hernia")


@pytest.fixture(scope="module")
def targets():
    rng = generator(0, "audit test")
    labels = (rng.random((4000, 3)) < [0.3, 0.1, 0.01]).astype(float)
    labels[:, 1] = np.where(rng.random(4000) < 0.5, labels[:, 0], labels[:, 1])  # nodules come with masses
    labels[rng.random((4000, 3)) < 0.05] = np.nan
    return labels


def _epoch(targets, weights, draws=4000):
    probabilities = weights / weights.sum()
    drawn = generator(1, "draws").choice(len(targets), size=draws, p=probabilities)
    return sampling_audit(targets, weights, drawn, CLASSES)


def _weights(targets, **settings):
    return WeightedSampling(**settings)(ClassCounts.from_targets(CLASSES, targets)).sample_weights(targets)


def test_an_epoch_of_the_corrected_sampler_passes(targets):
    audit = _epoch(targets, _weights(targets))

    assert check_audit({"sampling": audit}) == []
    assert audit["classes"]["hernia"]["realised"] > 10 * audit["classes"]["hernia"]["prevalence"]


def test_the_published_sampler_is_caught_drawing_as_many_images_as_there_are_classes(targets):
    audit = _epoch(targets, _weights(targets, variant="as_published"))

    assert audit["images_drawn"] == 3
    assert "3997 of 4000 images have draw weight 0: they are never seen" in check_audit({"sampling": audit})


def test_a_sampler_that_does_not_follow_its_weights_is_caught(targets):
    audit = sampling_audit(targets, _weights(targets), np.arange(4000) % 15, CLASSES)

    problems = check_audit({"sampling": audit})

    assert problems[0].startswith("15 different images were drawn; expected about")
    assert any(problem.startswith("class 'hernia' is positive in") for problem in problems)


@pytest.mark.parametrize("draws", [4000, 3968, 10_000])
def test_whole_and_partial_epochs_without_weights_pass(targets, draws):
    rng = generator(2, "order")
    drawn = np.concatenate([rng.permutation(4000) for _ in range(3)])[:draws]

    audit = sampling_audit(targets, None, drawn, CLASSES)

    assert check_audit({"sampling": audit}) == []
    assert audit["images_drawn"] == audit["images_drawn_expected"] == min(draws, 4000)


def test_a_partial_epoch_that_misses_the_only_image_of_a_class_passes():
    labels = np.zeros((4000, 1))
    labels[3999] = 1

    audit = sampling_audit(labels, None, np.arange(3968), ["hernia"])

    assert abs(audit["largest_z"]) > 6
    assert check_audit({"sampling": audit}) == []


def test_chance_alone_raises_no_alarm_in_small_data_sets():
    rng = generator(5, "small")
    alarms = 0
    for _ in range(300):
        labels = (rng.random((40, 3)) < [0.4, 0.1, 0.03]).astype(float)
        weights = rng.random(40) ** 4 + 1e-6
        drawn = rng.choice(40, size=40, p=weights / weights.sum())
        alarms += bool(check_audit({"sampling": sampling_audit(labels, weights, drawn, CLASSES)}))

    assert alarms == 0


def test_a_whole_epoch_that_misses_an_image_is_infinitely_unlikely_without_weights(targets):
    hernia = int(np.flatnonzero(targets[:, 2] == 1)[0])
    drawn = np.arange(4000)
    drawn[hernia] = int(np.flatnonzero(targets[:, 2] == 0)[0])

    audit = sampling_audit(targets, None, drawn, CLASSES)

    assert np.isinf(audit["largest_z"])
    assert any("class 'hernia' is positive in" in problem for problem in check_audit({"sampling": audit}))


def test_the_expected_number_of_images_drawn_agrees_with_the_mean_over_many_epochs(targets):
    few, rng = targets[:200], generator(3, "epochs")
    weights = _weights(targets)[:200]
    epochs = [rng.choice(200, size=150, p=weights / weights.sum()) for _ in range(2000)]

    audit = sampling_audit(few, weights, epochs[0], CLASSES)

    mean = np.mean([len(np.unique(epoch)) for epoch in epochs])
    assert audit["images_drawn_expected"] == pytest.approx(mean, abs=0.5)
    assert audit["images_drawn"] == len(np.unique(epochs[0]))


def test_the_shares_count_positive_draws_class_by_class_and_pair_by_pair(targets):
    weights = _weights(targets)
    drawn = generator(4, "draws").integers(0, 4000, size=500)
    audit = sampling_audit(targets, weights, drawn, CLASSES)

    both = sum(1 for n in drawn if targets[n, 0] == 1 and targets[n, 1] == 1) / 500
    expected = sum(weights[n] for n in range(4000) if targets[n, 0] == 1 and targets[n, 1] == 1) / weights.sum()

    assert audit["cooccurrence_realised"][0][1] == pytest.approx(both, rel=1e-12)
    assert audit["cooccurrence_expected"][1][0] == pytest.approx(expected, rel=1e-12)
    share = audit["classes"]["mass"]
    assert share["realised"] == pytest.approx(np.mean(targets[drawn, 0] == 1), rel=1e-12)
    assert share["ratio"] == pytest.approx(share["realised"] / share["expected"], rel=1e-12)
    assert sum(int(times) * images for times, images in audit["draw_counts"].items()) == 500
    assert sum(audit["draw_counts"].values()) == 4000


def test_z_has_variance_1_under_the_promised_weights(targets):
    weights = _weights(targets)
    z = []
    for epoch in range(200):
        drawn = generator(epoch, "z").choice(4000, size=1000, p=weights / weights.sum())
        z.append(sampling_audit(targets, weights, drawn, CLASSES)["classes"]["nodule"]["z"])

    assert np.mean(z) == pytest.approx(0, abs=0.25)
    assert np.var(z) == pytest.approx(1, abs=0.35)


def test_the_audits_are_json(targets):
    logits = torch.zeros(5, 3)
    audit = {
        "sampling": _epoch(targets, _weights(targets)),
        "gradients": {"initial": gradient_audit(Focal()(_counts()).loss, logits, torch.ones(5, 3), CLASSES)},
    }

    assert json.loads(json.dumps(audit["sampling"])) == audit["sampling"]
    assert "NaN" in json.dumps(audit["gradients"])  # no negative images: the ratio to the control's is not defined


@pytest.mark.parametrize(
    ("weights", "drawn", "message"),
    [
        (np.ones(3), [0], r"`weights` must be 4 finite numbers, .*; got shape \(3,\)"),
        (np.array([1, 1, 1, -1.0]), [0], "`weights` must be 4 finite numbers, one per image, 0 or more"),
        (np.array([1, 1, 1, np.nan]), [0], "`weights` must be 4 finite numbers"),
        (np.zeros(4), [0], "`weights` must be 4 finite numbers, .* not all 0"),
        (None, [4], r"`drawn_indices` must be one or more numbers in \[0, 4\); got \[4\]"),
        (None, [], r"`drawn_indices` must be one or more numbers in \[0, 4\); got \[\]"),
    ],
)
def test_weights_and_draws_that_do_not_fit_are_refused(weights, drawn, message):
    with pytest.raises(InputError, match=message):
        sampling_audit(np.zeros((4, 1)), weights, np.array(drawn, dtype=np.int64), ["mass"])


def test_targets_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"`targets` must be \(N, 1\), one column per class; got \(4, 2\)"):
        sampling_audit(np.zeros((4, 2)), None, np.arange(4), ["mass"])


def _counts():
    return ClassCounts(CLASSES, (40, 20, 4), (60, 80, 96))


def test_the_pull_of_the_control_is_the_mean_distance_from_the_target():
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, -2.0, 0.5]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0, torch.nan], [1.0, 1.0, 0.0]], dtype=torch.float64)

    audit = gradient_audit(Control()(_counts()).loss, logits, labels, CLASSES)

    distance = (torch.sigmoid(logits) - labels).abs() / 5  # five cells are known
    assert audit["classes"]["mass"]["positives"] == pytest.approx(distance[:, 0].sum().item())
    assert audit["classes"]["mass"]["negatives"] == 0
    assert np.isnan(audit["classes"]["mass"]["negatives_to_control"])
    assert audit["classes"]["nodule"]["negatives"] == pytest.approx(distance[0, 1].item())
    assert np.isnan(audit["classes"]["hernia"]["positives_to_control"])
    assert audit["loss_ratio"] == 1.0


def test_the_pull_of_intra_weighted_positives_is_their_weight_times_the_control_s():
    rng = np.random.default_rng(12)
    logits, labels = torch.tensor(rng.normal(size=(50, 3))), torch.tensor(rng.random((50, 3)) < 0.4).double()

    audit = gradient_audit(IntraWeighted()(_counts()).loss, logits, labels, CLASSES)

    ratios = [audit["classes"][name]["positives_to_control"] for name in CLASSES]
    np.testing.assert_allclose(ratios, [1.5, 4.0, 24.0], rtol=1e-12)
    np.testing.assert_allclose([audit["classes"][name]["negatives_to_control"] for name in CLASSES], 1.0, rtol=1e-12)


def test_the_gradient_audit_leaves_loss_and_logits_as_they_were():
    loss = Uncertainty()(_counts()).loss
    logits = torch.zeros(2, 3, requires_grad=True)
    with torch.no_grad():
        gradient_audit(loss, logits, torch.ones(2, 3), CLASSES)

    assert logits.grad is None
    assert loss.log_variance.grad is None
    assert loss.log_variance.dtype == torch.float32


@pytest.mark.parametrize(("variant", "problems"), [("corrected", 0), ("as_published", 3)])
def test_positives_that_lost_their_gradient_are_caught(variant, problems):
    loss = Asymmetric(variant=variant, gamma_pos=0)(_counts()).loss
    audit = gradient_audit(loss, torch.full((4, 3), -30.0), torch.ones(4, 3), CLASSES)

    found = check_audit({"gradients": {"initial": audit}})

    assert len(found) == problems
    assert all("its positives have no gradient" in problem for problem in found)


def test_a_loss_that_is_not_finite_is_caught():
    loss = Control()(_counts()).loss
    audit = gradient_audit(loss, torch.full((2, 3), torch.nan), torch.ones(2, 3), CLASSES)

    found = check_audit({"gradients": {"epoch 3": audit}})

    assert found[0] == "epoch 3: the loss is nan; expected a finite number"
    assert "epoch 3: class 'mass': the gradient of its positives is nan; expected finite numbers" in found


def test_negatives_dropped_on_purpose_are_no_problem():
    audit = gradient_audit(Asymmetric()(_counts()).loss, torch.full((2, 3), -9.0), torch.zeros(2, 3), CLASSES)

    assert audit["classes"]["mass"]["negatives"] == 0
    assert check_audit({"gradients": {"initial": audit}}) == []
