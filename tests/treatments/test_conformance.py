"""What the loss of every registered treatment must keep, in every form and variant, at every stage of its plan."""

import itertools

import numpy as np
import pytest
import torch
from treatment_cases import (
    CASES_WITH_CELLS,
    CELLS_DEPEND_ON_OTHERS,
    COUNTS,
    FORGETS_FAR_POSITIVES,
    GRADIENT_IS_NO_DERIVATIVE,
    MANDATORY,
    PUBLISHED,
    WITHOUT_CELLS,
    all_but,
    batch_for,
    every_treatment,
    has_cells,
    losses_of,
    over,
    partly_masked,
    permuted,
    plan_of,
    value_and_gradient,
    wants_one_label,
)

from tailscope.core.errors import InputError
from tailscope.treatments import TREATMENTS


def test_the_treatments_that_are_promised_are_registered():
    of_the_paper = {"control", "intra_weighted", "inter_weighted", "focal", "class_balanced_focal", "asymmetric"}
    of_the_paper |= {"uncertainty", "weighted_sampling"}
    samplers = {"group_balanced_sampling", "repeat_factor_sampling", "class_aware_sampling", "random_undersampling"}
    losses = {"pos_weighted", "effective_number", "distribution_balanced", "ldam", "logit_adjusted", "auc_margin"}
    losses |= {"label_smoothing", "two_way", "generalized_cross_entropy"}
    schedules = {"drw", "decoupled", "balanced_mixup", "warm_up", "combined"}
    after_training = {"prior_shift", "temperature", "moved_thresholds", "ensemble"}

    assert of_the_paper | samplers | losses | schedules | after_training <= set(TREATMENTS.names())


def test_only_the_named_treatments_have_losses_without_a_value_per_cell():
    of_sigmoids = [(name, MANDATORY.get(name, {})) for name in TREATMENTS.names()]

    found = {name for name, settings in of_sigmoids if not has_cells(plan_of(name, settings))}

    assert found == WITHOUT_CELLS


# -- value and gradient ------------------------------------------------------------------------------------------------


@every_treatment
def test_the_loss_is_a_finite_scalar_that_pulls_at_every_class(name, settings):
    plan = plan_of(name, settings)
    for loss in losses_of(plan):
        value, gradient = value_and_gradient(loss, *batch_for(plan))

        assert value.shape == ()
        assert torch.isfinite(value)
        assert (gradient.abs().sum(dim=0) > 0).all()


def _extreme_batches(single):
    """Every combination of extreme logits with every allowed row of targets; and batches in which all cells agree."""
    rows = np.eye(3) if single else np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    logits = np.array(list(itertools.product([-100.0, -50.0, 0.0, 50.0, 100.0], repeat=3)))
    yield np.repeat(logits, len(rows), axis=0), np.tile(rows, (len(logits), 1))
    for logit, row in itertools.product([-100.0, -50.0, 50.0, 100.0], rows):
        yield np.full((2, 3), logit), np.tile(row, (2, 1))


@every_treatment
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_value_and_gradient_are_finite_for_logits_within_100(name, settings, dtype, autocast):
    plan = plan_of(name, settings)
    for loss, (logits, targets) in itertools.product(losses_of(plan), _extreme_batches(wants_one_label(plan))):
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            value, gradient = value_and_gradient(
                loss, torch.tensor(logits, dtype=dtype), torch.tensor(targets, dtype=torch.float32)
            )

        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


@all_but(*FORGETS_FAR_POSITIVES)
def test_a_positive_keeps_its_gradient_at_logit_minus_100(name, settings):
    plan = plan_of(name, settings)
    # Both sides in every image and every class; with one label per image, the others are as far off as it is.
    targets = torch.eye(3) if wants_one_label(plan) else 1 - torch.eye(3)
    logits = torch.where((targets == 0) & wants_one_label(plan), 100.0, -100.0)
    for loss in losses_of(plan):
        _, gradient = value_and_gradient(loss, logits, targets)

        assert (gradient[targets == 1] < -1e-4).all()


@all_but(*GRADIENT_IS_NO_DERIVATIVE)
def test_the_gradient_is_the_derivative_of_the_value(name, settings):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan, size=6)
    for loss in losses_of(plan):
        exact = loss.double()
        assert torch.autograd.gradcheck(lambda x, exact=exact: exact(x, partly_masked(targets)[0]), logits)


@every_treatment
def test_float32_agrees_with_float64(name, settings):
    plan = plan_of(name, settings)
    for loss in losses_of(plan):
        value, gradient = value_and_gradient(loss, *batch_for(plan, torch.float32))
        wanted, wanted_gradient = value_and_gradient(loss, *batch_for(plan, torch.float64))

        assert (value.dtype, wanted.dtype) == (torch.float32, torch.float64)
        torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(gradient.double(), wanted_gradient, rtol=1e-4, atol=1e-7)


@every_treatment
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_and_half_precision_logits_give_the_float32_loss(name, settings, dtype):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan, torch.float32)
    half = logits.detach().to(dtype)
    for loss in losses_of(plan):
        wanted = loss(half.float(), targets)
        with torch.autocast("cpu", dtype=dtype):
            value = loss(half, targets)

        assert value.dtype == torch.float32
        assert torch.equal(value, wanted)
        assert torch.equal(loss(half, targets), wanted)


# -- labels that are not known -----------------------------------------------------------------------------------------


@every_treatment
def test_an_image_without_any_known_label_equals_an_image_left_out(name, settings):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    masked = targets.clone()
    masked[::3] = torch.nan
    kept = torch.arange(len(targets)) % 3 != 0
    for loss in losses_of(plan):
        torch.testing.assert_close(loss(logits, masked), loss(logits[kept], targets[kept]))


@every_treatment
@pytest.mark.parametrize("logit", [float("nan"), float("inf"), -float("inf")])
def test_a_masked_cell_has_gradient_zero_whatever_its_logit(name, settings, logit):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    masked, hidden = partly_masked(targets)
    for loss in losses_of(plan):
        value, gradient = value_and_gradient(loss, torch.where(hidden, logit, logits), masked)

        assert torch.isfinite(value)
        assert (gradient[hidden] == 0).all()
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any()


@every_treatment
def test_a_batch_without_any_known_label_has_loss_and_gradient_zero(name, settings):
    plan = plan_of(name, settings)
    for loss in losses_of(plan):
        logits, targets = batch_for(plan)
        value = loss(logits, torch.full_like(targets, torch.nan))
        value.backward()

        assert value.item() == 0
        assert (logits.grad == 0).all()
        assert all(p.grad is None or (p.grad == 0).all() for p in loss.parameters())


@every_treatment
@pytest.mark.parametrize("target", [-1.0, 0.5, 2.0])
def test_a_target_that_is_neither_0_nor_1_makes_the_loss_nan(name, settings, target):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    targets[3, 1] = target

    assert all(loss(logits, targets).isnan() for loss in losses_of(plan))


@over(CASES_WITH_CELLS)
def test_a_loss_with_cells_is_the_mean_of_those_whose_target_is_known(name, settings):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    masked, hidden = partly_masked(targets)
    for loss in losses_of(plan):
        cells = loss.cells(logits, masked)

        assert torch.equal(cells.isnan(), hidden)
        by_class = [cells[~hidden[:, c], c].mean() for c in range(3)]
        wanted = sum(by_class) if loss.reduction == "sum_of_class_means" else cells[~hidden].mean()
        torch.testing.assert_close(loss(logits, masked), wanted)


@over([case for case in CASES_WITH_CELLS if case not in CELLS_DEPEND_ON_OTHERS])
def test_masking_leaves_the_other_cells_as_they_are(name, settings):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    masked, hidden = partly_masked(targets)
    for loss in losses_of(plan):
        torch.testing.assert_close(loss.cells(logits, masked)[~hidden], loss.cells(logits, targets)[~hidden])


@every_treatment
def test_logits_of_another_width_are_refused(name, settings):
    for loss in losses_of(plan_of(name, settings)):
        with pytest.raises(InputError, match=r"must both be \(B, 3\), one column per class; got \(4, 1\) and \(4, 1\)"):
            loss(torch.zeros(4, 1), torch.zeros(4, 1))


# -- order -------------------------------------------------------------------------------------------------------------


@every_treatment
def test_the_order_of_the_images_permutes_the_gradient_and_nothing_else(name, settings):
    plan = plan_of(name, settings)
    logits, targets = batch_for(plan)
    masked, _ = partly_masked(targets)
    order = torch.tensor(np.random.default_rng(5).permutation(len(targets)))
    for loss in losses_of(plan):
        value, gradient = value_and_gradient(loss, logits, masked)
        moved, moved_gradient = value_and_gradient(loss, logits[order], masked[order])

        torch.testing.assert_close(moved, value, rtol=1e-12, atol=0)
        torch.testing.assert_close(moved_gradient, gradient[order], rtol=1e-12, atol=1e-16)


@every_treatment
@pytest.mark.parametrize("order", [[1, 2, 0], [2, 1, 0]], ids=str)
def test_the_order_of_the_classes_permutes_the_gradient_and_nothing_else(name, settings, order):
    plan, moved_plan = plan_of(name, settings), plan_of(name, settings, permuted(COUNTS, order))
    logits, targets = batch_for(plan)
    masked, _ = partly_masked(targets)
    rtol = 1e-6 if settings == PUBLISHED else 1e-12  # published weights are summed in float32
    for loss, moved_loss in zip(losses_of(plan), losses_of(moved_plan), strict=True):
        value, gradient = value_and_gradient(loss, logits, masked)
        moved, moved_gradient = value_and_gradient(moved_loss, logits[:, order], masked[:, order])

        torch.testing.assert_close(moved, value, rtol=rtol, atol=0)
        torch.testing.assert_close(moved_gradient, gradient[:, order], rtol=rtol, atol=1e-16)
