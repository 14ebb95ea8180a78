from __future__ import annotations

import io

from rich.console import Console

from tailscope.cli.progress import PlainProgress, TerminalProgress, chosen_progress


def _terminal():
    console = Console(force_terminal=True, file=io.StringIO(), width=100, color_system=None)
    return console, TerminalProgress(console)


def test_plain_lines_come_at_each_quarter_and_at_the_end(capsys):
    with PlainProgress().task("reading images", 8) as advance:
        for _ in range(8):
            advance(1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" images")[1].split(",")[0] for line in lines[:3]] == [": 2 of 8", ": 4 of 8", ": 6 of 8"]
    assert lines[0].endswith(" images/s")
    assert lines[3].startswith("reading images: 8 images in ")
    assert len(lines) == 4


def test_plain_lines_do_not_repeat_when_work_comes_in_large_steps(capsys):
    with PlainProgress().task("epochs", 10, "steps") as advance:
        advance(6)
        advance(4)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epochs: 6 of 10 steps, ")
    assert lines[1].startswith("epochs: 10 steps in ")
    assert len(lines) == 2


def test_a_task_without_work_says_nothing(capsys):
    with PlainProgress().task("reading images", 24):
        pass
    assert capsys.readouterr().out == ""


def test_bars_show_share_rate_and_time_left():
    console, progress = _terminal()
    with progress.task("training", 4, "batches") as advance:
        advance(1)
        advance(1)
        progress._bars.refresh()
    drawn = console.file.getvalue()
    assert "training" in drawn
    assert " 50%" in drawn
    assert "batches/s" in drawn


def test_bars_nest_and_vanish_and_lines_stay():
    console, progress = _terminal()
    with progress.task("runs", 2, "runs") as outer:
        with progress.task("epochs", 3, "epochs") as inner:
            inner(3)
            progress.say("epoch 3 [of 3]")
        outer(1)
        progress._bars.refresh()
    drawn = console.file.getvalue()
    assert "epochs" in drawn
    assert "epoch 3 [of 3]\n" in drawn
    with progress.task("again", 1) as advance:
        advance(1)
    assert "again" in console.file.getvalue()


def test_a_pipe_gets_plain_lines():
    assert isinstance(chosen_progress(), PlainProgress)


def test_a_terminal_gets_bars(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(chosen_progress(), TerminalProgress)
