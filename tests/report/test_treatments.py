import re

import pandas as pd
import pytest
from block_reading import picture
from page_content import ARMS, EMPTY, audit, build, draws, findings, tuning
from reading import section, table, words
from undrawn import undrawn

from tailscope.report.chapters import summary
from tailscope.report.performance import performance
from tailscope.report.treatments import treatments as chapter


def treatments(**changes):
    return undrawn(build(gallery=(), **changes), chapter)


@pytest.fixture(scope="module")
def shown():
    return treatments()


def gradient(**changes):
    """The chart of the gradient's shares."""
    return picture(chapter(build(gallery=(), draws=None, **changes)).blocks)


def arm_rows(shown):
    return {row["arm"]: row for row in table(shown, "audit", "what was found")}


def test_an_arm_has_the_worst_verdict_of_its_seeds_and_how_many_have_it(shown):
    rows = arm_rows(shown)
    assert rows[ARMS[1]]["audit"] == "faileda in 1 of 3 seeds"
    assert rows[ARMS[1]]["what was found"] == "failed in seed 2"
    assert rows["control"]["audit"] == "ok"


def test_arms_are_counted_by_their_verdict(shown):
    assert "Of 3 trained arms, 2 are ok and 1 failed." in words(shown)


def test_a_verdict_has_its_colour(shown):
    assert 'class="verdict failed"' in shown
    assert 'class="verdict ok"' in shown


def test_images_and_scales_are_means_over_the_seeds(shown):
    row = arm_rows(shown)["control"]
    assert row["images drawn"] == "101 of 160"
    assert row["loss × control"] == "× 0.25"
    assert row["gradient × control, start"] == "× 0.50"
    assert row["gradient × control, last epoch"] == "× 0.062"


def test_the_effective_learning_rate_is_explained_with_what_adam_makes_of_it(shown):
    assert "effective learning rate" in words(shown)
    assert "Adam" in words(shown)


def test_an_arm_that_failed_and_went_on_is_named_here_and_in_the_first_chapter(shown):
    first = words(undrawn(build(gallery=()), summary))
    assert "It went on because the configuration names it" in words(shown)
    assert f"{ARMS[1]} does not do what the name says: the audit failed" in first


def test_nobody_is_accused_where_no_audit_failed():
    frame = audit().assign(verdict="ok")
    page = undrawn(build(gallery=(), audit=frame))
    assert "the audit failed" not in words(section(page, "found"))
    assert "Failed, and trained all the same" not in page


def test_an_arm_that_takes_its_weights_from_another_says_so_and_has_no_numbers_of_its_own(shown):
    row = arm_rows(shown)["prior_shift"]
    assert row["what was found"].startswith("takes the weights of control")
    assert row["loss × control"] == row["images drawn"] == "–"


def test_checks_that_did_not_pass_are_folded_away_with_their_seeds(shown):
    assert "<details><summary>1 check did not pass</summary>" in shown
    assert "weighted_sampling, repetition: failed: 9 of 160 images are seen (seed 2)" in words(shown)


def test_a_check_that_failed_in_all_seeds_is_said_once():
    problem = [{"check": "scale", "verdict": "warning", "sentence": "the loss is small"}]
    frame = audit().assign(verdict="warning", problems=[problem] * 10)
    shown = treatments(audit=frame)
    assert words(shown).count("control, scale: warning") == 1
    assert "the loss is small (all seeds; numbers of seed 0)" in words(shown)


def test_failed_checks_come_before_warnings():
    problems = [
        {"check": "scale", "verdict": "warning", "sentence": "small"},
        {"check": "labels", "verdict": "failed", "sentence": "wrong"},
    ]
    frame = audit(("control",)).iloc[:1].assign(problems=[problems])
    shown = words(treatments(audit=frame))
    assert shown.index("labels: failed") < shown.index("scale: warning")


def test_the_gradient_has_a_panel_per_group_and_a_tick_for_control():
    drawn = gradient()
    for group in ("head", "medium", "tail"):
        assert f"{group}: share of the gradient" in drawn
    assert drawn.count('fill="#111"') == 3 * 3 * 2  # groups, arms, moments
    assert len(re.findall('<path [^>]*fill="white"', drawn)) == 3 * 3  # before training


def test_a_group_without_classes_has_no_panel():
    frame = build().gradient_shares
    drawn = gradient(gradient_shares=frame[frame["group"] != "medium"])
    assert "medium: share of the gradient" not in drawn
    assert "tail: share of the gradient" in drawn


def test_only_arms_that_draw_by_weight_are_in_the_table_of_draws(shown):
    rows = table(shown, "share of images", "expected in draws")
    assert {row["arm"] for row in rows} == {ARMS[1]}
    assert [row["class"] for row in rows] == ["effusion", "mass", "<b>x</b>", "hernia"]
    assert {row["×"] for row in rows} == {"× 3.00"}
    assert rows[0]["share of images"] == "15 %"
    assert rows[0]["realised in draws"] == "50 %"


def test_without_a_sampler_a_sentence_says_so():
    shown = treatments(draws=draws().assign(expected=lambda frame: frame["prevalence"]))
    assert "No arm draws by weight" in shown
    assert "expected in draws" not in shown


def test_a_class_that_is_never_drawn_is_named_as_the_figure_cannot_show_it():
    frame = draws()
    frame.loc[(frame["arm"] == ARMS[1]) & (frame["class"] == "hernia"), ["expected", "realised"]] = 0.0
    assert f"Not in the figure: {ARMS[1]} draws no image of hernia." in words(treatments(draws=frame))


def test_no_figure_of_draws_is_drawn_where_no_arm_has_a_mark_in_it():
    frame = draws()
    frame.loc[frame["arm"] == ARMS[1], ["expected", "realised"]] = 0.0
    shown = treatments(draws=frame)
    assert f"No figure: {ARMS[1]} draws no image of effusion, mass, <b>x</b> and hernia." in words(shown)
    assert "Share of each class among the images and among the draws" not in shown


def test_draws_are_drawn_where_an_arm_draws_by_weight(shown):
    assert "Share of each class among the images and among the draws" in shown


def test_a_class_that_the_weights_leave_out_and_nobody_counted_is_said_to_be_not_shown():
    frame = draws()
    frame.loc[frame["arm"] == ARMS[1], ["expected", "realised"]] = [0.0, float("nan")]
    assert "Not shown: no class is drawn" in treatments(draws=frame)


def test_a_sampler_that_balances_a_column_shows_what_it_tells_before_and_after(shown):
    rows = table(shown, "of positives", "of positives drawn")
    assert [row["class"] for row in rows] == ["mass", "mass", "hernia", "hernia"]
    assert rows[1] == {
        "class": "mass", "arm": ARMS[1], "group": "chest_tube: True", "of positives": "90 %", "of negatives": "8.0 %",
        "of positives drawn": "25 %", "of negatives drawn": "25 %",
    }  # fmt: skip
    assert "after balancing, the group no longer tells the class" in words(shown)


def test_without_such_a_sampler_nothing_is_said_of_it():
    assert "Does the group still tell the class?" not in treatments(balance=None)


def test_each_arm_that_is_identical_by_construction_is_named_with_its_reason(shown):
    assert "focal γ=2: its loss is control's. Trained and shown beside the others" in words(shown)
    assert (
        "prior_shift: monotone per class. Not trained anew: it takes the weights of control; it stands in the tables "
        "of calibration only."
    ) in words(shown)


def test_an_arm_whose_base_is_no_arm_was_trained_and_says_what_is_missing():
    frame = audit()
    frame.loc[frame["arm"] == "prior_shift", "weights_from"] = ""
    sentence = "prior_shift: monotone per class. Trained with the loss of {}, which is no arm here, so its AUROC "
    told = treatments(audit=frame, trained_with={"prior_shift": "ldam"})
    assert sentence.format("ldam") + "stands nowhere; add ldam to compare it." in words(told)
    assert "Not trained anew" not in told
    assert sentence.format("another treatment") in words(treatments(audit=frame))


def test_without_an_audit_nobody_knows_whether_an_arm_was_trained():
    shown = words(treatments(audit=None))
    assert "prior_shift: monotone per class. It stands in the tables of calibration only." in shown


def test_the_noise_of_training_is_said_only_of_arms_that_were_trained(shown):
    noise = "the same but for the noise of training"
    assert f"of focal γ=2 {noise}." in words(shown)
    assert noise not in words(treatments(identical={"prior_shift": "monotone per class"}))


def test_notes_on_an_adjustment_stand_below_its_arm():
    shown = treatments(adjustment_notes={"prior_shift": ("class 'mass': <low>", "moved"), "tau": ("class 'x': high",)})
    assert "<ul><li>class &#39;mass&#39;: &lt;low&gt;</li><li>moved</li></ul></li>" in shown
    assert "Notes on adjustments after training tau: class 'x': high" in words(shown.replace("<li>", " "))


def test_an_adjustment_without_notes_has_no_list_below(shown):
    assert "<ul></ul>" not in shown
    assert "Notes on adjustments" not in shown


def test_nothing_is_said_of_identical_arms_where_there_are_none():
    assert "Identical by construction" not in treatments(identical={}, calibrated_only=())


def test_tuning_tells_what_each_arm_got_and_from_how_many_trials(shown):
    rows = {row["arm"]: row for row in table(shown, "best validation AUROC", "trials")}
    row = rows["focal γ=2"]
    assert (row["learning rate"], row["parameter"], row["value"]) == ("0.01", "gamma", "2")
    assert (row["best validation AUROC"], row["trials"], row["at the edge"]) == ("0.720", "3", "yes")
    assert rows["control"]["at the edge"] == "no"
    assert "Each searched arm had the same 3 trials; prior_shift rests on control and takes what control got." in words(
        shown
    )


def test_an_arm_at_the_edge_of_its_range_is_named(shown):
    assert "focal γ=2: the best learning rate may lie beyond 0.01" in words(shown)


def test_no_arm_at_the_edge_is_said_too():
    assert "No arm sits at the edge of its range." in treatments(tuning=tuning().assign(at_edge=""))


def test_every_arm_had_its_trials_where_every_arm_was_searched():
    assert "Every arm had the same 3 trials." in words(treatments(audit=audit().iloc[:9]))


def test_an_arm_that_was_not_searched_is_named():
    frame = audit()
    frame.loc[frame["arm"] == "prior_shift", "weights_from"] = ""
    assert "had the same 3 trials; prior_shift was not searched." in words(treatments(audit=frame))


def test_several_arms_may_rest_on_one():
    frame = audit()
    shown = treatments(audit=pd.concat([frame, frame.iloc[-1:].assign(arm="temperature")]))
    assert "prior_shift and temperature rest on control and take what control got." in words(shown)


def test_a_learning_rate_has_three_significant_digits_and_a_parameter_all_of_its_own():
    frame = tuning().replace({"lr": {0.01: 0.000282843}, "value": {2.0: 0.9999}})
    row = {row["arm"]: row for row in table(treatments(tuning=frame), "best validation AUROC", "trials")}[ARMS[2]]
    assert (row["learning rate"], row["value"]) == ("0.000283", "0.9999")


def test_a_trial_without_a_score_has_its_reason(shown):
    assert "the loss became nan" in words(shown)


def test_different_numbers_of_trials_are_said():
    assert "The number of trials differs: control 2, weighted_sampling 3" in treatments(tuning=tuning().iloc[1:])


def test_without_tuning_the_common_learning_rate_is_said():
    assert "No arm was tuned: all share the learning rate 0.003." in treatments(tuning=None)


def test_an_arm_with_its_own_learning_rate_is_named():
    frame = audit()
    frame.loc[frame["arm"] == ARMS[2], "lr"] = 0.01
    shown = treatments(tuning=None, audit=frame)
    assert "the learning rate is 0.003, except of focal γ=2 (0.01)." in shown


def test_an_empty_content_says_what_is_missing():
    shown = words(undrawn(EMPTY, chapter))
    for part in ("no treatment audit", "no gradient", "no draws", "No arm was tuned"):
        assert part in shown


def test_an_audit_of_few_columns_is_shown_with_dashes():
    row = arm_rows(treatments(audit=pd.DataFrame([{"arm": "control", "seed": 0, "verdict": "ok"}])))["control"]
    assert row["audit"] == "ok"
    assert row["what was found"] == row["loss × control"] == row["learning rate"] == "–"


def test_arms_identical_by_construction_keep_their_place_in_the_table_of_differences():
    frame = findings()
    same = frame["arm"] == ARMS[2]
    frame.loc[same, ["verdict", "reason"]] = ["identical by construction", "as control"]
    content = build(gallery=(), findings=frame)
    shown = undrawn(content, performance)
    assert 'class="verdict identical" title="as control">identical by construction<sup>' in shown
    assert "no verdict." in words(shown)
    found = words(undrawn(content, summary))
    assert "have no verdict" not in found
    assert "focal γ=2 and prior_shift are not counted here" in found
    assert "Of 8 comparisons by class" in found  # two metrics, four classes, one arm that counts
