import pandas as pd
import pytest
from block_reading import lines, texts, told

from tailscope.report.false_alarms import false_alarm_blocks

CLASSES = ("mass", "hernia")
METRICS = ("auroc", "average_precision", "mass_inside")


def row(metric, name, **changes):
    return {
        "lens": "performance", "metric": metric, "class": name, "group": "head", "arm": "control again (A/A)",
        "seeds": 3, "difference": 0.01, "lo": -0.02, "hi": 0.04, "p": 0.5, "verdict": "undecided", "kind": "",
        "reason": "", "primary": True, **changes,
    }  # fmt: skip


def frame(*changed):
    rows = {(metric, name): row(metric, name) for metric in METRICS for name in CLASSES}
    for metric, name, changes in changed:
        rows[metric, name] = row(metric, name, **changes)
    return pd.DataFrame(rows.values())


def test_a_quiet_second_control_is_told_in_numbers():
    said = told(false_alarm_blocks(frame(("auroc", "mass", {"p": 0.04})), CLASSES))

    assert (
        "differs from control in 0 of 6 comparisons by verdict and in 1 of 6 by unadjusted p < .05 (5 % expected: 0.3)."
    ) in said
    assert "No hidden difference is reported of it." in said
    assert "each of these is a false alarm" not in said


def test_every_verdict_that_differs_counts_and_the_metric_is_named():
    table = frame(
        ("auroc", "mass", {"p": 0.001, "verdict": "worse"}),
        ("average_precision", "hernia", {"p": 0.001, "verdict": "differs, within the margin"}),
        ("mass_inside", "hernia", {"verdict": "equivalent"}),
    )

    said = told(false_alarm_blocks(table, CLASSES))

    assert "in 2 of 6 comparisons by verdict and in 2 of 6" in said
    assert "read the verdicts on AUROC and AP with care" in said


def test_a_hidden_difference_of_control_with_itself_is_a_false_alarm():
    table = frame(
        ("mass_inside", "mass", {"kind": "hidden difference"}), ("mass_inside", "hernia", {"kind": "candidate"})
    )

    said = told(false_alarm_blocks(table, CLASSES))

    assert "1 hidden difference is reported of it: mass (mass inside). Of it 1 candidate is listed." in said
    assert "read the verdicts on mass inside with care" in said


@pytest.mark.parametrize(
    "other", [{"primary": False}, {"class": "macro", "group": "macro"}, {"p": float("nan"), "reason": "no mask"}]
)
def test_what_gets_no_verdict_is_not_counted(other):
    table = pd.concat([frame(), pd.DataFrame([row("auroc", "mass", verdict="worse") | other])])

    assert "0 of 6 comparisons" in told(false_alarm_blocks(table, CLASSES))


def test_a_class_that_is_called_tail_is_counted():
    assert "0 of 1 comparison" in told(false_alarm_blocks(pd.DataFrame([row("auroc", "tail")]), ("tail",)))


def test_too_few_seeds_for_a_verdict_are_said():
    said = told(false_alarm_blocks(frame().assign(seeds=2), CLASSES))

    assert "2 seeds per arm allow no verdict" in said
    assert "by verdict" not in said


def test_nothing_is_shown_without_a_second_control():
    assert false_alarm_blocks(None, CLASSES) == ()
    assert false_alarm_blocks(frame().head(0), CLASSES) == ()


def test_the_reason_is_given_where_nothing_could_be_compared():
    reason = "one seed per arm: seed noise is unknown"

    said = told(false_alarm_blocks(frame().assign(p=float("nan"), reason=reason), CLASSES))

    assert f"Not shown: the second control cannot be compared with control: {reason}." in said


def test_the_table_shows_every_comparison_from_head_to_tail():
    blocks = false_alarm_blocks(frame(("auroc", "hernia", {"p": 0.001, "verdict": "worse"})), CLASSES)

    rows = [texts(cells) for cells in lines(blocks, "Second control")]
    assert [cells["class"] for cells in rows] == ["mass"] * 3 + ["hernia"] * 3
    assert rows[3]["verdict"] == "worse"
    assert rows[3]["difference"] == "+0.010 [−0.020, +0.040]"
