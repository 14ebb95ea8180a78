import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from tailscope.stats import benjamini_hochberg, holm


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_benjamini_hochberg_equals_statsmodels_and_is_never_above_holm(p):
    found = benjamini_hochberg(p)
    np.testing.assert_allclose(found, multipletests(p, method="fdr_bh")[1], atol=1e-12)
    assert (found <= holm(p) + 1e-12).all()


def test_a_missing_p_is_no_member_of_the_family():
    found = holm([np.nan, 0.02, 0.03])
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [0.04, 0.04])


def test_a_missing_p_is_no_discovery_and_adds_none():
    found = benjamini_hochberg([np.nan, 0.02, 0.03, np.nan])
    assert np.isnan(found[[0, 3]]).all()
    np.testing.assert_allclose(found[1:3], [0.03, 0.03])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_an_empty_family_is_empty(adjust):
    assert adjust([]).size == 0
    assert np.isnan(adjust([np.nan])).all()
