import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS
from tailscope.treatments.batch_audit import batch_audit
from tailscope.treatments.cross_entropy import IntraWeighted, WeightedBCE

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))
INDEPENDENT = {"batch_size": False, "order": False, "processes": False}


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(5)
    return torch.tensor(rng.normal(size=(130, 3))), torch.tensor(rng.random((130, 3)) < [0.4, 0.2, 0.04]).double()


@pytest.mark.parametrize("name", ["control", "inter_weighted", "focal", "class_balanced_focal", "asymmetric"])
def test_a_loss_over_cells_does_not_depend_on_the_batch(name, batch):
    found = batch_audit(TREATMENTS.build(name)(COUNTS).loss, *batch, 32)

    assert found["depends"] == INDEPENDENT
    assert found["sentence"] == "the loss does not depend on batch size, order or the number of processes"


@pytest.mark.parametrize("variant", ["corrected", "as_published"])
def test_uncertainty_does_not_depend_on_the_batch(variant, batch):
    found = batch_audit(TREATMENTS.build("uncertainty", variant=variant)(COUNTS).loss, *batch, 32)

    assert found["depends"] == INDEPENDENT


def test_the_published_intra_class_weight_is_found_to_be_a_function_of_the_batch(batch):
    found = batch_audit(IntraWeighted(variant="as_published")(COUNTS).loss, *batch, 32)

    assert found["depends"] == {"batch_size": True, "order": True, "processes": True}
    assert found["sentence"].startswith(
        "the loss is a function of the batch: its mean gradient changes with batches of 8"
    )
    assert "on two processes instead of one by" in found["sentence"]


def test_the_changes_are_those_of_the_published_weight_written_out(batch):
    logits, labels = (part.numpy()[:128] for part in batch)

    def gradient(size):
        found = np.zeros((128, 3))
        for start in range(0, 128, size):
            x, y = logits[start : start + size], labels[start : start + size]
            positives = y.sum(axis=0)
            weight = np.where((positives > 0) & (positives < size), (size - positives) / (positives + 1e-6), 1.5)
            found[start : start + size] = np.where(y == 1, weight, 1) * (1 / (1 + np.exp(-x)) - y) / (128 * 3)
        return found

    found = batch_audit(IntraWeighted(variant="as_published")(COUNTS).loss, *batch, 32)["change"]

    for name, size in (("batch_size", 8), ("processes", 16)):
        wanted = np.linalg.norm(gradient(size) - gradient(32)) / np.linalg.norm(gradient(32))
        assert found[name] == pytest.approx(wanted, rel=1e-9)


def test_masking_plays_no_part(batch):
    logits, labels = batch
    few, many = labels.clone(), labels.clone()
    few[::10, 0], many[:, 2] = torch.nan, torch.nan

    for masked in (few, many):
        assert batch_audit(WeightedBCE(3), logits, masked, 32)["depends"] == INDEPENDENT


def test_images_of_one_label_stay_such_where_some_labels_are_unknown():
    labels = torch.eye(3).double()[torch.arange(120) % 3]
    labels[:6] = torch.nan
    loss = TREATMENTS.build("control", form="softmax")(COUNTS).loss

    assert batch_audit(loss, torch.zeros(120, 3), labels, 32)["depends"] == INDEPENDENT


class _NanInOneSidedBatches(WeightedBCE):
    def _values(self, x, y, known):
        return super()._values(x, y, known) * torch.where((y.sum(dim=0) > 0).all(), 1.0, torch.nan)


def test_a_loss_that_is_not_finite_in_some_batches_depends_on_them(batch):
    assert batch_audit(_NanInOneSidedBatches(3), *batch, 32)["depends"]["batch_size"]


@pytest.mark.parametrize(("images", "used"), [(130, 32), (40, 20), (9, 4), (5, 2)])
def test_two_batches_are_made_of_few_images(batch, images, used):
    found = batch_audit(WeightedBCE(3), batch[0][:images], batch[1][:images], 32)

    assert found["batch_size"] == used
    assert found["depends"] == INDEPENDENT


def test_too_few_images_say_nothing(batch):
    found = batch_audit(IntraWeighted(variant="as_published")(COUNTS).loss, batch[0][:3], batch[1][:3], 32)

    assert found["sentence"] == "too few images to tell"
    assert found["depends"] == INDEPENDENT
