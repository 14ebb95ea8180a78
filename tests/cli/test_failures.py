from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from tailscope.cli.failures import exit_codes
from tailscope.core import DataError, TrainingError


def _left_with(error, capsys):
    """Exit code and standard error after an error inside the block."""
    with pytest.raises(typer.Exit) as left, exit_codes():
        raise error
    assert left.value.__suppress_context__
    return left.value.exit_code, capsys.readouterr().err


def test_wrong_input_leaves_with_2(capsys):
    expected = (2, "Error: 2 problems in the data:\n  1. a\n  2. b\n")
    assert _left_with(DataError(["a", "b"]), capsys) == expected


def test_a_failure_leaves_with_1(capsys):
    assert _left_with(TrainingError("the loss is not finite"), capsys) == (1, "Failed: the loss is not finite\n")


def test_a_refusal_of_the_system_leaves_with_1(capsys):
    error = PermissionError(13, "Permission denied", "/data")
    assert _left_with(error, capsys) == (1, "Failed: [Errno 13] Permission denied: '/data'\n")


def test_an_interruption_leaves_with_130(capsys):
    expected = (130, "Stopped. Nothing is lost: run the same command again to go on.\n")
    assert _left_with(KeyboardInterrupt(), capsys) == expected


@pytest.mark.parametrize("error", [IndexError("a bug"), BrokenPipeError("nobody reads")])
def test_what_is_not_the_users_to_read_goes_on(error):
    with pytest.raises(type(error), match=str(error)), exit_codes():
        raise error


def test_an_interruption_while_packages_load_is_told_like_any_other():
    program = (
        "import builtins, sys\n"
        "from tailscope.cli import app\n"
        "load = builtins.__import__\n"
        "def stop(name, *rest):\n"
        "    if name == 'pandas':\n"
        "        raise KeyboardInterrupt\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = stop\n"
        "app(['doctor'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "Stopped. Nothing is lost: run the same command again to go on.\n"


def test_a_reader_who_leaves_early_sees_no_traceback(finished):
    query = "select * from range(200000)"
    program = "from tailscope.cli import main; main()"
    writer = subprocess.Popen(
        [sys.executable, "-c", program, "sql", str(finished), query, "--csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    assert writer.stdout.readline() == b"range\n"
    writer.stdout.close()
    said = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait() == 1
    assert said == b""
