from __future__ import annotations

import io

import pandas as pd
from rich.console import Console

from tailscope.cli.tables import print_frame, wide_console


def _drawn(frame, **settings):
    console = Console(file=io.StringIO(), width=100)
    print_frame(console, frame, **settings)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_numbers_stand_to_the_right_and_text_to_the_left():
    frame = pd.DataFrame({"class": ["a", "long name"], "images": [5, 1234], "share": [0.5, 12.25]})
    assert _drawn(frame) == [
        " class      images   share",
        " a               5   0.500",
        " long name   1,234  12.250",
    ]


def test_what_is_undefined_is_a_dash():
    frame = pd.DataFrame({"x": [float("nan"), 1.0], "text": [None, "here"]})
    assert _drawn(frame)[1].split() == ["–", "–"]


def test_large_numbers_are_grouped_and_truth_is_a_word():
    frame = pd.DataFrame({"x": [12345.6], "n": [7], "done": [True]})
    assert _drawn(frame)[1].split() == ["12,346", "7", "True"]


def test_square_brackets_are_text_not_style():
    assert _drawn(pd.DataFrame({"metric": ["iou[red]"]}))[1].strip() == "iou[red]"


def test_a_title_and_a_column_may_hold_brackets_and_be_wider_than_the_table():
    drawn = _drawn(pd.DataFrame({"[x]": [1]}), title="all of the [rows] of it")
    assert drawn == ["", "all of the [rows] of it", " [x]", "   1"]


def test_rows_beyond_the_most_are_counted():
    drawn = _drawn(pd.DataFrame({"x": range(5)}), most=2)
    assert "3 further rows are not shown" in drawn[-1]


def test_a_file_gets_a_wide_page(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert wide_console().width == 160
