"""Sound treatments on hundreds of small data sets: chance alone must not fail an audit."""

import numpy as np
import pytest
import torch

from tailscope.core.grouping import class_groups
from tailscope.core.records import ClassCounts
from tailscope.core.seeding import generator
from tailscope.treatments import TREATMENTS
from tailscope.treatments.fed_audit import mixing_audit
from tailscope.treatments.gradient_audit import gradient_audit
from tailscope.treatments.inputs_audit import counts_audit, rebuilt_audit, weights_audit
from tailscope.treatments.sampling_audit import sampling_audit
from tailscope.treatments.verdicts import judge

CLASSES = ("mass", "nodule", "hernia", "pneumonia")
SAMPLERS = [
    ("control", {}),
    ("weighted_sampling", {"reduce": "max"}),
    ("weighted_sampling", {"reduce": "mean"}),
    ("weighted_sampling", {"reduce": "sum"}),
    ("class_aware_sampling", {}),
    ("repeat_factor_sampling", {}),
    ("random_undersampling", {}),
    ("group_balanced_sampling", {"column": "view"}),
]
NO_LOSSES = {"combined", "warm_up"} | {name for name, _ in SAMPLERS} - {"control"}
LOSSES = sorted(set(TREATMENTS.names()) - NO_LOSSES)
SETS = 300
SETS_OF_LOSSES = 40  # each; a loss meets chance only in which images are shown

pytestmark = pytest.mark.slow


def _labels(number):
    """40 to 400 images, rare classes of one image or two among them, classes that come together."""
    rng = generator(number, "small data sets")
    images = int(rng.integers(40, 401))
    labels = (rng.random((images, 4)) < [0.4, 0.15, 0.02, 0.05]).astype(float)
    together = rng.random(images) < 0.3
    labels[together, 1] = labels[together, 0]
    labels[:4] = np.eye(4)  # each class has a positive and a negative
    labels[4:][rng.random((images - 4, 4)) < 0.03] = np.nan
    return labels[rng.permutation(images)], rng


def _draws(weights, images, rng, draws):
    if weights is None:
        return np.concatenate([rng.permutation(images) for _ in range(2)])[:draws]
    return rng.choice(images, size=draws, p=weights / weights.sum())


@pytest.mark.parametrize(("name", "settings"), SAMPLERS)
def test_no_sound_sampler_fails(name, settings):
    failed = []
    for number in range(SETS):
        labels, rng = _labels(number)
        plan = TREATMENTS.build(name, **settings)(ClassCounts.from_targets(CLASSES, labels))
        columns = {column: rng.choice(["AP", "PA"], len(labels), p=[0.2, 0.8]) for column in plan.attributes}
        weights = plan.draw_weights(labels, columns)
        drawn = _draws(weights, len(labels), rng, int(rng.integers(len(labels) // 2, 2 * len(labels))))
        audit = {
            "sampling": sampling_audit(labels, weights, drawn, CLASSES, [drawn[0::2], drawn[1::2]], plan.leaves_out),
            "weights": weights_audit(weights, plan, labels, columns),
        }
        failed += [check for check in judge(audit)["checks"] if check["verdict"] == "failed"]

    assert failed == []


@pytest.mark.parametrize("name", LOSSES)
def test_no_sound_loss_fails(name):
    failed = []
    for number in range(SETS_OF_LOSSES):
        labels, rng = _labels(number)
        counts = ClassCounts.from_targets(CLASSES, labels)
        treatment = TREATMENTS.build(name)
        groups = class_groups(counts.prevalences)
        offsets = rng.normal(scale=0.7, size=4)  # as the biases of a fresh network
        logits = torch.tensor(rng.normal(scale=0.5, size=labels.shape) + offsets)
        some = rng.permutation(len(labels))[: int(rng.integers(20, len(labels) + 1))]
        shown = logits[some], torch.tensor(labels[some])
        audit = {
            "counts": counts_audit(counts, labels),
            "rebuilt": rebuilt_audit(treatment, treatment(counts), labels, CLASSES),
            "gradients": {
                f"stage {start}": gradient_audit(plan.loss, *shown, CLASSES, groups, counts.prevalences)
                for start, plan in treatment(counts).stages
            },
        }
        failed += [check for check in judge(audit)["checks"] if check["verdict"] == "failed"]

    assert failed == []


def test_no_sound_mix_up_fails():
    failed = []
    for number in range(SETS):
        labels, rng = _labels(number)
        plan = TREATMENTS.build("balanced_mixup")(ClassCounts.from_targets(CLASSES, labels))
        partners = plan.mixing.partner_weights(labels)
        images, others = rng.permutation(len(labels)), _draws(partners, len(labels), rng, len(labels))
        audit = {
            "partner": sampling_audit(labels, partners, others, CLASSES),
            "partner_weights": weights_audit(partners, plan, labels, partner=True),
            "mixing": mixing_audit(None, partners, len(labels), int(np.sum(images == others))),
        }
        failed += [check for check in judge(audit)["checks"] if check["verdict"] == "failed"]

    assert failed == []
