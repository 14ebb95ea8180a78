"""Settings that make no sense are refused by name."""

from __future__ import annotations

import pytest

from tailscope.core import InputError, check_choice


def test_an_unknown_choice_is_refused_with_the_choices() -> None:
    check_choice("channels", "sum", ("sum", "largest"))
    with pytest.raises(InputError, match="`channels` must be one of 'sum', 'largest'; got 'mean'"):
        check_choice("channels", "mean", ("sum", "largest"))
