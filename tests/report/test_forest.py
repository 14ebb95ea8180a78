import math

import pytest

from tailscope.report.forest import Scale, common_scale, interval_picture


def test_a_missing_value_has_no_picture():
    assert interval_picture(math.nan, 0.0, 1.0, Scale(0.0, 1.0)) == ""


def test_a_value_without_interval_is_a_dot_alone():
    picture = interval_picture(0.5, None, 1.0, Scale(0.0, 1.0))
    assert "dot" in picture
    assert "whisker" not in picture


@pytest.mark.parametrize("values", [[], [0.0], [math.nan, None]])
def test_a_scale_of_nothing_still_has_a_length(values):
    scale = common_scale(values)
    assert scale.high > scale.low


def test_the_scale_holds_zero_and_all_finite_values():
    assert common_scale([0.2, math.inf, -0.1]) == Scale(-0.1, 0.2)
