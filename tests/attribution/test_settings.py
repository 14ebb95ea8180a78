"""Settings that make no sense are refused by name."""

from __future__ import annotations

import pytest

from tailscope.attribution.settings import require_between, require_whole
from tailscope.core import InputError


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3"])
def test_what_is_no_whole_number_of_one_or_more_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="`steps` must be a whole number, 1 or more; got"):
        require_whole("steps", value)


def test_the_least_number_passes_and_one_less_is_refused() -> None:
    require_whole("masks", 2, 2)
    with pytest.raises(InputError, match="2 or more; got 1"):
        require_whole("masks", 1, 2)


@pytest.mark.parametrize("value", [0, 1, 1.5, float("nan"), "0.5", True])
def test_a_number_outside_an_open_interval_is_refused(value: object) -> None:
    require_between("p", 0.5, 0, 1)
    with pytest.raises(InputError, match="`p` must be a number above 0 and below 1; got"):
        require_between("p", value, 0, 1)
