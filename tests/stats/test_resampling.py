import numpy as np
import pytest

from tailscope.core import InputError, generator
from tailscope.stats import cluster_multiplicity, cluster_resamples, resampled_mean

PATIENTS = np.array(["p3", "p1", "p1", "p2", "p3", "p3"])


def test_all_images_of_a_patient_are_drawn_equally_often():
    drawn = cluster_multiplicity(PATIENTS, 50, seed=0)
    assert (drawn[:, 0] == drawn[:, 4]).all()
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_draws_do_not_depend_on_the_order_of_the_rows():
    order = np.array([5, 2, 0, 3, 1, 4])
    first = cluster_multiplicity(PATIENTS, 20, seed=1)
    np.testing.assert_array_equal(cluster_multiplicity(PATIENTS[order], 20, seed=1), first[:, order])


def test_the_draws_depend_on_the_seed_alone():
    first = cluster_multiplicity(PATIENTS, 20, seed=1)
    np.testing.assert_array_equal(cluster_multiplicity(PATIENTS, 30, seed=1)[:20], first)
    assert (cluster_multiplicity(PATIENTS, 20, seed=2) != first).any()


def test_every_patient_is_drawn_once_on_average():
    drawn = cluster_multiplicity(np.arange(10), 4000, seed=0)
    np.testing.assert_allclose(drawn.mean(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=0), 0.9, atol=0.1)


@pytest.mark.parametrize(
    ("patients", "dtype"), [(127, np.int8), (128, np.int16), (32_767, np.int16), (32_768, np.int32)]
)
def test_counts_take_the_least_memory_that_holds_every_draw_of_one_patient(patients, dtype):
    drawn = cluster_multiplicity(np.arange(patients), 2, seed=0)
    assert drawn.dtype == dtype
    assert np.iinfo(dtype).max >= patients


def test_the_draws_are_numpys_own_counts_whatever_their_type():
    drawn = cluster_multiplicity(np.arange(200), 3, seed=5)
    for number, row in enumerate(drawn):
        chosen = generator(5, "cluster resample", number).integers(0, 200, 200)
        np.testing.assert_array_equal(row, np.bincount(chosen, minlength=200))


def test_only_resamples_that_miss_a_required_column_are_redrawn_and_counted():
    required = np.stack([PATIENTS == "p2", PATIENTS == "p1"], axis=1)
    free = cluster_multiplicity(PATIENTS, 200, seed=0)
    held = cluster_resamples(PATIENTS, 200, seed=0, required=required)
    fits = (free @ required > 0).all(axis=1)
    assert (held.multiplicity @ required > 0).all()
    np.testing.assert_array_equal(held.multiplicity[fits], free[fits])
    assert held.redrawn >= (~fits).sum() > 0


def test_one_required_column_may_be_one_dimensional():
    found = cluster_resamples(PATIENTS, 50, seed=0, required=PATIENTS == "p2")
    assert (found.multiplicity[:, 3] > 0).all()


def test_a_required_column_without_image_is_refused():
    with pytest.raises(InputError, match=r"columns \[1\] have none"):
        cluster_resamples(PATIENTS, 5, seed=0, required=np.stack([PATIENTS == "p2", PATIENTS == "x"], axis=1))


def test_a_required_mask_of_other_length_is_refused():
    with pytest.raises(InputError, match=r"`required` must be \(6,\) or \(6, J\)"):
        cluster_resamples(PATIENTS, 5, seed=0, required=np.ones(3, dtype=bool))


def test_a_demand_that_no_draw_meets_is_refused():
    with pytest.raises(InputError, match="require fewer"):
        cluster_resamples(np.arange(20), 1, seed=0, required=np.eye(20, dtype=bool))


@pytest.mark.parametrize(("clusters", "resamples"), [([], 5), (["a"], 0), ([["a"]], 5)])
def test_nothing_to_draw_is_refused(clusters, resamples):
    with pytest.raises(InputError, match="expected"):
        cluster_resamples(np.array(clusters), resamples, seed=0)


def test_a_resampled_mean_equals_the_mean_over_repeated_pairs():
    rows = np.array([0, 0, 2, 5, 3])
    values = np.array([1.0, 2.0, np.nan, -4.0, 0.5])
    drawn = cluster_multiplicity(PATIENTS, 30, seed=4)
    for counts, found in zip(drawn, resampled_mean(values, rows, drawn), strict=True):
        repeated = np.repeat(values, counts[rows])
        known = repeated[~np.isnan(repeated)]
        expected = known.mean() if known.size else np.nan
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_resampled_mean_of_no_pair_is_not_estimable():
    assert np.isnan(resampled_mean([], [], np.ones((2, 3), dtype=int))).all()


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="must both be"):
        resampled_mean([1.0], [0, 1], np.ones((2, 3), dtype=int))
    with pytest.raises(InputError, match=r"`rows` must be in \[0, 3\)"):
        resampled_mean([1.0], [3], np.ones((2, 3), dtype=int))
