import pickle

import numpy as np
import pytest
import torch

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments.auc_margin import AucMargin, AucMarginLoss
from tailscope.treatments.parts import Part

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _sides(logits, targets, c):
    scores = 1 / (1 + np.exp(-logits[:, c]))
    return scores[targets[:, c] == 1], scores[targets[:, c] == 0]


def _slow_loss(logits, targets, a, b, dual, margin):
    """Yuan et al., the saddle function with conditional means, class by class."""
    values = []
    for c in range(logits.shape[1]):
        pos, neg = _sides(logits, targets, c)
        if len(pos) and len(neg):
            spread = np.mean((pos - a[c]) ** 2) + np.mean((neg - b[c]) ** 2)
            values.append(spread + 2 * dual[c] * (margin + neg.mean() - pos.mean()) - dual[c] ** 2)
    return np.mean(values)


def _loss_at(a, b, dual, margin=1.0):
    loss = AucMarginLoss(len(a), margin).double()
    with torch.no_grad():
        for parameter, value in zip((loss.positive_mean, loss.negative_mean, loss.dual), (a, b, dual), strict=True):
            parameter.copy_(torch.tensor(np.asarray(value)))
    return loss


def _saddle_point(logits, targets, margin):
    means = np.array([[side.mean() for side in _sides(logits, targets, c)] for c in range(logits.shape[1])])
    a, b = means.T
    return a, b, np.maximum(margin + b - a, 0)


@pytest.fixture
def batch():
    rng = np.random.default_rng(25)
    targets = (rng.random((20, 3)) < 0.4).astype(float)
    targets[rng.random((20, 3)) < 0.2] = np.nan
    return rng.normal(scale=2, size=(20, 3)), targets


def _tensors(batch):
    return torch.tensor(batch[0], requires_grad=True), torch.tensor(batch[1])


@pytest.mark.parametrize("margin", [1.0, 0.6])
def test_the_loss_agrees_with_the_definition_of_yuan(batch, margin):
    a, b, dual = [0.7, 0.2, 0.9], [0.1, 0.4, 0.3], [0.5, 0.0, 1.2]

    value = _loss_at(a, b, dual, margin)(*_tensors(batch))

    assert value.item() == pytest.approx(_slow_loss(*batch, a, b, dual, margin), rel=1e-12)


@pytest.mark.parametrize("margin", [1.0, 0.1])
def test_at_the_saddle_point_the_value_is_both_variances_and_the_squared_shortfall(batch, margin):
    a, b, dual = _saddle_point(*batch, margin)
    variances = [sum(side.var() for side in _sides(*batch, c)) for c in range(3)]

    value = _loss_at(a, b, dual, margin)(*_tensors(batch))

    assert value.item() == pytest.approx(np.mean(np.array(variances) + np.maximum(margin + b - a, 0) ** 2), rel=1e-12)


def test_at_the_saddle_point_the_value_is_the_mean_over_all_pairs_of_the_squared_loss(batch):
    pairs = []
    for c in range(3):
        pos, neg = _sides(*batch, c)
        pairs.append(np.mean([(1 - (p - n)) ** 2 for p in pos for n in neg]))

    value = _loss_at(*_saddle_point(*batch, 1.0))(*_tensors(batch))

    assert value.item() == pytest.approx(np.mean(pairs), rel=1e-12)


@pytest.mark.parametrize("margin", [1.0, 0.01])
def test_descent_of_all_parameters_reaches_the_saddle_point(batch, margin):
    logits, targets = (part.detach() for part in _tensors(batch))
    loss = AucMarginLoss(3, margin).double()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.3)

    for _ in range(400):
        optimizer.zero_grad()
        loss(logits, targets).backward()
        optimizer.step()

    found = [parameter.detach().numpy() for parameter in (loss.positive_mean, loss.negative_mean, loss.dual)]
    np.testing.assert_allclose(found, _saddle_point(*batch, margin), atol=1e-9)


def test_the_gradient_of_the_logits_agrees_with_finite_differences(batch):
    logits, targets = _tensors(batch)

    assert torch.autograd.gradcheck(lambda x: _loss_at([0.7] * 3, [0.1] * 3, [0.5] * 3)(x, targets), logits)


def test_a_and_b_have_the_gradient_of_the_value_and_alpha_its_opposite(batch):
    start, step = np.array([[0.7, 0.2, 0.9], [0.1, 0.4, 0.3], [0.5, 0.1, 1.2]]), 1e-6
    loss = _loss_at(*start)

    loss(*_tensors(batch)).backward()

    for row, (name, sign) in enumerate((("positive_mean", 1), ("negative_mean", 1), ("dual", -1))):
        for c in range(3):
            shift = np.zeros((3, 3))
            shift[row, c] = step
            slope = (_slow_loss(*batch, *(start + shift), 1.0) - _slow_loss(*batch, *(start - shift), 1.0)) / (2 * step)
            assert getattr(loss, name).grad[c].item() == pytest.approx(sign * slope, abs=1e-8)


def test_a_negative_alpha_is_projected_in_training_and_read_as_0_everywhere(batch):
    training, evaluating = (_loss_at([0.5] * 3, [0.5] * 3, [-0.3] * 3) for _ in range(2))
    evaluating.eval()
    wanted = _slow_loss(*batch, [0.5] * 3, [0.5] * 3, [0.0] * 3, 1.0)

    values = [loss(*_tensors(batch)).item() for loss in (training, evaluating)]

    assert values == pytest.approx([wanted, wanted], rel=1e-12)
    assert training.dual.tolist() == [0.0] * 3
    assert evaluating.dual.tolist() == [-0.3] * 3


def test_two_passes_before_one_backward_pass_are_allowed(batch):
    loss = _loss_at([0.5] * 3, [0.5] * 3, [0.3] * 3)
    logits, targets = _tensors(batch)

    (loss(logits, targets) + loss(-logits, targets)).backward()

    assert torch.isfinite(logits.grad).all()


def test_a_class_with_one_side_in_the_batch_is_left_out(batch):
    logits, targets = _tensors(batch)
    one_sided = targets.detach().clone()
    one_sided[:, 1] = torch.where(one_sided[:, 1] == 0, torch.nan, one_sided[:, 1])
    loss = _loss_at([0.7] * 3, [0.1] * 3, [0.5] * 3)
    without = _loss_at([0.7] * 2, [0.1] * 2, [0.5] * 2)

    value = loss(logits, one_sided)
    value.backward()

    torch.testing.assert_close(value, without(logits[:, [0, 2]], targets[:, [0, 2]]))
    assert (logits.grad[:, 1] == 0).all()
    assert all(parameter.grad[1] == 0 for parameter in loss.parameters())


@pytest.mark.parametrize("target", [0.0, 1.0, torch.nan])
def test_a_batch_of_one_side_has_loss_and_gradient_0(target):
    loss = _loss_at([0.7] * 3, [0.1] * 3, [0.5] * 3)
    logits = torch.randn(4, 3, requires_grad=True)

    value = loss(logits, torch.full((4, 3), target))
    value.backward()

    assert value.item() == 0
    assert all((tensor.grad == 0).all() for tensor in (logits, *loss.parameters()))


@pytest.mark.parametrize("side", [-100.0, 100.0])
def test_value_and_gradient_are_finite_at_extreme_logits_in_float32(side):
    targets = torch.tensor([[1.0, 0.0, torch.nan], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    logits = torch.where(targets == 1, side, -side).requires_grad_()

    value = AucMargin(sampler=None)(COUNTS).loss(logits, targets)
    value.backward()

    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_the_limit_case_holds_at_the_start_in_value_and_gradient(batch):
    logits, targets = _tensors(batch)

    value = AucMargin(**AucMargin.limit.settings)(COUNTS).loss(logits, targets)
    wanted = AucMargin.limit.value(logits, targets)

    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(torch.autograd.grad(value, logits), torch.autograd.grad(wanted, logits))
    slow = [sum(np.mean(side**2) for side in _sides(*batch, c)) for c in range(3)]
    assert wanted.item() == pytest.approx(np.mean(slow), rel=1e-12)


def test_permuting_the_classes_with_their_parameters_permutes_the_gradient(batch):
    order = [2, 0, 1]
    values = np.array([[0.7, 0.2, 0.9], [0.1, 0.4, 0.3], [0.5, 0.1, 1.2]])

    def gradient(columns):
        logits, targets = _tensors([part[:, columns] for part in batch])
        _loss_at(*values[:, columns])(logits, targets).backward()
        return logits.grad

    torch.testing.assert_close(gradient(order), gradient([0, 1, 2])[:, order])


def test_the_plan_takes_the_draw_weights_of_its_sampler():
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float)
    counts = ClassCounts.from_targets(COUNTS.names, targets)
    sampler = {"name": "weighted_sampling", "reduce": "mean"}

    plan = AucMargin(sampler=sampler)(counts)

    assert np.array_equal(plan.sample_weights(targets), Part.of(sampler, "x").build()(counts).sample_weights(targets))


def test_the_plan_states_what_it_needs_and_its_own_learning_rate():
    plan = AucMargin(margin=0.8, parameter_lr=0.02)(COUNTS)

    assert plan.requirements == ("loss_parameters", "both_sides_in_batch", "reach_of_dual_variable")
    assert (plan.parameter_lr, plan.loss.margin) == (0.02, 0.8)
    assert plan.sample_weights is not None


def test_without_a_sampler_the_images_come_as_they_are():
    assert AucMargin(sampler=None)(COUNTS).sample_weights is None


def test_treatment_and_plan_can_be_pickled():
    treatment = pickle.loads(pickle.dumps(AucMargin()))

    assert treatment == AucMargin()
    assert pickle.loads(pickle.dumps(treatment(COUNTS))).loss.margin == 1.0


def test_a_sampler_that_draws_no_images_is_refused():
    with pytest.raises(InputError, match="`sampler`: focal draws no images; choose a sampler"):
        AucMargin(sampler="focal")(COUNTS)


def test_a_sampler_that_does_not_exist_is_refused_at_once():
    with pytest.raises(InputError, match="`sampler`: no treatment is named 'wheel'"):
        AucMargin(sampler="wheel")


def test_a_class_without_negatives_is_refused():
    with pytest.raises(DataError, match="class 'hernia' has 9 positive and 0 negative"):
        AucMargin(sampler=None)(ClassCounts(("hernia",), (9,), (0,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": 1.5}, r"`margin` must be a number in \[0, 1\]; got 1.5"),
        ({"parameter_lr": -1}, r"`parameter_lr` must be a number in \[0, inf\); got -1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AucMargin(**settings)
