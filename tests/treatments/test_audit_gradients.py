import json
import math

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.treatments.cross_entropy import Control, InterWeighted, IntraWeighted
from tailscope.treatments.focal import Focal
from tailscope.treatments.gradient_audit import gradient_audit
from tailscope.treatments.uncertainty import Uncertainty

CLASSES = ("mass", "nodule", "hernia")
GROUPS = ("head", "head", "tail")
COUNTS = ClassCounts(CLASSES, (40, 20, 4), (60, 80, 96))


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(12)
    return torch.tensor(rng.normal(size=(50, 3))), torch.tensor(rng.random((50, 3)) < 0.4).double()


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_pulls_shares_and_norms_are_those_of_the_gradient_written_out(batch):
    logits, labels = (part.numpy() for part in batch)
    weights = np.array([1.5, 4.0, 24.0])  # n⁻/n⁺

    audit = gradient_audit(IntraWeighted()(COUNTS).loss, *batch, CLASSES, GROUPS)

    control = (_sigmoid(logits) - labels) / 150
    gradient = np.where(labels == 1, weights * control, control)
    for c, name in enumerate(CLASSES):
        found, positive = audit["classes"][name], labels[:, c] == 1
        assert found["positives"] == pytest.approx(np.abs(gradient[positive, c]).sum())
        assert found["negatives"] == pytest.approx(np.abs(gradient[~positive, c]).sum())
        assert found["positives_control"] == pytest.approx(np.abs(control[positive, c]).sum())
        assert found["positives_to_control"] == pytest.approx(weights[c])
        assert found["negatives_to_control"] == pytest.approx(1)
        assert found["positives_at_zero"] == pytest.approx(weights[c])
        assert found["share"] == pytest.approx(np.abs(gradient[:, c]).sum() / np.abs(gradient).sum())
    assert audit["gradient_norm"] == pytest.approx(np.sqrt((gradient**2).sum()))
    assert audit["gradient_norm_ratio"] == pytest.approx(np.sqrt((gradient**2).sum() / (control**2).sum()))
    assert audit["positives_share"] == pytest.approx(np.abs(gradient[labels == 1]).sum() / np.abs(gradient).sum())
    assert audit["positives_share"] + audit["negatives_share"] == pytest.approx(1)


def test_groups_get_the_shares_of_their_classes(batch):
    audit = gradient_audit(IntraWeighted()(COUNTS).loss, *batch, CLASSES, GROUPS)

    head, tail = audit["groups"]["head"], audit["groups"]["tail"]
    own = {name: pulls["share"] for name, pulls in audit["classes"].items()}
    assert (head["classes"], tail["classes"]) == (2, 1)
    assert head["share"] == pytest.approx(own["mass"] + own["nodule"])
    assert tail["share"] == pytest.approx(own["hernia"])
    assert tail["share"] > 2 * tail["share_control"]
    positives = {name: pulls["positives"] for name, pulls in audit["classes"].items()}
    assert tail["positives_share"] == pytest.approx(positives["hernia"] / sum(positives.values()))
    assert "medium" not in audit["groups"]


def test_control_has_ratio_1_throughout(batch):
    audit = gradient_audit(Control()(COUNTS).loss, *batch, CLASSES, GROUPS)

    assert audit["loss_ratio"] == audit["gradient_norm_ratio"] == 1.0
    assert {pulls["positives_to_control"] for pulls in audit["classes"].values()} == {1.0}
    assert audit["positives_share"] == audit["positives_share_control"]


def test_unknown_labels_pull_on_neither_side():
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, -2.0, 0.5]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0, torch.nan], [1.0, 1.0, 0.0]], dtype=torch.float64)

    audit = gradient_audit(Control()(COUNTS).loss, logits, labels, CLASSES)

    distance = (torch.sigmoid(logits) - labels).abs() / 5  # five cells are known
    assert audit["classes"]["mass"]["positives"] == pytest.approx(distance[:, 0].sum().item())
    assert audit["classes"]["mass"]["negatives"] == 0
    assert math.isnan(audit["classes"]["mass"]["negatives_to_control"])
    assert audit["classes"]["nodule"]["negatives"] == pytest.approx(distance[0, 1].item())
    assert math.isnan(audit["classes"]["hernia"]["positives_to_control"])
    assert math.isnan(audit["classes"]["hernia"]["positives_at_zero"])


def test_at_logit_0_focusing_weighs_all_classes_alike_though_not_on_the_network_s_logits(batch):
    _, labels = batch
    logits = torch.zeros(50, 3) + torch.tensor([-1.0, 0.0, 1.0])  # as the biases of a fresh network may lie

    classes = gradient_audit(Focal()(COUNTS).loss, logits, labels, CLASSES)["classes"]

    assert classes["hernia"]["positives_to_control"] < 0.2 * classes["mass"]["positives_to_control"]
    at_zero = [pulls["positives_at_zero"] for pulls in classes.values()]
    assert at_zero == pytest.approx([0.25 * (0.25 + 0.5 * math.log(2))] * 3)  # α·(1−p)²·(1 − 2·p·log p/(1−p)), p = ½


def test_at_logit_0_the_published_inter_class_weights_are_upside_down(batch):
    corrected, published = (
        gradient_audit(InterWeighted(variant=variant)(COUNTS).loss, *batch, CLASSES)["classes"]
        for variant in ("corrected", "as_published")
    )

    # √(n⁺/(n_max+Σn⁺)) to sum 1 for n⁺ 40, 20, 4
    wanted = np.sqrt([40, 20, 4]) / np.sqrt([40, 20, 4]).sum()
    found = [published[name]["positives_at_zero"] for name in CLASSES]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert corrected["hernia"]["positives_at_zero"] / corrected["mass"]["positives_at_zero"] == pytest.approx(10**0.5)


def test_prevalences_are_those_stated_or_else_those_of_the_images(batch):
    loss = Control()(COUNTS).loss

    stated = gradient_audit(loss, *batch, CLASSES, prevalences=COUNTS.prevalences)["classes"]
    counted = gradient_audit(loss, *batch, CLASSES)["classes"]

    assert [pulls["prevalence"] for pulls in stated.values()] == list(COUNTS.prevalences)
    assert counted["mass"]["prevalence"] == pytest.approx(batch[1][:, 0].mean().item())


def test_a_loss_with_parameters_of_its_own_is_said_to_learn(batch):
    assert gradient_audit(Uncertainty()(COUNTS).loss, *batch, CLASSES)["learns"]
    assert not gradient_audit(Control()(COUNTS).loss, *batch, CLASSES)["learns"]


def test_the_audit_leaves_loss_and_logits_as_they_were():
    loss = Uncertainty()(COUNTS).loss
    logits = torch.zeros(2, 3, requires_grad=True)
    with torch.no_grad():
        gradient_audit(loss, logits, torch.ones(2, 3), CLASSES)

    assert logits.grad is None
    assert loss.log_variance.grad is None
    assert loss.log_variance.dtype == torch.float32


def test_the_audit_is_json(batch):
    text = json.dumps(gradient_audit(Focal()(COUNTS).loss, batch[0], torch.ones(50, 3), CLASSES, GROUPS))

    assert "NaN" in text  # no negative images: the ratio to the control's is not defined
