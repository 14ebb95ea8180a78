import pytest

from tailscope.report.plan_history import plan_sentences

FIRST = {"hash": "aaaaaaaaaaaa", "date": "2026-03-01T10:00:00+00:00", "predicted": 0, "changed": []}
LATER = {"hash": "bbbbbbbbbbbb", "date": "2026-04-02T10:00:00+00:00", "predicted": 6, "changed": ["arms", "seeds"]}


def test_a_plan_that_was_never_changed_is_one_sentence():
    assert plan_sentences([FIRST]) == (
        "The analysis plan (aaaaaaaa) was frozen on 2026-03-01, before the first test prediction.",
    )


def test_a_plan_that_was_frozen_after_predictions_is_not_called_frozen_beforehand():
    (said,) = plan_sentences([{**FIRST, "predicted": 1}])

    assert said.endswith("when test predictions of 1 run were there already: not beforehand.")


def test_a_change_with_results_at_hand_is_called_not_confirmatory():
    _, said = plan_sentences([FIRST, LATER])

    assert said == (
        "On 2026-04-02 it was replaced by bbbbbbbb (changed: arms and seeds), when test predictions of 6 runs were "
        "there: what follows from the change was decided with results at hand and is not confirmatory."
    )


def test_a_change_before_any_result_is_harmless():
    _, said = plan_sentences([FIRST, {**LATER, "predicted": 0}])

    assert said.endswith("(changed: arms and seeds), before the first test prediction.")
    assert "confirmatory" not in said


@pytest.mark.parametrize("number", [0, 1])
def test_an_unknown_date_is_said_to_be_unknown(number):
    history = [FIRST, LATER]
    history[number] = {**history[number], "date": None, "predicted": None}

    assert "not on record" in plan_sentences(history)[number]
