"""What every registered treatment must keep, in every variant."""

import pickle

import numpy as np
import pytest
import torch

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS, Control

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))
CASES = [
    (name, {"variant": variant} if variant else {})
    for name in TREATMENTS.names()
    for variant in (("corrected", "as_published") if "variant" in TREATMENTS.settings(name) else (None,))
] + [
    ("focal", {"alpha": "per_class"}),
    ("focal", {"gamma": 0.5}),
    ("asymmetric", {"margin": 0.0}),
    ("asymmetric", {"gamma_pos": 0.5, "gamma_neg": 0.5}),
    ("asymmetric", {"detach_weight": True}),
    ("weighted_sampling", {"reduce": "mean", "clip_quantile": 0.5}),
    ("weighted_sampling", {"reduce": "sum"}),
]
IDS = ["-".join([name, *map(str, settings.values())]) for name, settings in CASES]
USE_COUNTS = [
    ("intra_weighted", {}),
    ("inter_weighted", {}),
    ("focal", {"alpha": "per_class"}),
    ("class_balanced_focal", {}),
    ("weighted_sampling", {}),
]

every_treatment = pytest.mark.parametrize(("name", "settings"), CASES, ids=IDS)


def all_but(settings, name="asymmetric"):
    kept = [case for case in CASES if case != (name, settings)]
    assert len(kept) == len(CASES) - 1
    return pytest.mark.parametrize(("name", "settings"), kept)


def _plan(name, settings, counts=COUNTS):
    return TREATMENTS.build(name, **settings)(counts)


def _batch(dtype=torch.float64, size=24):
    rng = np.random.default_rng(3)
    logits = torch.tensor(rng.normal(scale=2.0, size=(size, 3)), dtype=dtype)
    targets = torch.tensor(rng.random((size, 3)) < [0.5, 0.4, 0.3]).to(dtype)
    return logits.requires_grad_(), targets


def _masked(targets):
    hidden = torch.tensor(np.random.default_rng(4).random(tuple(targets.shape)) < 0.3)
    return torch.where(hidden, torch.nan, targets), hidden


def test_the_eight_treatments_of_the_paper_are_registered():
    wanted = {"control", "intra_weighted", "inter_weighted", "focal", "class_balanced_focal", "asymmetric"}
    assert wanted | {"uncertainty", "weighted_sampling"} <= set(TREATMENTS.names())


@every_treatment
def test_the_loss_is_a_finite_scalar_that_pulls_at_every_class(name, settings):
    logits, targets = _batch()

    value = _plan(name, settings).loss(logits, targets)
    value.backward()

    assert value.shape == ()
    assert torch.isfinite(value)
    assert (logits.grad.abs().sum(dim=0) > 0).all()


@every_treatment
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [-100.0, -50.0, 50.0, 100.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_extreme_logits(name, settings, dtype, logit, target):
    logits = torch.full((2, 3), logit, dtype=dtype, requires_grad=True)
    targets = torch.full((2, 3), target, dtype=dtype)

    value = _plan(name, settings).loss(logits, targets)
    value.backward()

    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@all_but({"variant": "as_published"}, name="asymmetric")  # its clamp cuts the gradient: a defect of the original
def test_a_positive_keeps_its_gradient_at_logit_minus_100(name, settings):
    plan = _plan(name, settings)
    logits = torch.full((1, 3), -100.0, requires_grad=True)

    plan.loss(logits, torch.ones(1, 3)).backward()

    assert (logits.grad < -1e-4).all()


@all_but({"detach_weight": True})  # switched off on purpose: see test_asymmetric
def test_the_gradient_is_the_derivative_of_the_value(name, settings):
    logits, targets = _batch(size=6)
    loss = _plan(name, settings).loss.double()

    assert torch.autograd.gradcheck(lambda x: loss(x, _masked(targets)[0]), logits)


@every_treatment
def test_an_image_without_any_known_label_equals_an_image_left_out(name, settings):
    logits, targets = _batch()
    masked = targets.clone()
    masked[::3] = torch.nan
    kept = torch.arange(len(targets)) % 3 != 0
    loss = _plan(name, settings).loss

    torch.testing.assert_close(loss(logits, masked), loss(logits[kept], targets[kept]))


@every_treatment
def test_the_loss_is_the_mean_of_the_cells_whose_target_is_known(name, settings):
    logits, targets = _batch()
    masked, hidden = _masked(targets)
    loss = _plan(name, settings).loss

    cells = loss.cells(logits, masked)

    assert torch.equal(cells.isnan(), hidden)
    by_class = [cells[~hidden[:, c], c].mean() for c in range(3)]
    wanted = sum(by_class) if loss.reduction == "sum_of_class_means" else cells[~hidden].mean()
    torch.testing.assert_close(loss(logits, masked), wanted)


@all_but({"variant": "as_published"}, name="intra_weighted")  # its weight is a ratio within the batch
def test_masking_leaves_the_other_cells_as_they_are(name, settings):
    logits, targets = _batch()
    masked, hidden = _masked(targets)
    loss = _plan(name, settings).loss

    torch.testing.assert_close(loss.cells(logits, masked)[~hidden], loss.cells(logits, targets)[~hidden])


@every_treatment
@pytest.mark.parametrize("logit", [float("nan"), float("inf"), -float("inf")])
def test_a_masked_cell_has_gradient_zero_whatever_its_logit(name, settings, logit):
    logits, targets = _batch()
    masked, hidden = _masked(targets)
    logits = torch.where(hidden, logit, logits.detach()).requires_grad_()

    value = _plan(name, settings).loss(logits, masked)
    value.backward()

    assert torch.isfinite(value)
    assert (logits.grad[hidden] == 0).all()
    assert torch.isfinite(logits.grad).all()


@every_treatment
def test_a_batch_without_any_known_label_has_loss_and_gradient_zero(name, settings):
    logits, targets = _batch()
    loss = _plan(name, settings).loss

    value = loss(logits, torch.full_like(targets, torch.nan))
    value.backward()

    assert value.item() == 0
    assert (logits.grad == 0).all()
    assert all((parameter.grad == 0).all() for parameter in loss.parameters())


@every_treatment
@pytest.mark.parametrize("target", [-1.0, 0.5, 2.0])
def test_a_target_that_is_neither_0_nor_1_makes_the_loss_nan(name, settings, target):
    logits, targets = _batch()
    targets[3, 1] = target

    assert _plan(name, settings).loss(logits, targets).isnan()


@every_treatment
def test_the_order_of_the_images_does_not_matter(name, settings):
    logits, targets = _batch()
    masked, _ = _masked(targets)
    order = torch.tensor(np.random.default_rng(5).permutation(len(targets)))
    loss = _plan(name, settings).loss

    torch.testing.assert_close(loss(logits[order], masked[order]), loss(logits, masked), rtol=1e-12, atol=0)


@every_treatment
def test_float32_agrees_with_float64(name, settings):
    loss = _plan(name, settings).loss
    exact, exact_targets = _batch(torch.float64)
    logits, targets = _batch(torch.float32)

    value = loss(logits, targets)
    wanted = loss(exact, exact_targets)
    (gradient,) = torch.autograd.grad(value, logits)
    (wanted_gradient,) = torch.autograd.grad(wanted, exact)

    assert (value.dtype, wanted.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient.double(), wanted_gradient, rtol=1e-4, atol=1e-7)


@every_treatment
def test_autocast_and_half_precision_logits_give_the_float32_loss(name, settings):
    loss = _plan(name, settings).loss
    logits, targets = _batch(torch.float32)
    half = logits.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, targets)

    assert value.dtype == torch.float32
    assert torch.equal(value, loss(half.float(), targets))


@every_treatment
def test_treatment_and_plan_can_be_pickled(name, settings):
    treatment = TREATMENTS.build(name, **settings)
    logits, targets = _batch()

    plan = pickle.loads(pickle.dumps(treatment(COUNTS)))

    assert pickle.loads(pickle.dumps(treatment)) == treatment
    assert torch.equal(plan.loss(logits, targets), treatment(COUNTS).loss(logits, targets))
    if plan.sample_weights is not None:
        assert np.array_equal(plan.sample_weights(targets.numpy()), treatment(COUNTS).sample_weights(targets.numpy()))


@every_treatment
def test_draw_weights_are_one_finite_weight_of_0_or_more_per_image(name, settings):
    plan = _plan(name, settings)
    targets = _masked(_batch()[1])[0].numpy()
    if plan.sample_weights is None:
        assert name != "weighted_sampling"
        return

    weights = plan.sample_weights(targets)

    assert (weights.shape, weights.dtype) == ((len(targets),), np.float64)
    assert np.isfinite(weights).all()
    assert weights.min() >= 0
    assert weights.sum() > 0


@every_treatment
def test_a_loss_that_learns_says_so(name, settings):
    plan = _plan(name, settings)

    assert bool(list(plan.loss.parameters())) == ("loss_parameters" in plan.requirements)


@every_treatment
def test_logits_of_another_width_are_refused(name, settings):
    with pytest.raises(InputError, match=r"must both be \(B, 3\), one column per class; got \(4, 1\) and \(4, 1\)"):
        _plan(name, settings).loss(torch.zeros(4, 1), torch.zeros(4, 1))


@pytest.mark.parametrize(("name", "settings"), USE_COUNTS)
@pytest.mark.parametrize(("positives", "negatives"), [(0, 9), (9, 0)])
def test_a_class_without_both_sides_is_refused_by_name(name, settings, positives, negatives):
    counts = ClassCounts(("mass", "hernia"), (4, positives), (5, negatives))

    with pytest.raises(DataError, match=f"class 'hernia' has {positives} positive and {negatives} negative"):
        _plan(name, settings, counts)


@pytest.mark.parametrize(
    ("name", "settings", "factor", "counts"),
    [
        ("intra_weighted", {}, 1, ((7, 3), (7, 3))),
        ("inter_weighted", {}, 1, ((7, 7), (3, 30))),
        ("focal", {"gamma": 0, "alpha": 0.5}, 0.5, ((7, 3), (2, 8))),
        ("focal", {"gamma": 0, "alpha": "per_class"}, 0.5, ((7, 3), (7, 3))),
        ("class_balanced_focal", {"gamma": 0}, 0.5, ((7, 3), (7, 3))),
        ("asymmetric", {"gamma_pos": 0, "gamma_neg": 0, "margin": 0}, 1, ((7, 3), (2, 8))),
        ("asymmetric", {"gamma_pos": 0, "gamma_neg": 0, "margin": 0, "detach_weight": True}, 1, ((7, 3), (2, 8))),
        ("uncertainty", {}, 2, ((7, 3), (2, 8))),
        ("weighted_sampling", {}, 1, ((7, 3), (2, 8))),
    ],
)
def test_the_limit_case_is_a_multiple_of_the_control_in_value_and_gradient(name, settings, factor, counts):
    class_counts = ClassCounts(("mass", "hernia"), *counts)
    rng = np.random.default_rng(6)
    logits = torch.tensor(np.append(rng.normal(scale=3, size=(18, 2)), [[100, -100], [-100, 100]], axis=0))
    targets = torch.tensor(rng.random((20, 2)) < 0.4).double()

    def value_and_gradient(loss):
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, targets)
        return value, torch.autograd.grad(value, leaf)[0]

    value, gradient = value_and_gradient(_plan(name, settings, class_counts).loss)
    control, control_gradient = value_and_gradient(Control()(class_counts).loss)

    torch.testing.assert_close(value, factor * control, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, factor * control_gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("focal", {"gamma": -1}, r"`gamma` must be a number in \[0, inf\); got -1"),
        ("focal", {"gamma": float("inf")}, r"`gamma` must be a number in \[0, inf\); got inf"),
        ("focal", {"gamma": float("nan")}, r"`gamma` must be a number in \[0, inf\); got nan"),
        ("focal", {"gamma": True}, r"`gamma` must be a number in \[0, inf\); got True"),
        ("focal", {"alpha": 1.5}, r"`alpha` must be a number in \[0, 1\]; got 1.5"),
        ("focal", {"alpha": "per class"}, r"`alpha` must be one of 'per_class', .*; got 'per class'"),
        ("class_balanced_focal", {"beta": 1}, r"`beta` must be a number in \[0, 1\); got 1"),
        ("asymmetric", {"margin": 1}, r"`margin` must be a number in \[0, 1\); got 1"),
        ("asymmetric", {"gamma_neg": -2}, r"`gamma_neg` must be a number in \[0, inf\); got -2"),
        ("intra_weighted", {"cap": 0.5}, r"`cap` must be a number in \[1, inf\); got 0.5"),
        ("intra_weighted", {"cap": 5, "variant": "as_published"}, "`cap` has no effect with variant 'as_published'"),
        ("weighted_sampling", {"reduce": "median"}, "`reduce` must be one of 'max', 'mean', 'sum'; got 'median'"),
        ("weighted_sampling", {"clip_quantile": 2}, r"`clip_quantile` must be a number in \[0, 1\]; got 2"),
        ("weighted_sampling", {"reduce": "sum", "variant": "as_published"}, "`reduce` has no effect with variant"),
        ("uncertainty", {"variant": "publish"}, "`variant` must be one of 'corrected', 'as_published'; got 'publish'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        TREATMENTS.build(name, **settings)
