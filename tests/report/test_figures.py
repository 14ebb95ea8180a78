import pytest

from tailscope.report.audit_figures import gradient_chart
from tailscope.report.drawing import COLOURS, arm_encodings, dash, look
from tailscope.report.figures import history_chart, imbalance_chart, interval_chart
from tailscope.report.forest_chart import forest_chart
from tailscope.report.hidden_chart import hidden_chart

ARMS = ("control", "focal")
HIDDEN = {
    "arm": "focal", "class": "<i>", "kind": "candidate", **dict.fromkeys(("x", "x_lo", "x_hi", "y", "y_lo", "y_hi"), 0),
}  # fmt: skip


def test_no_two_arms_look_alike():
    looks = [look(number) for number in range(64)]
    assert len(set(looks)) == 64
    assert "#222222" not in {colour for colour, _ in looks[1:]}


def row(value, lo, hi, name="mass"):
    return {"class": name, "arm": "focal", "value": value, "lo": lo, "hi": hi}


def test_a_value_that_is_missing_is_not_drawn():
    drawn = interval_chart([("AUROC", [row(0.8, 0.7, 0.9), row(float("nan"), None, None, "hernia")])], ("mass",), ARMS)
    assert drawn.count("#0072B2") == interval_chart([("AUROC", [row(0.8, 0.7, 0.9)])], ("mass",), ARMS).count("#0072B2")


def test_the_line_at_zero_is_drawn_where_asked_for():
    panels = [("excess", [row(0.8, 0.7, 0.9)])]
    assert "stroke-dasharray" in interval_chart(panels, ("mass",), ARMS, has_zero=True)
    assert "stroke-dasharray" not in interval_chart(panels, ("mass",), ARMS)


@pytest.mark.parametrize(
    "drawn",
    [
        imbalance_chart([{"class": "<i>", "group": "tail", "train_positives": 3, "test_positives": 1}], ("<i>",)),
        interval_chart([("a", [row(0.8, 0.7, 0.9, "<i>")])], ("<i>",), ARMS),
        hidden_chart([("a", [HIDDEN])], ARMS, (0.1, 0.1)),
        forest_chart("a", [{**row(0.8, 0.7, 0.9, "<i>"), "difference": 0.8, "verdict": "better"}], ARMS, 0.1),
        history_chart([{"run": "r", "arm": "<i>", "epoch": 1, "train_loss": 1, "val_auroc": 0.5}], ("<i>",)),
    ],
    ids=["imbalance", "interval", "hidden", "forest", "history"],
)
def test_a_chart_is_escaped_static_svg_with_a_name(drawn):
    assert drawn.startswith('<svg role="img" aria-label="')
    assert "&lt;i&gt;" in drawn
    assert not any(part in drawn for part in ("<i>", "<script", "http", " id=", "url("))


def test_lines_of_arms_that_share_a_colour_differ_in_their_dash():
    looks = [(look(number)[0], tuple(dash(number))) for number in range(28)]
    assert len(set(looks)) == 28


def test_an_arm_looks_alike_whether_all_arms_are_shown_or_some():
    arms = ("control", "focal", "sampling")
    every, some = arm_encodings(arms)[0].to_dict(), arm_encodings(arms, ("sampling",))[0].to_dict()
    assert every["scale"]["range"][2] == some["scale"]["range"][0]
    assert some["scale"]["domain"] == ["sampling"]


def test_a_group_looks_alike_whichever_others_there_are():
    rows = [{"class": "hernia", "group": "tail", "train_positives": 3, "test_positives": 1}]
    drawn = imbalance_chart(rows, ("hernia",))
    assert COLOURS[3] in drawn
    assert ">tail</text>" in drawn
    assert ">head</text>" not in drawn


def test_a_share_that_is_missing_is_not_drawn():
    rows = [
        {"arm": arm, "moment": "start", "group": "tail", "share": share, "share_control": 0.1}
        for arm, share in (("control", 0.1), ("focal", float("nan")))
    ]
    drawn = gradient_chart(rows, ARMS)
    assert ">control<" in drawn
    assert ">focal<" not in drawn
