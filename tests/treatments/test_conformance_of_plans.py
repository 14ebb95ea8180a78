"""What the plan of every registered treatment must keep: draws, stages, settings, and the limit case it states."""

import importlib
import itertools
import pickle

import numpy as np
import pytest
import torch
import yaml
from treatment_cases import (
    COUNTS,
    MANDATORY,
    NAMES,
    PUBLISHED,
    SOFTMAX,
    SOFTMAX_LIMIT,
    WEIGHTS_IGNORE_LABELS,
    all_but,
    batch_for,
    draws_of,
    every_name,
    every_treatment,
    losses_of,
    permuted,
    plan_of,
    targets_with_gaps,
    value_and_gradient,
)

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS, Control

# -- draws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TREATMENTS.names() if "sampling" in name])
def test_a_sampler_draws(name):
    assert plan_of(name, MANDATORY.get(name, {})).sample_weights is not None


@every_treatment
def test_draw_weights_are_one_finite_number_of_0_or_more_per_image(name, settings):
    plan = plan_of(name, settings)
    targets = targets_with_gaps(plan)
    for weights in draws_of(plan, targets):
        assert (weights.shape, weights.dtype) == ((len(targets),), np.float64)
        assert np.isfinite(weights).all()
        assert weights.min() >= 0
        assert weights.sum() > 0


@all_but(*WEIGHTS_IGNORE_LABELS)
def test_an_image_is_left_out_only_where_the_plan_says_so(name, settings):
    plan = plan_of(name, settings)
    if not any(stage.leaves_out for _, stage in plan.stages):
        assert all((weights > 0).all() for weights in draws_of(plan, targets_with_gaps(plan)))


@every_treatment
def test_draw_weights_are_the_same_whenever_they_are_computed(name, settings):
    plan, other = plan_of(name, settings), plan_of(name, settings)
    targets = targets_with_gaps(plan)

    for first, again, elsewhere in zip(*(draws_of(own, targets) for own in (plan, plan, other)), strict=True):
        assert first.tolist() == again.tolist() == elsewhere.tolist()


@all_but(*WEIGHTS_IGNORE_LABELS)
def test_draw_weights_belong_to_the_image_wherever_it_stands(name, settings):
    plan = plan_of(name, settings)
    targets = targets_with_gaps(plan)
    order = np.random.default_rng(6).permutation(len(targets))

    for moved, weights in zip(draws_of(plan, targets, order), draws_of(plan, targets), strict=True):
        np.testing.assert_allclose(moved, weights[order], rtol=1e-12)


@all_but(*WEIGHTS_IGNORE_LABELS)
def test_draw_weights_do_not_depend_on_the_order_of_the_classes(name, settings):
    plan, order = plan_of(name, settings), [2, 0, 1]
    targets = targets_with_gaps(plan)
    moved = draws_of(plan_of(name, settings, permuted(COUNTS, order)), targets[:, order])

    for own, weights in zip(moved, draws_of(plan, targets), strict=True):
        np.testing.assert_allclose(own, weights, rtol=1e-12)


# -- plans -------------------------------------------------------------------------------------------------------------


@every_treatment
def test_treatment_and_plan_can_be_pickled(name, settings):
    treatment = TREATMENTS.build(name, **settings)
    plan = treatment(COUNTS)
    logits, targets = batch_for(plan)

    copied = pickle.loads(pickle.dumps(plan))

    assert pickle.loads(pickle.dumps(treatment)) == treatment
    for (start, stage), (wanted_start, wanted) in zip(copied.stages, plan.stages, strict=True):
        assert start == wanted_start
        assert torch.equal(stage.loss(logits, targets), wanted.loss(logits, targets))
        assert (stage.requirements, stage.attributes, stage.trains) == (
            wanted.requirements,
            wanted.attributes,
            wanted.trains,
        )
    for weights, wanted in zip(draws_of(copied, targets.numpy()), draws_of(plan, targets.numpy()), strict=True):
        assert np.array_equal(weights, wanted)


@every_treatment
def test_stages_start_within_the_training_one_after_the_other(name, settings):
    starts = [start for start, _ in plan_of(name, settings).stages]

    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] < 1


@every_treatment
def test_a_loss_that_learns_says_so(name, settings):
    for _, stage in plan_of(name, settings).stages:
        assert bool(list(stage.loss.parameters())) == ("loss_parameters" in stage.requirements)


@every_treatment
def test_predictions_stay_finite_and_keep_their_shape(name, settings):
    logits = torch.tensor(list(itertools.product([-100.0, 0.0, 100.0], repeat=3)))
    for _, stage in plan_of(name, settings).stages:
        adjusted = logits if stage.adjust_logits is None else stage.adjust_logits(logits)

        assert adjusted.shape == logits.shape
        assert torch.isfinite(adjusted).all()


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reading():
    """Loads every other room, so it is imported for the one test that needs it."""
    return importlib.import_module("tailscope.experiment.reading")


@every_treatment
def test_settings_pass_through_a_configuration_and_its_yaml(name, settings, reading):
    treatment = TREATMENTS.build(name, **settings)
    stated = {key: getattr(treatment, key) for key in TREATMENTS.settings(name)}
    plain = {key: value for key, value in stated.items() if isinstance(value, str | int | float | bool | None)}
    arm = {"label": "arm", "name": name, **plain, **settings}
    content = {"data": {"source": "phantom"}, "model": {"source": "timm", "name": "resnet18"}}
    config = reading.validate_config({**content, "treatments": ["control", arm]})

    again = reading.validate_config(yaml.safe_load(yaml.safe_dump(reading.dump_config(config))))

    assert again == config
    assert again.treatment("arm").build() == treatment


@every_treatment
@pytest.mark.parametrize(("positives", "negatives"), [(0, 9), (9, 0)])
def test_a_class_without_both_sides_is_refused_by_name_where_the_counts_have_a_say(
    name, settings, positives, negatives
):
    if settings == PUBLISHED:
        return  # computes what the published code computes
    usual = plan_of(name, settings)
    try:
        plan = plan_of(name, settings, ClassCounts(NAMES, (40, 20, positives), (60, 80, negatives)))
    except DataError as error:
        assert str(error).startswith(f"class 'hernia' has {positives} positive and {negatives} negative")  # noqa: PT017
        return
    logits, targets = batch_for(plan)
    for loss, wanted in zip(losses_of(plan), losses_of(usual), strict=True):
        assert torch.equal(loss(logits, targets), wanted(logits, targets))
    for weights, wanted in zip(draws_of(plan, targets.numpy()), draws_of(usual, targets.numpy()), strict=True):
        assert np.array_equal(weights, wanted)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("intra_weighted", {}), ("inter_weighted", {}), ("focal", {"alpha": "per_class"})),
        *(("class_balanced_focal", {}), ("weighted_sampling", {}), ("pos_weighted", {}), ("effective_number", {})),
        *(("logit_adjusted", {}), ("logit_adjusted", SOFTMAX), ("ldam", {}), ("ldam", SOFTMAX)),
    ],
)
def test_these_use_the_counts(name, settings):
    with pytest.raises(DataError, match="class 'hernia' has 0 positive and 9 negative"):
        plan_of(name, settings, ClassCounts(NAMES, (40, 20, 0), (60, 80, 9)))


@every_name
def test_the_main_parameter_is_a_setting_with_three_values_and_its_default_among_them(name):
    kind = TREATMENTS.find(name)
    if not hasattr(kind, "main"):
        return
    default = getattr(kind(**MANDATORY.get(name, {})), kind.main.name)

    assert kind.main.name in TREATMENTS.settings(name)
    assert len(kind.main.values) == 3
    assert list(kind.main.values) == sorted(set(kind.main.values))
    assert default in kind.main.values
    for value in kind.main.values:
        plan_of(name, MANDATORY.get(name, {}) | {kind.main.name: value})


# -- the limit case ----------------------------------------------------------------------------------------------------


def _limit_batch(limit, single):
    """Counts, logits and targets that fulfil the conditions of a limit case; written without its own check."""
    rng = np.random.default_rng(7)
    names = ("mass", "hernia") if limit.balanced else NAMES
    counts = ((9, 9), (9, 9)) if limit.balanced else ((7, 3, 5), (2, 8, 40))
    columns = len(names)
    logits = np.concatenate([rng.normal(scale=3, size=(30, columns)), np.tile([[100.0], [-100.0]], (1, columns))])
    if single:
        targets = np.eye(columns)[rng.integers(0, columns, 32)]
    else:
        targets = (rng.random((32, columns)) < 0.4).astype(float)
    return ClassCounts(names, *counts), torch.tensor(logits), torch.tensor(targets)


def _limit(name):
    return getattr(TREATMENTS.find(name), "limit", None)


def _check_limit(name, settings, control, single):
    limit = _limit(name)
    counts, logits, targets = _limit_batch(limit, single)
    reference = limit.value
    if reference is None:
        factor = limit.factor * (len(counts.names) if limit.per_class else 1)
        plain = control(counts).loss

        def reference(x, y):
            return factor * plain(x, y)

    wanted, wanted_gradient = value_and_gradient(reference, logits, targets)
    for loss in losses_of(plan_of(name, MANDATORY.get(name, {}) | dict(limit.settings) | settings, counts)):
        value, gradient = value_and_gradient(loss, logits, targets)
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-11, atol=1e-15)


@every_name
def test_every_treatment_of_the_room_states_its_limit_case(name):
    assert _limit(name) or not TREATMENTS.find(name).__module__.startswith("tailscope.")


@pytest.mark.parametrize("name", [name for name in TREATMENTS.names() if _limit(name)])
def test_the_limit_case_holds_in_value_and_gradient(name):
    _check_limit(name, {}, Control(), _limit(name).single_label)


@pytest.mark.parametrize(
    "name", [name for name in TREATMENTS.names() if _limit(name) and "form" in TREATMENTS.settings(name)]
)
def test_the_limit_case_of_the_softmax_form_is_control_with_softmax(name):
    _check_limit(name, SOFTMAX | SOFTMAX_LIMIT.get(name, {}), Control(form="softmax"), single=True)


@pytest.mark.parametrize("name", [name for name in TREATMENTS.names() if _limit(name) and _limit(name).uniform_draws])
def test_in_the_limit_case_of_a_sampler_every_image_is_drawn_alike(name):
    settings = MANDATORY.get(name, {}) | dict(_limit(name).settings)
    targets = np.eye(3)[np.arange(24) // 2 % 3]  # every class in every view, four times

    for weights in draws_of(plan_of(name, settings, ClassCounts(NAMES, (8, 8, 8), (16, 16, 16))), targets):
        np.testing.assert_allclose(weights, weights[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings", "factor"),
    [
        ("focal", {"gamma": 0, "alpha": "per_class"}, 0.5),
        ("class_balanced_focal", {"gamma": 0, "beta": 0}, 0.5),
        ("asymmetric", {"gamma_pos": 0, "gamma_neg": 0, "margin": 0, "detach_weight": True}, 1),
        ("effective_number", {"beta": 0.99}, 1),
        ("logit_adjusted", {"tau": 2}, 1),
        ("pos_weighted", {"power": 1}, 1),
    ],
)
def test_with_balanced_counts_these_are_a_multiple_of_control_as_well(name, settings, factor):
    counts = ClassCounts(NAMES, (7, 7, 7), (7, 7, 7))
    logits, targets = batch_for(Control()(counts))

    value, gradient = value_and_gradient(plan_of(name, settings, counts).loss, logits, targets)
    wanted, wanted_gradient = value_and_gradient(Control()(counts).loss, logits, targets)

    torch.testing.assert_close(value, factor * wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, factor * wanted_gradient, rtol=1e-12, atol=1e-15)


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
        ("control", {"form": "logistic"}, "`form` must be one of 'sigmoid', 'softmax'; got 'logistic'"),
        ("pos_weighted", {"power": 3}, r"`power` must be a number in \[0, 2\]; got 3"),
        ("pos_weighted", {"cap": 0.5}, r"`cap` must be a number in \[1, inf\); got 0.5"),
        ("effective_number", {"beta": 1.0}, r"`beta` must be a number in \[0, 1\); got 1.0"),
        ("effective_number", {"form": "soft"}, "`form` must be one of 'sigmoid', 'softmax'; got 'soft'"),
        ("logit_adjusted", {"tau": -1}, r"`tau` must be a number in \[0, inf\); got -1"),
        ("logit_adjusted", {"form": "soft"}, "`form` must be one of 'sigmoid', 'softmax'; got 'soft'"),
        ("ldam", {"max_margin": -0.5}, r"`max_margin` must be a number in \[0, inf\); got -0.5"),
        ("ldam", {"scale": 0}, r"`scale` must be a number in \[1, 100\]; got 0"),
        ("ldam", {"form": "soft"}, "`form` must be one of 'sigmoid', 'softmax'; got 'soft'"),
        ("label_smoothing", {"epsilon": 1}, r"`epsilon` must be a number in \[0, 1\); got 1"),
        ("label_smoothing", {"form": "soft"}, "`form` must be one of 'sigmoid', 'softmax'; got 'soft'"),
        ("generalized_cross_entropy", {"q": 1.5}, r"`q` must be a number in \[0, 1\]; got 1.5"),
        ("generalized_cross_entropy", {"form": "soft"}, "`form` must be one of 'sigmoid', 'softmax'; got 'soft'"),
        ("asymmetric", {"epsilon": 1}, r"`epsilon` must be a number in \[0, 1\); got 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        TREATMENTS.build(name, **settings)
