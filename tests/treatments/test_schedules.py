import pickle

import numpy as np
import pytest
import torch

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS, BalancedMixup, Combined, Control, Decoupled, Drw, WarmUp

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _batch(size=24):
    rng = np.random.default_rng(3)
    logits = torch.tensor(rng.normal(scale=2.0, size=(size, 3)))
    targets = torch.tensor((rng.random((size, 3)) < [0.5, 0.4, 0.3]).astype(float))
    return logits, targets


def _bce(x, y):
    """Cell by cell, in float64, from the definition."""
    return np.logaddexp(0, -x) * y + np.logaddexp(0, x) * (1 - y)


# drw


def test_drw_is_the_plain_loss_before_its_share_and_weighs_classes_by_effective_numbers_after():
    x, y = _batch()
    plan = Drw(share=0.5, beta=0.99)(COUNTS)
    weights = np.array([(1 - 0.99) / (1 - 0.99**n) for n in COUNTS.positives])
    weights *= 3 / weights.sum()
    cells = _bce(x.numpy(), y.numpy())

    assert plan.at(0.49).loss(x, y).item() == pytest.approx(cells.mean())
    assert plan.at(0.5).loss(x, y).item() == pytest.approx((weights * cells).mean())


def test_drw_weighs_the_cells_of_any_loss_over_cells():
    x, y = _batch()
    focal = TREATMENTS.build("focal", gamma=1.0)(COUNTS).loss
    later = Drw(treatment={"name": "focal", "gamma": 1.0}, beta=0.9)(COUNTS).at(0.9).loss

    ratio = later.cells(x, y) / focal.cells(x, y)

    torch.testing.assert_close(ratio, later.class_weight.expand_as(ratio))


def test_drw_shares_the_learnt_parameters_of_its_loss_between_the_phases():
    plan = Drw(treatment="uncertainty")(COUNTS)

    assert next(plan.loss.parameters()) is next(plan.at(0.9).loss.parameters())


@pytest.mark.parametrize("loss", ["two_way", "auc_margin", {"name": "ldam", "form": "softmax"}])
def test_drw_refuses_a_loss_without_a_value_per_cell(loss):
    with pytest.raises(InputError, match=r"drw weighs the cells .* of a loss; \w+ has no value per cell: choose"):
        Drw(treatment=loss)(COUNTS)


# warm_up


@pytest.mark.parametrize("step", range(5))
def test_warm_up_blends_control_and_treatment_in_equal_steps(step):
    x, y = _batch()
    treatment = TREATMENTS.build("pos_weighted", power=1.0)(COUNTS).loss(x, y)
    control = Control()(COUNTS).loss(x, y)

    plan = WarmUp({"name": "pos_weighted", "power": 1.0}, share=0.5, steps=4)(COUNTS)

    share = min(step / 4, 1)
    wanted = (1 - share) * control + share * treatment
    torch.testing.assert_close(plan.at(0.5 * step / 4).loss(x, y), wanted)


def test_warm_up_moves_the_draws_from_uniform_to_the_samplers():
    targets = _batch()[1].numpy()
    drawn = TREATMENTS.build("weighted_sampling")(COUNTS).sample_weights(targets)
    plan = WarmUp("weighted_sampling", share=0.4, steps=2)(COUNTS)

    second, last = (plan.at(share).sample_weights(targets) for share in (0.2, 0.4))

    assert plan.sample_weights is None  # as control, which visits each image once
    assert second == pytest.approx((1 / 24 + drawn / drawn.sum()) / 2)
    assert last == pytest.approx(drawn)


def test_warm_up_hands_the_attributes_on_to_the_sampler():
    plan = WarmUp({"name": "group_balanced_sampling", "column": "view"}, share=0.4, steps=2)(COUNTS)
    targets = _batch()[1].numpy()
    views = np.array(["PA", "AP"] * 12)

    assert plan.at(0.2).draw_weights(targets, {"view": views}).shape == (24,)


def test_warm_up_refuses_a_soft_max():
    with pytest.raises(
        InputError, match=r"warm_up begins with binary cross-entropy, .* choose `form: sigmoid` and no scale"
    ):
        WarmUp({"name": "ldam", "form": "softmax"})(COUNTS)


# balanced_mixup


def test_the_partners_share_follows_a_beta_distribution():
    mixing = BalancedMixup(alpha=0.5)(COUNTS).mixing

    shares = [mixing.share(np.random.default_rng(seed)) for seed in range(4000)]

    assert np.mean(shares) == pytest.approx(1 / 3, abs=0.02)  # a/(a+b) of Beta(½, 1)
    assert np.mean(np.array(shares) < 0.25) == pytest.approx(0.5, abs=0.03)  # its distribution function is √λ


def test_partners_come_from_the_sampler_and_images_as_they_are():
    plan = BalancedMixup(sampler="repeat_factor_sampling")(COUNTS)
    targets = _batch()[1].numpy()

    wanted = TREATMENTS.build("repeat_factor_sampling")(COUNTS).sample_weights(targets)

    assert plan.sample_weights is None
    assert plan.mixing.partner_weights(targets) == pytest.approx(wanted)


def test_alpha_0_gives_the_partner_no_share():
    assert BalancedMixup(alpha=0)(COUNTS).mixing.share(np.random.default_rng(0)) == 0


@pytest.mark.parametrize("schedule", [BalancedMixup, Decoupled])
def test_a_schedule_whose_images_come_as_they_are_refuses_a_sampler(schedule):
    with pytest.raises(InputError, match=r"does not go with a sampler: its .* by definition; leave the sampler out"):
        schedule(treatment="weighted_sampling")(COUNTS)


@pytest.mark.parametrize("schedule", [BalancedMixup, Decoupled])
def test_a_sampler_that_draws_nothing_is_refused(schedule):
    with pytest.raises(InputError, match="`sampler`: focal draws no images; choose a sampler"):
        schedule(sampler="focal")(COUNTS)


# decoupled


def test_retraining_draws_balanced_images_for_a_fresh_head():
    plan = Decoupled(share=0.75)(COUNTS)
    targets = _batch()[1].numpy()

    assert (plan.at(0.7).trains, plan.at(0.7).sample_weights) == ("all", None)
    assert plan.at(0.75).trains == "fresh_head"
    wanted = TREATMENTS.build("class_aware_sampling")(COUNTS).sample_weights(targets)
    assert plan.at(0.75).sample_weights(targets) == pytest.approx(wanted)
    assert plan.same_ranking == ""


@pytest.mark.parametrize("method", ["tau_normalized", "learnt_scale"])
def test_scaling_the_head_changes_no_ranking_and_says_so(method):
    plan = Decoupled(treatment={"name": "focal", "gamma": 1.0}, method=method)(COUNTS)

    assert plan.phases is None
    assert plan.after_training.base == ("focal", {"gamma": 1.0})
    assert plan.same_ranking == "monotone per class after training: it ranks as focal (gamma=1.0) does"


def test_a_learnt_scale_refuses_a_sampler_that_reads_columns():
    with pytest.raises(InputError, match="a sampler that reads view is for `method: retrain`"):
        Decoupled(method="learnt_scale", sampler={"name": "group_balanced_sampling", "column": "view"})(COUNTS)


# schedules in general


@pytest.mark.parametrize("name", ["drw", "warm_up"])
def test_under_a_schedule_nothing_ranks_as_control_by_construction(name):
    assert TREATMENTS.build("logit_adjusted")(COUNTS).same_ranking
    plan = TREATMENTS.build(name, treatment="logit_adjusted")(COUNTS)
    combined = Combined(loss="logit_adjusted", schedule=name)(COUNTS)

    assert not any(stage.same_ranking for whole in (plan, combined) for _, stage in whole.stages)


@pytest.mark.parametrize("name", ["effective_number", "inter_weighted"])
def test_drw_refuses_a_loss_whose_classes_are_weighted_from_the_beginning(name):
    with pytest.raises(InputError, match=f"{name} does not go with drw: the classes are weighted from the beginning"):
        Drw(treatment=name)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("combined", "loss"),
        ("combined", "sampler"),
        ("temperature", "treatment"),
        ("drw", "treatment"),
        ("ensemble", "of"),
    ],
)
def test_an_ensemble_is_no_part_of_another_treatment(name, setting):
    with pytest.raises(InputError, match=f"`{setting}`: an ensemble trains nothing"):
        TREATMENTS.build(name, **{setting: "ensemble"})


def test_a_warm_up_asks_for_what_its_treatment_needs_only_where_that_holds_alone():
    plan = WarmUp("auc_margin", share=0.4, steps=2)(COUNTS)

    assert [stage.requirements for _, stage in plan.stages[:2]] == [("loss_parameters",)] * 2
    assert "both_sides_in_batch" in plan.at(0.5).requirements


@pytest.mark.parametrize("name", ["drw", "balanced_mixup", "decoupled", "warm_up", "temperature"])
def test_a_schedule_inside_a_schedule_is_refused(name):
    with pytest.raises(InputError, match="the given treatment has phases of its own"):
        TREATMENTS.build(name, treatment="drw")(COUNTS)


@pytest.mark.parametrize("name", ["drw", "balanced_mixup", "decoupled", "warm_up"])
def test_a_mistake_in_the_inner_treatment_names_where_it_stands(name):
    with pytest.raises(InputError, match="`treatment`: no treatment is named 'focla'; did you mean 'focal'"):
        TREATMENTS.build(name, treatment="focla")
    with pytest.raises(InputError, match="`treatment` must be a treatment's name, or a mapping"):
        TREATMENTS.build(name, treatment=["focal"])


@pytest.mark.parametrize("name", ["balanced_mixup", "decoupled"])
def test_a_loss_that_corrects_for_the_prevalences_refuses_balanced_draws(name):
    for treatment in (TREATMENTS.build(name, treatment="logit_adjusted"), Combined("logit_adjusted", schedule=name)):
        with pytest.raises(InputError, match=f"{name} does not go with a loss that corrects for the prevalences"):
            treatment(COUNTS)


@pytest.mark.parametrize("name", ["balanced_mixup", "decoupled"])
def test_images_that_a_sampler_leaves_out_are_declared_by_the_schedule(name):
    sampler = {"name": "class_aware_sampling", "without_positive": "left_out"}
    plan = TREATMENTS.build(name, sampler=sampler)(COUNTS)

    assert plan.mixing.leaves_out if name == "balanced_mixup" else plan.at(0.9).leaves_out


def test_a_warm_up_in_half_steps_is_refused():
    with pytest.raises(InputError, match=r"`steps` must be a whole number; got 2\.5"):
        WarmUp("focal", steps=2.5)


# combined


def test_a_combination_has_the_loss_of_one_and_the_draws_of_another():
    x, y = _batch()
    plan = Combined(loss="focal", sampler="weighted_sampling")(COUNTS)

    torch.testing.assert_close(plan.loss(x, y), TREATMENTS.build("focal")(COUNTS).loss(x, y))
    wanted = TREATMENTS.build("weighted_sampling")(COUNTS).sample_weights(y.numpy())
    assert plan.sample_weights(y.numpy()) == pytest.approx(wanted)


def test_a_combination_with_a_schedule_wraps_loss_and_sampler():
    x, y = _batch()
    plan = Combined(loss="ldam", sampler="weighted_sampling", schedule={"name": "drw", "share": 0.6})(COUNTS)

    assert plan.phases[0][0] == 0.6
    torch.testing.assert_close(plan.loss(x, y), TREATMENTS.build("ldam")(COUNTS).loss(x, y))
    assert plan.at(0.6).sample_weights is plan.sample_weights is not None


def test_a_combination_warms_up_to_its_loss():
    x, y = _batch()
    plan = Combined(loss="focal", schedule="warm_up")(COUNTS)

    torch.testing.assert_close(plan.at(0.9).loss(x, y), TREATMENTS.build("focal")(COUNTS).loss(x, y))
    torch.testing.assert_close(plan.loss(x, y), Control()(COUNTS).loss(x, y))


def test_the_given_sampler_replaces_the_one_that_a_loss_brings():
    targets = _batch()[1].numpy()
    plan = Combined(loss="auc_margin", sampler="repeat_factor_sampling")(COUNTS)

    wanted = TREATMENTS.build("repeat_factor_sampling")(COUNTS).sample_weights(targets)
    assert plan.sample_weights(targets) == pytest.approx(wanted)
    assert "both_sides_in_batch" in plan.requirements


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "weighted_sampling"}, "`loss`: weighted_sampling is a sampler; state it as `sampler`"),
        ({"sampler": "focal"}, "`sampler`: focal draws no images"),
        ({"sampler": "auc_margin"}, "`sampler`: auc_margin has a loss of its own; state it as `loss`"),
        ({"schedule": "focal"}, "`schedule`: focal is none; choose drw, warm_up, balanced_mixup or decoupled"),
        ({"loss": "temperature"}, "`loss`: temperature: combined wraps .* has a step after training of its own"),
        ({"sampler": "weighted_sampling", "schedule": "decoupled"}, "decoupled does not go with a sampler"),
        ({"sampler": "weighted_sampling", "schedule": "balanced_mixup"}, "balanced_mixup does not go with a sampler"),
        ({"loss": "two_way", "schedule": "drw"}, "drw weighs the cells"),
        ({"schedule": {"name": "decoupled", "method": "learnt_scale"}}, "`method` must be one of 'retrain'"),
    ],
)
def test_parts_in_the_wrong_place_are_refused_with_the_reason(settings, message):
    with pytest.raises(InputError, match=message):
        Combined(**settings)(COUNTS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"loss": "logit_adjusted", "sampler": "class_aware_sampling"},
            "logit_adjusted does not go with class_aware_sampling: it corrects for the prevalences",
        ),
        (
            {"loss": "inter_weighted", "schedule": "drw"},
            "inter_weighted does not go with drw: the classes are weighted",
        ),
        ({"loss": "effective_number", "schedule": "drw"}, "effective_number does not go with drw"),
        ({"schedule": {"name": "drw", "treatment": "focal"}}, "leave its `treatment` out"),
    ],
)
def test_contradictions_are_refused_when_the_configuration_is_read(settings, message):
    with pytest.raises(InputError, match=message):
        Combined(**settings)


def test_two_combinations_with_the_same_parts_are_equal_and_survive_pickling():
    one, other = (Combined(loss={"name": "focal", "gamma": 1.0}, schedule="drw") for _ in range(2))

    assert one == other == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash(other)
