from __future__ import annotations

import numpy as np
from scipy import stats

from tailscope.core import child_seed, generator, uniforms


def test_seeds_are_pinned_so_that_no_machine_or_release_moves_them():
    assert child_seed(0, "weights") == 3797744677657176342


def test_a_number_and_its_text_are_different_names():
    assert child_seed(0, 1) != child_seed(0, "1")


def test_names_do_not_run_together():
    assert child_seed(0, "ab", "c") != child_seed(0, "a", "bc")


def test_generators_of_one_name_repeat():
    assert generator(3, "x").random() == generator(3, "x").random()


def test_uniforms_depend_on_their_address_alone():
    whole = uniforms(5, np.arange(100), 4)
    assert (whole[[70, 3]] == uniforms(5, np.array([70, 3]), 4)).all()
    assert (whole[:, :2] == uniforms(5, np.arange(100), 2)).all()


def test_uniforms_are_uniform_and_uncorrelated():
    drawn = uniforms(child_seed(1, "views", 0), np.arange(20_000), 3)
    assert stats.kstest(drawn.ravel(), "uniform").pvalue > 0.001
    assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.03
    assert drawn.min() >= 0
    assert drawn.max() < 1
