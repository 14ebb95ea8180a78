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


def test_long_text_is_folded_but_numbers_and_headers_are_not():
    frame = pd.DataFrame({"reason": ["word " * 40], "patients": [1_234_567]})
    drawn = _drawn(frame)
    assert drawn[0].split() == ["reason", "patients"]
    assert drawn[1].endswith("1,234,567")
    assert len(drawn) > 2


def test_a_row_too_wide_for_the_screen_becomes_a_block_of_lines():
    frame = pd.DataFrame({f"a rather long header {number}": [number, number + 1] for number in range(6)})
    drawn = _drawn(frame)
    assert drawn[:2] == ["a rather long header 0  0", "a rather long header 1  1"]
    assert drawn[6:8] == ["", "a rather long header 0  1"]
    assert len(drawn) == 13


def test_tiny_numbers_keep_their_digits():
    assert _drawn(pd.DataFrame({"p": [0.00004]}))[1].strip() == "4.0e-05"
