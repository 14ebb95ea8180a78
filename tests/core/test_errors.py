from __future__ import annotations

from tailscope.core import ConfigurationError, DataError, InputError, LeakageError, TailscopeError, UnknownNameError


def test_one_problem_is_said_plainly():
    assert str(DataError("row 3 is broken")) == "row 3 is broken"


def test_several_problems_are_numbered():
    text = str(ConfigurationError(["first", "second"]))
    assert text.splitlines() == ["2 problems in the configuration:", "  1. first", "  2. second"]


def test_problems_stay_readable_for_programs():
    assert LeakageError(["a", "b"]).problems == ("a", "b")


def test_wrong_input_is_a_value_error_and_ours():
    assert issubclass(InputError, ValueError)
    assert issubclass(LeakageError, InputError)
    assert issubclass(InputError, TailscopeError)


def test_an_unknown_name_is_shown_without_quotes_around_it():
    assert str(UnknownNameError("no 'x'")) == "no 'x'"
