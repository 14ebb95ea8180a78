import numpy as np
import pytest
from scipy import stats

from tailscope.core import InputError
from tailscope.stats import rank_distribution, seed_scatter

RNG = np.random.default_rng(8)


def coarse(*shape):
    """Numbers with many ties."""
    return RNG.integers(0, 4, shape) / 4


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_ranks_and_their_distribution_are_those_of_scipy(direction):
    values, drawn = coarse(4, 6), coarse(4, 6, 50)
    found = rank_distribution(values, drawn, direction)
    sign = -1 if direction == "higher" else 1
    assert found.mean_rank == pytest.approx(stats.rankdata(sign * values, axis=0).mean(axis=1))
    means = stats.rankdata(sign * drawn, axis=0).mean(axis=1)
    assert np.stack([found.lo, found.hi]) == pytest.approx(np.quantile(means, [0.025, 0.975], axis=1))
    best = means.round(9) == means.round(9).min(axis=0)
    assert found.first == pytest.approx((best / best.sum(axis=0)).mean(axis=1))
    assert found.classes == 6


def test_every_arm_has_a_place_and_every_place_an_arm():
    places = rank_distribution(coarse(5, 3), coarse(5, 3, 40), "higher").places
    assert places.sum(axis=0) == pytest.approx(np.ones(5))
    assert places.sum(axis=1) == pytest.approx(np.ones(5))


def test_arms_that_tie_share_their_rank_and_their_places():
    values = np.array([[0.5], [0.9], [0.5]])
    found = rank_distribution(values, values[:, :, None], "higher")
    assert found.mean_rank.tolist() == [2.5, 1.0, 2.5]
    assert found.places.tolist() == [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]


def test_values_that_differ_by_rounding_tie():
    values = np.array([[0.3], [0.1 + 0.2]])
    assert rank_distribution(values, values[:, :, None], "higher").mean_rank.tolist() == [1.5, 1.5]


def test_a_class_that_one_arm_lacks_is_left_out_of_all_arms():
    values, drawn = coarse(3, 4), coarse(3, 4, 20)
    without = rank_distribution(np.delete(values, 1, axis=1), np.delete(drawn, 1, axis=1), "higher")
    values[2, 1] = np.nan
    found = rank_distribution(values, drawn, "higher")
    assert found.classes == 3
    assert found.mean_rank.tolist() == without.mean_rank.tolist()
    assert found.places.tolist() == without.places.tolist()


def test_a_resample_with_a_missing_value_is_left_out():
    values, drawn = coarse(3, 4), coarse(3, 4, 20)
    without = rank_distribution(values, drawn[:, :, 1:], "higher")
    drawn[0, 0, 0] = np.nan
    assert rank_distribution(values, drawn, "higher").places.tolist() == without.places.tolist()


def test_without_a_class_nothing_is_ranked():
    found = rank_distribution(np.full((2, 3), np.nan), np.full((2, 3, 5), np.nan), "higher")
    assert found.classes == 0
    assert np.isnan([*found.mean_rank, *found.lo, *found.first]).all()


def test_order_of_the_arms_does_not_matter():
    values, drawn = coarse(3, 4), coarse(3, 4, 30)
    found, turned = (rank_distribution(values[at], drawn[at], "higher") for at in ([0, 1, 2], [2, 0, 1]))
    assert turned.mean_rank.tolist() == found.mean_rank[[2, 0, 1]].tolist()
    assert turned.places == pytest.approx(found.places[[2, 0, 1]])


def test_seed_noise_makes_a_lead_that_is_within_it_uncertain():
    values = np.array([[0.80], [0.81]])
    drawn = np.repeat(values[:, :, None], 4000, axis=2)
    sure = rank_distribution(values, drawn, "higher")
    found = rank_distribution(values, drawn, "higher", seed_scatter=np.array([[0.01]]), seed=1)
    assert sure.first.tolist() == [0.0, 1.0]
    # the difference of two means with SD .01 each has SD .01·√2
    assert found.first[1] == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.025)


def test_classes_of_a_run_move_together_so_more_classes_do_not_make_the_mean_rank_surer():
    runs = RNG.normal(0, 0.01, (2, 4, 1)) + np.zeros((2, 4, 10))
    means = np.zeros((2, 10))
    drawn = np.zeros((2, 10, 500))
    together = rank_distribution(means, drawn, "higher", seed_scatter=seed_scatter(runs))
    apart = rank_distribution(means, drawn, "higher", seed_scatter=seed_scatter(RNG.normal(0, 0.01, (2, 40, 10))))
    assert (together.hi - together.lo).tolist() == [1.0, 1.0]
    assert (apart.hi - apart.lo).max() < 0.8


def test_the_same_seed_gives_the_same_distribution_and_another_seed_another():
    values, drawn, rows = coarse(3, 4), coarse(3, 4, 60), RNG.normal(0, 0.1, (5, 4))
    first, again, other = (
        rank_distribution(values, drawn, "higher", seed_scatter=rows, seed=seed) for seed in (1, 1, 2)
    )
    assert first.places.tolist() == again.places.tolist()
    assert first.places.tolist() != other.places.tolist()


def test_the_interval_covers_the_mean_rank_that_is_expected_of_such_an_experiment():
    truth = np.linspace(0.0, 0.01, 3)[:, None] + RNG.normal(0, 0.005, (3, 6))

    def experiment():
        return truth[:, None] + RNG.normal(0, 0.006, (3, 3, 6)) + RNG.normal(0, 0.006, (3, 1, 6))

    expected = np.mean([stats.rankdata(-experiment().mean(axis=1), axis=0).mean(axis=1) for _ in range(2000)], axis=0)
    covered = []
    for number in range(150):
        runs = experiment()
        drawn = runs.mean(axis=1)[:, :, None] + RNG.normal(0, 0.006, (3, 6, 200))
        scatter = seed_scatter(runs)
        found = rank_distribution(runs.mean(axis=1), drawn, "higher", seed_scatter=scatter, seed=number)
        covered.append((found.lo <= expected) & (expected <= found.hi))
    # of 450 intervals; those of three arms of one experiment go together, so 150 count: 95 % less three times 1.8 %
    assert np.mean(covered) > 0.895


@pytest.mark.parametrize(
    ("values", "drawn", "rows"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4, 5)), None),
        (np.zeros((2, 3)), np.zeros((2, 3, 0)), None),
        (np.zeros((2, 3)), np.zeros((2, 3, 5)), np.zeros((4, 2))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(values, drawn, rows):
    with pytest.raises(InputError, match=r"expected \(A, K\)|`seed_scatter` must be"):
        rank_distribution(values, drawn, "higher", seed_scatter=rows)
