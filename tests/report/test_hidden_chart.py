import itertools
import math

import pytest

from tailscope.report.hidden_chart import domain, hidden_chart, placed

ARMS = ("control", "focal", "sampling")
NAN = float("nan")


def point(kind="", name="mass", x=0.0, y=0.1, *, half=0.01):
    ends = {"x_lo": x - half, "x_hi": x + half, "y_lo": y - half, "y_hi": y + half}
    return {"arm": "focal", "class": name, "kind": kind, "x": x, "y": y, **ends}


def drawn(*points):
    return hidden_chart([("mass inside", list(points))], ARMS, (0.02, 0.02))


@pytest.mark.parametrize("kind", ["hidden difference", "candidate", "not visible", "not counted"])
def test_listed_cells_are_named_and_have_bars_and_others_do_not(kind):
    plain, marked = drawn(point(name="hernia")), drawn(point(kind, "hernia"))
    assert ">hernia</text>" in marked
    assert ">hernia</text>" not in plain
    assert marked.count('stroke="#0072B2"') >= plain.count('stroke="#0072B2"') + 2


def test_only_hidden_differences_are_filled():
    hollow = 'fill="white" stroke="#0072B2"'
    assert hollow in drawn(point("candidate"))
    assert hollow not in drawn(point("hidden difference"))


def test_a_missing_interval_leaves_the_mark_alone():
    assert ">mass</text>" in drawn({**point("candidate"), "x_lo": NAN, "y_hi": NAN})
    assert "NaN" not in drawn({**point("candidate"), "x_lo": NAN, "y_hi": NAN})


def test_the_axis_holds_the_margin_and_every_interval():
    low, high = domain([0.1, -0.3, NAN], 0.02)
    assert low < -0.3
    assert high > 0.1
    assert domain([], 0.02)[0] < -0.02
    assert domain([0.0], 0.0) == (-1.0, 1.0)


def test_names_never_overlap():
    rows = [{"class": f"c{n}", "x": -0.1, "y": 0.5 + 0.001 * n} for n in range(8)]
    heights = [label["label_y"] for label in placed(rows, (-1.0, 1.0), (0.0, 1.0), 560)]
    assert all(a - b >= 13 / 300 - 1e-12 for a, b in itertools.pairwise(heights))


def test_a_name_stands_on_the_side_that_has_room():
    rows = [{"class": "l", "x": -0.9, "y": 0.5}, {"class": "r", "x": 0.9, "y": 0.5}]
    sides = {label["label"]: label["side"] for label in placed(rows, (-1.0, 1.0), (0.0, 1.0), 560)}
    assert sides == {"l": "right", "r": "left"}
    assert all(math.isclose(label["label_y"], 0.5 - 8 / 300) for label in placed(rows, (-1.0, 1.0), (0.0, 1.0), 560))
