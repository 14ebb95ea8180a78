import numpy as np

from tailscope.performance import macro


def test_a_mean_over_no_class_says_why():
    found = macro([np.nan])
    assert np.isnan(found.value)
    assert found.reason == "no estimable class"
