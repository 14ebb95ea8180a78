import numpy as np
import pytest
from scipy import stats

from tailscope.core import InputError
from tailscope.stats import ComparisonSettings, MetricSamples, arm_estimate, paired_difference
from tailscope.stats.differences import logarithmic, seed_variance_floor

RNG = np.random.default_rng(5)


def cell(values, resampled=None, patients=40, **more):
    values = np.asarray(values, dtype=float)
    arms = ("control", *(f"t{number}" for number in range(1, len(values))))
    drawn = np.tile(values.mean(axis=1)[:, None], 100) if resampled is None else np.asarray(resampled, dtype=float)
    fixed = {"lens": "performance", "metric": "auroc", "class_name": "a", "group": "head", "n": 500}
    counts = {"patients": patients, "positive_patients": patients, "negative_patients": 400}
    return MetricSamples(**{**fixed, **counts, "arms": arms, "values": values, "resampled": drawn, **more})


def noisy():
    values = RNG.normal(0.8, 0.01, (3, 4))
    return cell(values, RNG.normal(0.8, 0.02, (3, 300)), patients=25)


def test_variance_and_degrees_of_freedom_are_those_of_the_definition():
    samples = noisy()
    found = paired_difference(samples, 2)
    within = np.mean([np.var(row, ddof=1) for row in samples.values])
    seed, patient = 2 * within / 4, np.var(samples.resampled[2] - samples.resampled[0], ddof=1)
    df = (seed + patient) ** 2 / (seed**2 / (3 * 3) + patient**2 / 24)
    assert found.difference == pytest.approx((samples.values[2] - samples.values[0]).mean())
    assert (found.seed_part, found.patient_part, found.df) == pytest.approx((seed, patient, df))
    assert found.seed_noise == pytest.approx(np.sqrt(seed))
    assert found.seed_share == pytest.approx(seed / (seed + patient))


def test_interval_p_and_detectable_effect_use_one_t_distribution():
    found = paired_difference(noisy(), 1)
    t = found.difference / found.se
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), found.df))
    half = stats.t.ppf(0.95, found.df) * found.se
    assert found.interval(0.90) == pytest.approx((found.difference - half, found.difference + half))
    assert found.detectable(10) == pytest.approx((stats.t.ppf(1 - 0.05 / 20, found.df) + 0.84) * found.se)


def test_without_patient_variance_the_test_is_students_two_sample_t_test():
    values = [[0.70, 0.72, 0.71], [0.75, 0.73, 0.77]]
    found = paired_difference(cell(values), 1)
    expected = stats.ttest_ind(values[1], values[0])
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_the_floor_replaces_a_smaller_seed_variance_only():
    samples = noisy()
    own = samples.seed_variance
    assert paired_difference(samples, 1, floor=4 * own).seed_part == pytest.approx(2 * 4 * own / 4)
    assert paired_difference(samples, 1, floor=own / 2).seed_part == pytest.approx(2 * own / 4)


def test_the_floor_is_the_median_over_estimable_classes():
    assert seed_variance_floor([4.0, 1.0, np.nan, 2.0]) == 2.0
    assert seed_variance_floor([np.nan]) == 0.0


@pytest.mark.parametrize("margin", [0.001, 0.02, 0.05])
def test_p_of_equivalence_is_below_5_percent_exactly_where_the_90_percent_interval_lies_inside(margin):
    for _ in range(20):
        found = paired_difference(noisy(), 1)
        lo, hi = found.interval(0.90)
        assert (found.p_within(-margin, margin) < 0.05) == (-margin < lo and hi < margin)


def test_at_the_edge_the_p_of_equivalence_is_one_half():
    found = paired_difference(cell([[0.0, 0.1, 0.2], [0.5, 0.6, 0.7]]), 1)
    assert found.p_within(-0.5, 0.5) == pytest.approx(0.5)


def test_p_beyond_a_margin_sums_both_tails_and_is_the_two_sided_p_without_margin():
    found = paired_difference(noisy(), 1)
    size, margin = abs(found.difference), 0.01
    tails = stats.t.sf((size - margin) / found.se, found.df) + stats.t.sf((size + margin) / found.se, found.df)
    assert found.p_beyond(margin) == pytest.approx(min(tails, 1))
    assert found.p_beyond(0.0) == pytest.approx(found.p)
    assert found.p_beyond(margin) > found.p


def test_arms_that_agree_exactly_are_equivalent_with_p_1():
    found = paired_difference(cell([[0.8] * 3, [0.8] * 3]), 1)
    assert (found.p, found.p_within(-0.02, 0.02), found.p_beyond(0.02)) == (1.0, 0.0, 1.0)
    assert found.interval() == (found.difference, found.difference)
    assert abs(found.difference) < 1e-12
    assert np.isnan(found.seed_share)


def test_a_difference_without_any_variance_is_not_tested():
    found = paired_difference(cell([[0.8] * 3, [0.9] * 3]), 1)
    assert found.reason == "no variance could be estimated"
    assert np.isnan(found.p)
    assert np.isnan(found.interval()).all()


def test_one_seed_gives_a_percentile_interval_and_no_p():
    found = paired_difference(cell([[0.8], [0.9]], RNG.normal(0.8, 0.1, (2, 200))), 1)
    assert found.reason == "one seed per arm: seed noise is unknown"
    assert np.isnan(found.p)
    assert found.percentile[0] < found.percentile[1]


def test_one_patient_gives_no_p():
    found = paired_difference(cell([[0.8, 0.7], [0.9, 0.7]], RNG.normal(0, 1, (2, 50)), patients=1), 1)
    assert found.reason == "fewer than 2 patients"
    assert np.isnan(found.p)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (cell([[0.8, 0.7], [0.9, 0.7]], reason="no positive test image"), "no positive test image"),
        (cell([[0.8, np.nan], [0.9, 0.7]]), "a run has no value"),
        (cell([[0.8, 0.7], [0.9, 0.7]], np.full((2, 5), np.nan)), "fewer than 2 resamples have a value"),
    ],
)
def test_a_cell_that_is_not_estimable_says_why(samples, reason):
    assert paired_difference(samples, 1).reason == reason
    assert arm_estimate(samples, 0).reason == reason
    assert np.isnan(samples.seed_variance)


def test_log_ratios_need_values_above_0():
    assert logarithmic(cell([[0.8, 0.0], [0.9, 0.7]])).reason == "a value is not above 0"


def test_control_is_not_compared_with_itself():
    with pytest.raises(InputError, match="`arm` must be 1 to 1"):
        paired_difference(cell([[0.8, 0.7], [0.9, 0.7]]), 0)


def test_samples_that_do_not_fit_the_arms_are_refused():
    with pytest.raises(InputError, match="one row per arm"):
        cell([[0.8, 0.7], [0.9, 0.7]], np.ones((3, 5)))


@pytest.mark.parametrize("wrong", [{"lens_margin": 0.0}, {"alpha": 1.0}, {"ratio_limits": (1.1, 1.25)}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=r"margins must|must enclose 1"):
        ComparisonSettings(**wrong)


def test_an_arm_estimate_has_half_the_seed_variance_of_a_difference():
    samples = noisy()
    found = arm_estimate(samples, 1)
    seed, patient = samples.seed_variance / 4, np.var(samples.resampled[1], ddof=1)
    df = (seed + patient) ** 2 / (seed**2 / 9 + patient**2 / 24)
    assert found.hi - found.value == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(seed + patient))
    assert found.value == pytest.approx(samples.values[1].mean())


def test_an_arm_estimate_without_variance_is_a_point():
    found = arm_estimate(cell([[0.8] * 3]), 0)
    assert (found.lo, found.hi) == (found.value, found.value)


def test_an_arm_estimate_of_one_seed_or_one_patient_has_no_interval():
    one_seed = arm_estimate(cell([[0.8]]), 0)
    one_patient = arm_estimate(cell([[0.8, 0.7]], RNG.normal(0, 1, (1, 50)), patients=1), 0)
    assert one_seed.reason == "one seed per arm: seed noise is unknown"
    assert one_patient.reason == "fewer than 2 patients"
    assert np.isnan([one_seed.lo, one_patient.lo]).all()


def test_an_unknown_arm_has_no_estimate():
    with pytest.raises(InputError, match="`arm` must be 0 to 0; got 1"):
        arm_estimate(cell([[0.8, 0.7]]), 1)
