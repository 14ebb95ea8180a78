"""Faults that were found in published code, and their like: each is planted, and the check that catches it is named."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.core.seeding import generator
from tailscope.training import EpochWatch
from tailscope.treatments.cells import CellLoss, bce_cells
from tailscope.treatments.cross_entropy import (
    Control,
    InterWeighted,
    IntraWeighted,
    WeightedBCE,
    published_class_weights,
)
from tailscope.treatments.draws import draws_of
from tailscope.treatments.fed_audit import labels_audit, mixing_audit
from tailscope.treatments.gradient_audit import gradient_audit
from tailscope.treatments.inputs_audit import counts_audit, rebuilt_audit, weights_audit
from tailscope.treatments.plan import TreatmentPlan
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.sampling_audit import sampling_audit
from tailscope.treatments.verdicts import judge

CLASSES = ("mass", "nodule", "hernia")
GROUPS = ("head", "medium", "tail")
N, BATCH = 2000, 50


@pytest.fixture(scope="module")
def targets():
    labels = (generator(0, "faults").random((N, 3)) < [0.3, 0.1, 0.02]).astype(np.float32)
    labels[generator(1, "faults").random((N, 3)) < 0.02] = np.nan
    return labels


@pytest.fixture(scope="module")
def counts(targets):
    return ClassCounts.from_targets(CLASSES, targets)


def _failed(audit):
    return {check["check"]: check["sentence"] for check in judge(audit)["checks"] if check["verdict"] == "failed"}


def _draw(weights, seed=3):
    return generator(seed, "draws").choice(N, size=N, p=weights / weights.sum())


def _sampling(targets, weights, drawn):
    return {"sampling": sampling_audit(targets, weights, drawn, CLASSES)}


def _gradients(loss, targets, counts):
    logits = torch.tensor(np.random.default_rng(4).normal(scale=0.3, size=(N, 3)))
    return {
        "gradients": {
            "initial": gradient_audit(loss, logits, torch.tensor(targets), CLASSES, GROUPS, counts.prevalences)
        }
    }


@dataclass(frozen=True)
class ClassLengthWeights:
    """One weight per class, as the published code hands to its sampler of images."""

    positives: tuple[int, ...]

    def __call__(self, targets):
        return 1 / np.array(self.positives, dtype=np.float64)


def test_sound_a_sampler_with_a_weight_per_image_passes(targets, counts):
    plan = WeightedSampling()(counts)
    weights = plan.sample_weights(targets)

    audit = {**_sampling(targets, weights, _draw(weights)), "weights": weights_audit(weights, plan, targets)}

    assert _failed(audit) == {}


def test_planted_class_length_weights_are_caught_by_their_number(targets, counts):
    plan = TreatmentPlan(WeightedBCE(3), sample_weights=ClassLengthWeights(counts.positives))

    found = _failed({"weights": weights_audit(plan.sample_weights(targets), plan, targets)})

    assert found == {"draw weights": "there are 3 weights for 2000 training images"}


def test_planted_class_length_weights_are_caught_by_the_images_that_they_never_show(targets, counts):
    weights = WeightedSampling(variant="as_published")(counts).sample_weights(targets)

    found = _failed(_sampling(targets, weights, _draw(weights)))

    assert found["images left out"] == "1997 of 2000 images have draw weight 0: they are never seen"


def test_planted_class_length_weights_are_caught_by_what_was_really_drawn(targets, counts):
    weights = WeightedSampling()(counts).sample_weights(targets)
    three = 1 / np.array(counts.positives)
    drawn = generator(5, "draws").choice(3, size=N, p=three / three.sum())  # what torch's sampler makes of 3 weights

    found = _failed(_sampling(targets, weights, drawn))

    assert found["different images"].startswith("3 different images were drawn; expected about")
    assert found["draws follow weights"].startswith("an image was drawn as often as ")
    assert "class distribution" in found


@dataclass(frozen=True)
class InvertedWeights:
    """The frequent class is drawn more: n⁺_c in place of 1/n⁺_c."""

    positives: tuple[int, ...]

    def __call__(self, targets):
        own = np.where(targets == 1, np.array(self.positives, dtype=np.float64), 0).max(axis=1)
        return np.where(own > 0, own, np.sum(own == 0))


def test_planted_inverted_weights_of_a_sampler_are_caught(targets, counts):
    weights = InvertedWeights(counts.positives)(targets)

    found = _failed(_sampling(targets, weights, _draw(weights)))

    assert list(found) == ["direction of the sampler"]
    assert found["direction of the sampler"].startswith("the rarest class 'hernia' is drawn 0.")
    assert found["direction of the sampler"].endswith("times: the weights are the wrong way round")


@pytest.mark.parametrize("treatment", [Control(), IntraWeighted(), InterWeighted()])
def test_sound_a_loss_passes(treatment, targets, counts):
    assert _failed(_gradients(treatment(counts).loss, targets, counts)) == {}


def test_planted_inverted_weights_of_a_loss_are_caught_with_their_numbers(targets, counts):
    loss = InterWeighted(variant="as_published")(counts).loss

    found = _failed(_gradients(loss, targets, counts))

    rare, frequent = published_class_weights(counts)[[2, 0]]
    assert found == {
        "direction of the loss": (
            f"initial: a positive of the rarest class 'hernia' weighs {rare:.3g} times what it does in control, "
            f"one of the most frequent class 'mass' {frequent:.3g} times: the weights are the wrong way round"
        )
    }


class IgnoresPositives(CellLoss):
    """Cross-entropy of the negatives alone, of one class."""

    def __init__(self, silent):
        super().__init__(3)
        self.silent = silent

    def _values(self, x, y, known):
        ignored = torch.zeros_like(y, dtype=torch.bool)
        ignored[:, self.silent] = y[:, self.silent] == 1
        return torch.where(ignored, 0, bce_cells(x, y))


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_planted_a_loss_that_ignores_positives_is_caught(silent, targets, counts):
    found = _failed(_gradients(IgnoresPositives(silent), targets, counts))

    assert found["positives"] == (
        f"initial: class {CLASSES[silent]!r}: its positives have no gradient, so it learns nothing from them"
    )


def test_planted_a_loss_that_returns_nan_is_caught(targets, counts):
    class ReturnsNan(CellLoss):
        def _values(self, x, y, known):
            return torch.log(torch.sigmoid(x) - 0.5) * y

    found = _failed(_gradients(ReturnsNan(3), targets, counts))

    assert found["finite loss"] == "initial: the loss is nan; expected a finite number"


def test_planted_a_gradient_that_is_nan_is_caught_with_its_class(targets, counts):
    class PullsNan(CellLoss):
        def _values(self, x, y, known):
            return torch.where(y == 1, torch.sqrt(x - x), bce_cells(x, y))  # value 0, slope 0·∞

    found = _failed(_gradients(PullsNan(3), targets, counts))

    assert found["finite loss"].startswith(
        "initial: class 'mass': the gradient of its positives is nan; expected finite"
    )


def test_planted_weights_computed_from_other_rows_are_caught(targets, counts):
    plan = WeightedSampling()(counts)
    others = (generator(6, "faults").random((N, 3)) < [0.3, 0.1, 0.02]).astype(np.float32)
    weights = plan.sample_weights(others)

    found = _failed({"weights": weights_audit(weights, plan, targets)})

    assert found["draw weights"].endswith(
        "are not those that the treatment gives them: they were computed from other images"
    )


def test_planted_weights_of_other_rows_show_in_what_is_drawn(targets, counts):
    plan = WeightedSampling()(counts)
    drawn = _draw(plan.sample_weights(targets[::-1]))

    found = _failed(_sampling(targets, plan.sample_weights(targets), drawn))

    assert {"class distribution", "draws follow weights"} <= set(found)
    assert "class 'hernia' is positive in" in found["class distribution"]


def test_planted_counts_of_other_rows_are_caught_as_stated_and_inside_the_plan(targets, counts):
    others = (generator(7, "faults").random((N, 3)) < [0.1, 0.2, 0.05]).astype(np.float32)
    wrong = ClassCounts.from_targets(CLASSES, others)
    treatment = IntraWeighted()

    found = _failed(
        {
            "counts": counts_audit(wrong, targets),
            "rebuilt": rebuilt_audit(treatment, treatment(wrong), targets, CLASSES),
        }
    )

    assert found["class counts"].startswith(
        f"class 'mass': the treatment was built for {wrong.positives[0]} positives and {wrong.negatives[0]} negatives; "
        f"the training images have {counts.positives[0]} and {counts.negatives[0]}; class 'nodule'"
    )
    assert found["built anew"].startswith("the loss is not the one that the treatment gives for the training images")
    sound = {
        "counts": counts_audit(counts, targets),
        "rebuilt": rebuilt_audit(treatment, treatment(counts), targets, CLASSES),
    }
    assert _failed(sound) == {}


@dataclass(frozen=True)
class Epoch:
    """An epoch of training by hand: what is drawn, mixed with what, and what goes wrong."""

    images: np.ndarray
    partners: np.ndarray | None = None
    labels_of: np.ndarray | None = None  # images whose labels are fed instead
    evaluates_from: int = 10**9
    nan_at: int = -1

    def record(self, targets, weights, partner_weights=None, loss=None):
        watch = EpochWatch(CLASSES, GROUPS, N)
        loss = WeightedBCE(3) if loss is None else loss
        for number, start in enumerate(range(0, N, BATCH)):
            self._step(watch, number, slice(start, start + BATCH), targets, loss)
        record = {
            **watch.summary(),
            "sampling": sampling_audit(targets, weights, draws_of(watch.draws), CLASSES),
            "labels": labels_audit(targets, watch.labelled, watch.fed, watch.marked, CLASSES),
        }
        if partner_weights is not None:
            drawn = draws_of(watch.partner_draws)
            record["partner"] = sampling_audit(targets, partner_weights, drawn, CLASSES)
            record["mixing"] = mixing_audit(weights, partner_weights, record["pairs"], record["own_pairs"])
        return record

    def _step(self, watch, number, part, targets, loss):
        share = float(generator(number, "share").beta(0.4, 1)) if self.partners is not None else 0.0
        larger = self.images if share <= 0.5 else self.partners
        fed = torch.from_numpy(targets[(larger if self.labels_of is None else self.labels_of)[part]])
        logits = torch.tensor(np.random.default_rng(number).normal(size=(BATCH, 3)), requires_grad=True)
        value = loss(logits, fed)
        value.backward()
        mixed = {} if self.partners is None else {"partners": self.partners[part], "share": share}
        watch.step(
            rows=self.images[part],
            targets=fed,
            logits=logits,
            gradient=logits.grad,
            loss=torch.nan if number == self.nan_at else value,
            training=number < self.evaluates_from,
            **mixed,
        )


@pytest.fixture(scope="module")
def permutation():
    return generator(8, "epoch").permutation(N)


@pytest.fixture(scope="module")
def partner_weights(targets, counts):
    return WeightedSampling()(counts).sample_weights(targets)


def test_sound_an_epoch_passes(targets, permutation):
    assert _failed({"epochs": [Epoch(permutation).record(targets, None)]}) == {}


def test_sound_an_epoch_of_a_mix_up_passes(targets, permutation, partner_weights):
    record = Epoch(permutation, _draw(partner_weights)).record(targets, None, partner_weights)

    assert _failed({"epochs": [record]}) == {}
    assert record["mixing"]["own"] < 10


def test_planted_a_mix_up_with_itself_is_caught(targets, permutation, partner_weights):
    record = Epoch(permutation, permutation).record(targets, None, partner_weights)

    found = _failed({"epochs": [record]})

    assert found["mix-up"] == (
        "epoch 0: 2000 of 2000 images were mixed with themselves; expected by chance about 1: "
        "the mix-up does nothing there"
    )
    assert found["partners: class distribution"].startswith("epoch 0: partners: class ")


def test_planted_a_mix_up_of_a_batch_with_itself_in_another_order_is_caught(targets, permutation, partner_weights):
    partners = np.concatenate([np.roll(permutation[start : start + BATCH], 1) for start in range(0, N, BATCH)])
    record = Epoch(permutation, partners).record(targets, None, partner_weights)

    found = _failed({"epochs": [record]})

    assert record["mixing"]["own"] == 0
    assert "class 'hernia' is positive in" in found["partners: class distribution"]
    assert "partners: different images" in found


def test_planted_a_network_left_in_evaluation_mode_is_caught(targets, permutation):
    epochs = [Epoch(permutation, evaluates_from=steps).record(targets, None) for steps in (40, 0, 0)]

    found = _failed({"epochs": epochs})

    assert found == {
        "training mode": (
            "epoch 1: the network was in evaluation mode in 40 of 40 steps: dropout was off and the statistics of its "
            "normalisation stood still (at 2 of 3 times looked at)"
        )
    }


def test_planted_a_single_step_in_evaluation_mode_is_caught(targets, permutation):
    found = _failed({"epochs": [Epoch(permutation, evaluates_from=39).record(targets, None)]})

    assert found["training mode"].startswith("epoch 0: the network was in evaluation mode in 1 of 40 steps")


def test_planted_labels_of_other_images_are_caught(targets, permutation):
    found = _failed({"epochs": [Epoch(permutation, labels_of=np.sort(permutation)[::-1]).record(targets, None)]})

    assert found["labels"].endswith("positives that the loss was fed belong to other images")


def test_planted_labels_missing_from_the_loss_are_caught(targets, permutation):
    record = Epoch(permutation, labels_of=np.zeros(N, dtype=int)).record(targets, None)

    found = _failed({"epochs": [record]})

    assert found["labels"].startswith("epoch 0: class 'mass': the loss was fed")


def test_planted_a_loss_that_became_nan_in_one_step_is_caught(targets, permutation):
    found = _failed({"epochs": [Epoch(permutation, nan_at=7).record(targets, None)]})

    assert found == {"finite training": "epoch 0: the mean loss is nan; expected a finite number"}


def test_planted_positives_ignored_during_training_are_caught(targets, permutation):
    record = Epoch(permutation).record(targets, None, loss=IgnoresPositives(2))

    found = _failed({"epochs": [record]})

    fed = int(np.sum(targets[:, 2] == 1))
    assert found["positives in training"] == (
        f"epoch 0: class 'hernia': {fed} positives were fed to the loss and none had a gradient"
    )


def test_planted_a_sampler_that_training_does_not_use_is_caught(targets, permutation, partner_weights):
    found = _failed({"epochs": [Epoch(permutation).record(targets, partner_weights)]})

    assert "class 'hernia' is positive in" in found["class distribution"]
    assert "draws follow weights" in found
