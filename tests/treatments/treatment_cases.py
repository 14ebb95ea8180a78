"""The cases of the conformance suites: every registered treatment, its forms and variants, and batches for them."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import torch

from tailscope import treatments as room
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS, CellLoss

for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")

NAMES = ("mass", "nodule", "hernia")
COUNTS = ClassCounts(NAMES, (40, 20, 4), (60, 80, 96))
PUBLISHED, SOFTMAX = {"variant": "as_published"}, {"form": "softmax"}

MANDATORY = {"group_balanced_sampling": {"column": "view"}, "warm_up": {"treatment": "intra_weighted"}}
FURTHER = [
    ("focal", {"alpha": "per_class"}),
    ("focal", {"gamma": 0.5}),
    ("asymmetric", {"margin": 0.0}),
    ("asymmetric", {"gamma_pos": 0.5, "gamma_neg": 0.5}),
    ("asymmetric", {"detach_weight": True}),
    ("asymmetric", {"gamma_pos": 0.5, "gamma_neg": 0.5, "form": "softmax"}),
    ("weighted_sampling", {"reduce": "mean", "clip_quantile": 0.5}),
    ("weighted_sampling", {"reduce": "sum"}),
    ("pos_weighted", {"power": 1.0, "cap": 5.0}),
    ("ldam", {"scale": 30.0}),
    ("ldam", {"scale": 30.0, "form": "softmax"}),
    ("generalized_cross_entropy", {"q": 0}),
    ("generalized_cross_entropy", {"q": 1}),
    ("auc_margin", {"sampler": None}),
    ("two_way", {"way": "sample"}),
    ("two_way", {"way": "class"}),
    ("class_aware_sampling", {"without_positive": "left_out"}),
    ("drw", {"treatment": "focal"}),
    ("drw", {"treatment": "uncertainty"}),
    ("warm_up", {"treatment": "weighted_sampling"}),
    ("warm_up", {"treatment": "uncertainty", "steps": 2}),
    ("warm_up", {"treatment": "two_way"}),
    ("decoupled", {"method": "tau_normalized"}),
    ("decoupled", {"method": "learnt_scale"}),
    ("balanced_mixup", {"treatment": {"name": "focal", "gamma": 1.0}}),
    ("combined", {"loss": "focal", "sampler": "repeat_factor_sampling", "schedule": {"name": "drw", "share": 0.5}}),
    ("combined", {"loss": "asymmetric", "schedule": "balanced_mixup"}),
    ("temperature", {"treatment": "focal"}),
]
CASES = [
    (name, MANDATORY.get(name, {}) | choice)
    for name in TREATMENTS.names()
    for choice in ({}, PUBLISHED, SOFTMAX)
    if set(choice) <= set(TREATMENTS.settings(name))
] + FURTHER

# Whose loss, at some stage, compares cells with each other or blends losses, so that no cell has a value of its own.
WITHOUT_CELLS = {"auc_margin", "two_way", "warm_up"}
# Whose cells depend on the other labels of the image, or of the batch.
CELLS_DEPEND_ON_OTHERS = [("intra_weighted", PUBLISHED), ("distribution_balanced", {})]
# A positive loses its gradient far off: by the clamp of the published code, by definition (p^q, σ′) in the others.
FORGETS_FAR_POSITIVES = [
    ("asymmetric", PUBLISHED),
    ("generalized_cross_entropy", {}),
    ("generalized_cross_entropy", SOFTMAX),
    ("generalized_cross_entropy", {"q": 1}),
    ("auc_margin", {}),
    ("auc_margin", {"sampler": None}),
]
GRADIENT_IS_NO_DERIVATIVE = [("asymmetric", {"detach_weight": True})]  # switched off on purpose: see test_asymmetric
WEIGHTS_IGNORE_LABELS = [("weighted_sampling", PUBLISHED)]  # a weight per class, handed out as if per image
# The limit of the soft-max form, where it needs more than that of the sigmoid form.
SOFTMAX_LIMIT = {"asymmetric": {"epsilon": 0}}


def over(cases):
    ids = ["-".join([name, *(f"{key}={value}" for key, value in settings.items())]) for name, settings in cases]
    return pytest.mark.parametrize(("name", "settings"), cases, ids=ids)


def all_but(*exceptions):
    kept = [case for case in CASES if case not in exceptions]
    assert len(kept) == len(CASES) - len(exceptions)
    return over(kept)


every_treatment = over(CASES)
every_name = pytest.mark.parametrize("name", TREATMENTS.names())


def plan_of(name, settings, counts=COUNTS):
    return TREATMENTS.build(name, **settings)(counts)


def permuted(counts, order):
    return ClassCounts(*([side[c] for c in order] for side in (counts.names, counts.positives, counts.negatives)))


def losses_of(plan):
    return [stage.loss for _, stage in plan.stages]


def wants_one_label(plan):
    return any("single_label" in stage.requirements for _, stage in plan.stages)


def batch_for(plan, dtype=torch.float64, size=24):
    """Logits and targets; one label per image where the plan asks for it."""
    rng = np.random.default_rng(3)
    logits = torch.tensor(rng.normal(scale=2.0, size=(size, 3)), dtype=dtype)
    several = rng.random((size, 3)) < [0.5, 0.4, 0.3]
    targets = np.eye(3)[rng.integers(0, 3, size)] if wants_one_label(plan) else several
    return logits.requires_grad_(), torch.tensor(targets).to(dtype)


def partly_masked(targets):
    hidden = torch.tensor(np.random.default_rng(4).random(tuple(targets.shape)) < 0.3)
    return torch.where(hidden, torch.nan, targets), hidden


def value_and_gradient(loss, logits, targets):
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, targets)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def draws_of(plan, targets, order=slice(None)):
    """The draw weights of every stream of every stage, for images in this order."""
    columns = {"view": np.where(np.arange(len(targets)) % 2 == 0, "PA", "AP")}
    streams = []
    for _, stage in plan.stages:
        streams.append((stage.sample_weights, stage.attributes))
        if stage.mixing is not None:
            streams.append((stage.mixing.partner_weights, stage.mixing.attributes))
    weights = []
    for sampler, names in streams:
        if sampler is not None:
            further = ({name: columns[name][order] for name in names},) if names else ()
            weights.append(sampler(targets[order], *further))
    return weights


def targets_with_gaps(plan):
    return partly_masked(batch_for(plan)[1])[0].numpy()


def has_cells(plan):
    return all(isinstance(loss, CellLoss) for loss in losses_of(plan))


CASES_WITH_CELLS = [case for case in CASES if has_cells(plan_of(*case))]
