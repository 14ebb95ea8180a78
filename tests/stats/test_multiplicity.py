import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from tailscope.stats import holm


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_a_missing_p_is_no_member_of_the_family():
    found = holm([np.nan, 0.02, 0.03])
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [0.04, 0.04])


def test_an_empty_family_is_empty():
    assert holm([]).size == 0
