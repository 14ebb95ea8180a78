import json

import numpy as np
import pytest
import torch

from tailscope.core.records import ClassCounts
from tailscope.core.seeding import generator
from tailscope.treatments.asymmetric import Asymmetric
from tailscope.treatments.chance import beyond_chance
from tailscope.treatments.checks import Check, merged
from tailscope.treatments.cross_entropy import Control, InterWeighted, IntraWeighted, WeightedBCE
from tailscope.treatments.fed_audit import mixing_audit
from tailscope.treatments.focal import Focal
from tailscope.treatments.gradient_audit import gradient_audit
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.sampling_audit import Meant, sampling_audit
from tailscope.treatments.spill_over import spill_over
from tailscope.treatments.uncertainty import Uncertainty
from tailscope.treatments.verdicts import judge, problems_of

CLASSES = ("mass", "nodule", "hernia")
GROUPS = ("head", "medium", "tail")
COUNTS = ClassCounts(CLASSES, (1200, 400, 40), (2800, 3600, 3960))


@pytest.fixture(scope="module")
def targets():
    labels = (generator(0, "audit test").random((4000, 3)) < [0.3, 0.1, 0.01]).astype(float)
    labels[generator(1, "audit test").random((4000, 3)) < 0.05] = np.nan
    return labels


@pytest.fixture(scope="module")
def batch(targets):
    rng = np.random.default_rng(2)
    return torch.tensor(rng.normal(scale=0.3, size=(4000, 3))), torch.tensor(targets)


def _weights(targets, **settings):
    return WeightedSampling(**settings)(ClassCounts.from_targets(CLASSES, targets)).sample_weights(targets)


def _drawn(weights, draws=4000, seed=1):
    return generator(seed, "draws").choice(len(weights), size=draws, p=weights / weights.sum())


def _gradients(loss, batch, moment="initial"):
    return {"gradients": {moment: gradient_audit(loss, *batch, CLASSES, GROUPS, COUNTS.prevalences)}}


def _found(audit, check):
    (only,) = [each for each in judge(audit)["checks"] if each["check"] == check]
    return only["verdict"], only["sentence"]


def test_an_audit_in_which_all_holds_is_ok(targets, batch):
    weights = _weights(targets)
    audit = {
        "sampling": sampling_audit(targets, weights, _drawn(weights), CLASSES),
        **_gradients(Focal()(COUNTS).loss, batch),
    }

    judged = judge(audit)

    assert judged["verdict"] == "ok", judged
    assert judged["sentence"] == f"all {len(judged['checks'])} checks passed: the treatment does what it says"
    assert {check["verdict"] for check in judged["checks"]} == {"ok"}
    assert all(check["sentence"] for check in judged["checks"])


def test_an_empty_audit_is_not_ok():
    assert judge({}) == {"verdict": "warning", "sentence": "nothing was checked", "checks": []}


def test_a_verdict_is_json(targets, batch):
    judged = judge(_gradients(Control()(COUNTS).loss, batch))

    assert json.loads(json.dumps(judged)) == judged


def test_the_sentence_is_that_of_the_worst_check_and_counts_the_others(targets):
    audit = {
        "sampling": sampling_audit(targets, _weights(targets, variant="as_published"), np.array([0, 1, 2]), CLASSES)
    }

    judged = judge(audit)

    assert judged["verdict"] == "failed"
    assert judged["sentence"].startswith("3997 of 4000 images have draw weight 0: they are never seen (and ")
    assert problems_of(judged)[0] == "3997 of 4000 images have draw weight 0: they are never seen"


def test_images_left_out_on_purpose_are_a_warning(targets):
    weights = _weights(targets)
    weights[np.flatnonzero((targets != 1).all(axis=1))[:1000]] = 0
    audits = [
        {"sampling": sampling_audit(targets, weights, _drawn(weights), CLASSES, meant=Meant(leaves_out=declared))}
        for declared in (True, False)
    ]

    says = "1000 of 4000 images have draw weight 0: they are never seen"
    assert _found(audits[0], "images left out") == ("warning", says + ", as this treatment means it")
    assert _found(audits[1], "images left out") == ("failed", says)


def test_weights_that_balance_a_column_need_not_favour_the_rarest_class(targets):
    weights = np.where(targets[:, 0] == 1, 5.0, 1.0)
    by_label, by_column = (
        {"sampling": sampling_audit(targets, weights, _drawn(weights), CLASSES, meant=Meant(by_labels=by_labels))}
        for by_labels in (True, False)
    )

    assert _found(by_label, "direction of the sampler")[0] == "failed"
    says = "the weights balance a further column, not the classes alone"
    assert _found(by_column, "direction of the sampler") == ("ok", says)


def test_a_class_that_is_never_drawn_is_named(targets):
    weights = np.where(targets[:, 2] == 1, 0.0, 1.0)
    share = 100 * np.mean(targets[:, 2] == 1)

    audit = {"sampling": sampling_audit(targets, weights, _drawn(weights), CLASSES, meant=Meant(leaves_out=True))}

    says = f"class 'hernia' is never drawn, though {share:.2g} % of the images are positive"
    assert _found(audit, "classes drawn") == ("failed", says)


def test_a_whole_epoch_that_misses_an_image_is_infinitely_unlikely_without_weights(targets):
    hernia = int(np.flatnonzero(targets[:, 2] == 1)[0])
    drawn = np.arange(4000)
    drawn[hernia] = int(np.flatnonzero(targets[:, 2] == 0)[0])

    audit = {"sampling": sampling_audit(targets, None, drawn, CLASSES)}

    assert np.isinf(audit["sampling"]["largest_z"])
    assert _found(audit, "class distribution")[1].startswith("class 'hernia' is positive in")
    assert _found(audit, "different images") == ("failed", "3999 different images were drawn; expected about 4000")
    assert _found(audit, "draws follow weights")[0] == "failed"


@pytest.mark.parametrize("draws", [4000, 3968, 10_000])
def test_whole_and_partial_epochs_without_weights_pass(targets, draws):
    rng = generator(2, "order")
    drawn = np.concatenate([rng.permutation(4000) for _ in range(3)])[:draws]

    assert judge({"sampling": sampling_audit(targets, None, drawn, CLASSES)})["verdict"] == "ok"


def test_a_partial_epoch_that_misses_the_only_image_of_a_class_passes():
    labels = np.zeros((4000, 1))
    labels[3999] = 1

    audit = sampling_audit(labels, None, np.arange(3968), ["hernia"])

    assert abs(audit["largest_z"]) > 6
    assert judge({"sampling": audit})["verdict"] == "ok"


def test_draws_by_other_weights_that_keep_every_class_s_share_are_caught(targets):
    weights = np.where(np.arange(4000) % 2 == 0, 3.0, 1.0)  # says nothing about the classes
    drawn = _drawn(weights[::-1])

    audit = {"sampling": sampling_audit(targets, weights, drawn, CLASSES)}

    assert _found(audit, "class distribution")[0] == "ok"
    assert _found(audit, "draws follow weights")[0] == "failed"


def test_an_image_drawn_far_too_often_is_caught_though_nothing_else_shows(targets):
    weights = np.ones(4000)
    drawn = _drawn(weights)
    drawn[:25] = np.flatnonzero((targets == 0).all(axis=1))[0]

    verdict, sentence = _found({"sampling": sampling_audit(targets, weights, drawn, CLASSES)}, "draws follow weights")

    assert (verdict, sentence[:37]) == ("failed", "an image was drawn as often as 25 tim")


def test_processes_that_all_draw_the_same_images_are_caught(targets):
    weights = _weights(targets)
    mine = _drawn(weights, 2000)

    audit = sampling_audit(targets, weights, np.concatenate([mine, mine]), CLASSES, [mine, mine])

    assert _found({"sampling": audit}, "processes") == ("failed", "processes 0 and 1 drew the very same images")


def test_a_process_that_draws_by_itself_is_caught(targets):
    weights = _weights(targets)
    fair = _drawn(weights, 2000)
    headless = _drawn(np.where(targets[:, 0] == 1, 0.0, weights), 2000)

    audit = sampling_audit(targets, weights, np.concatenate([fair, headless]), CLASSES, [fair, headless])

    verdict, sentence = _found({"sampling": audit}, "processes")
    assert verdict == "failed"
    assert sentence.startswith("process 1: class 'mass' is positive in 0 % of its draws; expected")


def test_draws_that_no_process_made_are_caught(targets):
    weights = _weights(targets)
    drawn = _drawn(weights)

    audit = sampling_audit(targets, weights, drawn, CLASSES, [drawn[:2000], drawn[2001:]])

    assert _found({"sampling": audit}, "processes")[1] == "the processes together drew other images than the epoch has"


def test_a_class_more_than_doubled_by_another_is_a_warning():
    labels = np.zeros((1000, 3))
    labels[:300, 0] = 1
    labels[300:350, 1] = 1
    labels[340:350, 2] = 1  # every hernia comes with a nodule
    weights = _weights(labels)

    verdict, sentence = _found({"sampling": sampling_audit(labels, weights, _drawn(weights), CLASSES)}, "spill-over")

    assert verdict == "warning"
    assert sentence.startswith("class 'nodule' stands in ")
    assert sentence.endswith("of the draws instead of 5 %, because it comes with 'hernia': the two are confounded")


def test_weights_that_show_few_images_are_a_warning(targets):
    weights = np.full(4000, 1e-9)
    weights[:15] = 1.0

    audit = {"sampling": sampling_audit(targets, weights, _drawn(weights), CLASSES)}

    says = "an epoch is expected to show 15 of 4000 images: the others are hardly seen"
    assert _found(audit, "repetition") == ("warning", says)


def test_weights_by_another_attribute_are_not_taken_for_weights_the_wrong_way_round():
    labels = np.zeros((200, 2))
    labels[:100, 0] = 1
    labels[100:102, 1] = 1
    attribute = np.arange(200) % 5 == 0
    attribute[100:102] = False  # both hernias lack what the sampler prefers
    weights = np.where(attribute, 4.0, 1.0)

    audit = sampling_audit(labels, weights, _drawn(weights, 200), ["mass", "hernia"])

    assert audit["classes"]["hernia"]["inflation"] < 0.8 * audit["classes"]["mass"]["inflation"]
    assert _found({"sampling": audit}, "direction of the sampler")[0] == "ok"


def test_a_class_drawn_more_for_its_own_sake_is_not_confounded():
    labels = np.zeros((1000, 3))
    labels[:300, 0] = 1
    labels[300:350, 1] = 1
    labels[295:305, 2] = 1  # half of them with a nodule
    weights = _weights(labels)

    found = spill_over(labels == 1, weights / weights.sum(), CLASSES)

    assert found["inflation"] > 2
    assert not found["confounded"]


@pytest.mark.parametrize(("variant", "verdict"), [("corrected", "ok"), ("as_published", "failed")])
def test_positives_that_lost_their_gradient_are_caught(variant, verdict):
    loss = Asymmetric(variant=variant, gamma_pos=0)(COUNTS).loss
    batch = torch.full((4, 3), -30.0), torch.ones(4, 3)

    found, sentence = _found(_gradients(loss, batch, "epoch 3"), "positives")

    assert found == verdict
    if verdict == "failed":
        assert sentence.startswith(
            "epoch 3: class 'mass': its positives have no gradient, so it learns nothing from them; "
        )


def test_negatives_dropped_on_purpose_are_no_problem():
    audit = _gradients(Asymmetric()(COUNTS).loss, (torch.full((2, 3), -9.0), torch.zeros(2, 3)))

    assert audit["gradients"]["initial"]["classes"]["mass"]["negatives"] == 0
    assert _found(audit, "positives")[0] == "ok"
    assert judge(audit)["verdict"] != "failed"


def test_a_scale_beyond_ten_times_control_s_is_a_warning_that_says_what_it_means(batch):
    loud, usual = WeightedBCE(3, class_weight=np.full(3, 12.0)), WeightedBCE(3, class_weight=np.full(3, 9.0))

    verdict, sentence = _found(_gradients(loud, batch), "scale")

    assert verdict == "warning"
    assert (
        "its gradient is 12 times control's: with plain gradient descent this acts like a learning rate so many"
        in sentence
    )
    assert _found(_gradients(usual, batch), "scale")[0] == "ok"
    assert _found(_gradients(WeightedBCE(3, class_weight=np.full(3, 0.09)), batch), "scale")[0] == "warning"


def test_a_loss_that_takes_from_the_tail_is_a_warning(batch):
    verdict, sentence = _found(_gradients(WeightedBCE(3, class_weight=np.array([1, 1, 0.6])), batch), "tail")

    assert verdict == "warning"
    assert sentence.startswith("initial: the tail gets ")
    assert _found(_gradients(IntraWeighted()(COUNTS).loss, batch), "tail")[0] == "ok"


def test_a_loss_that_spares_the_tail_s_negatives_for_its_positives_takes_nothing_from_it(batch):
    class SparesNegatives(WeightedBCE):
        def _values(self, x, y, known):
            return super()._values(x, y, known) * torch.where(y == 1, 1.0, torch.tensor([1.0, 1.0, 0.2]))

    audit = _gradients(SparesNegatives(3), batch)

    tail = audit["gradients"]["initial"]["groups"]["tail"]
    assert tail["share"] < 0.5 * tail["share_control"]
    assert _found(audit, "tail")[0] == "ok"


def test_weights_that_were_learnt_may_point_anywhere_but_not_those_at_the_start(batch):
    loss = Uncertainty()(COUNTS).loss
    with torch.no_grad():
        loss.log_variance[2] = 3.0  # the rare class weighs e^−3

    assert _found(_gradients(loss, batch), "direction of the loss")[0] == "failed"
    assert "direction of the loss" not in [
        check["check"] for check in judge(_gradients(loss, batch, "epoch 3"))["checks"]
    ]


def test_weights_by_class_are_judged_in_later_stages_as_well(batch):
    both = {
        "initial": _gradients(Control()(COUNTS).loss, batch)["gradients"]["initial"],
        "stage 0.8": _gradients(InterWeighted(variant="as_published")(COUNTS).loss, batch)["gradients"]["initial"],
    }

    verdict, sentence = _found({"gradients": both}, "direction of the loss")

    assert verdict == "failed"
    assert sentence.startswith("stage 0.8: a positive of the rarest class 'hernia' weighs")


def test_a_violated_limit_case_is_said_in_words():
    limit = {"says": "gamma 0: control", "holds": False, "value_error": 0.5, "gradient_error": 0.25, "reason": ""}

    verdict, sentence = _found({"limit": limit}, "limit case")

    assert verdict == "failed"
    assert sentence == (
        "it should hold that gamma 0: control, and does not: "
        "the loss differs by 0.5 and its gradient by 0.25 (relative)"
    )
    assert _found({"limit": {**limit, "holds": True}}, "limit case") == ("ok", "gamma 0: control: holds")
    assert _found({"limit": {**limit, "holds": None}}, "limit case") == ("ok", "no limit case is stated")


def test_a_loss_that_depends_on_the_batch_is_a_warning_in_its_own_words():
    audit = {"depends": {"batch_size": True, "order": False}, "sentence": "the loss is a function of the batch: …"}

    assert _found({"batch": audit}, "batches") == ("warning", "the loss is a function of the batch: …")


@pytest.mark.parametrize(("own", "verdict"), [(1, "ok"), (5, "ok"), (64, "failed")])
def test_own_pairs_fail_beyond_chance(own, verdict):
    assert _found({"mixing": mixing_audit(None, np.ones(4000), 4000, own)}, "mix-up")[0] == verdict


def test_one_check_over_several_moments_is_said_once_with_the_first_and_worst():
    ok, warning, bad = (Check("loss", verdict, verdict) for verdict in ("ok", "warning", "failed"))

    assert merged({"epoch 0": [warning], "epoch 1": [bad], "epoch 2": [bad]}) == [
        Check("loss", "failed", "epoch 1: failed (at 2 of 3 times looked at)")
    ]
    assert merged({"": [ok], "epoch 0": [ok]}) == [ok]


def test_bernstein_s_bound_holds_for_rare_events():
    rng = np.random.default_rng(0)
    for chance in (1e-4, 1e-3, 0.1):
        sums = rng.binomial(1000, chance, size=200_000)
        variance = 1000 * chance * (1 - chance)
        assert not any(beyond_chance(abs(s - 1000 * chance), variance) for s in np.unique(sums))
