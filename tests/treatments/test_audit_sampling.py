import json
import math

import numpy as np
import pytest
from scipy import stats

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.core.seeding import generator
from tailscope.treatments.chance import chi_square, count_extremes, pattern_chi_square
from tailscope.treatments.draws import draws_of, label_patterns
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.sampling_audit import sampling_audit
from tailscope.treatments.spill_over import spill_over

CLASSES = ("mass", "nodule", "hernia")


@pytest.fixture(scope="module")
def targets():
    rng = generator(0, "audit test")
    labels = (rng.random((4000, 3)) < [0.3, 0.1, 0.01]).astype(float)
    labels[:, 1] = np.where(rng.random(4000) < 0.5, labels[:, 0], labels[:, 1])  # nodules come with masses
    labels[rng.random((4000, 3)) < 0.05] = np.nan
    return labels


def _weights(targets, **settings):
    return WeightedSampling(**settings)(ClassCounts.from_targets(CLASSES, targets)).sample_weights(targets)


def test_the_shares_count_positive_draws_class_by_class_and_pair_by_pair(targets):
    weights = _weights(targets)
    drawn = generator(4, "draws").integers(0, 4000, size=500)
    audit = sampling_audit(targets, weights, drawn, CLASSES)

    both = sum(1 for n in drawn if targets[n, 0] == 1 and targets[n, 1] == 1) / 500
    expected = sum(weights[n] for n in range(4000) if targets[n, 0] == 1 and targets[n, 1] == 1) / weights.sum()

    assert audit["cooccurrence_realised"][0][1] == pytest.approx(both, rel=1e-12)
    assert audit["cooccurrence_expected"][1][0] == pytest.approx(expected, rel=1e-12)
    share = audit["classes"]["mass"]
    assert share["realised"] == pytest.approx(np.mean(targets[drawn, 0] == 1), rel=1e-12)
    assert share["ratio"] == pytest.approx(share["realised"] / share["expected"], rel=1e-12)
    assert share["inflation"] == pytest.approx(share["expected"] / np.mean(targets[:, 0] == 1), rel=1e-12)
    assert sum(int(times) * images for times, images in audit["draw_counts"].items()) == 500
    assert sum(audit["draw_counts"].values()) == 4000


def test_the_largest_ratio_is_the_furthest_from_1_in_either_direction():
    labels = np.array([[1, 0], [0, 1], [0, 0], [0, 0]])
    drawn = np.array([0, 0, 0, 1, 2, 2, 2, 2])  # 3/8 to 1/4 is 1.5, 1/8 to 1/4 is a half

    audit = sampling_audit(labels, np.ones(4), drawn, ["mass", "hernia"])

    assert audit["largest_ratio"] == {"class": "hernia", "ratio": 0.5}


def test_the_expected_number_of_images_drawn_agrees_with_the_mean_over_many_epochs(targets):
    few, rng = targets[:200], generator(3, "epochs")
    weights = _weights(targets)[:200]
    epochs = [rng.choice(200, size=150, p=weights / weights.sum()) for _ in range(2000)]

    audit = sampling_audit(few, weights, epochs[0], CLASSES)

    assert audit["images_drawn_expected"] == pytest.approx(np.mean([len(np.unique(e)) for e in epochs]), abs=0.5)
    assert audit["images_drawn"] == len(np.unique(epochs[0]))


def test_z_has_variance_1_under_the_promised_weights(targets):
    weights = _weights(targets)
    z = []
    for epoch in range(200):
        drawn = generator(epoch, "z").choice(4000, size=1000, p=weights / weights.sum())
        z.append(sampling_audit(targets, weights, drawn, CLASSES)["classes"]["nodule"]["z"])

    assert np.mean(z) == pytest.approx(0, abs=0.25)
    assert np.var(z) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("with_weights", [True, False])
def test_p_values_are_uniform_under_the_promised_weights(targets, with_weights):
    weights = _weights(targets) if with_weights else None
    chances = None if weights is None else weights / weights.sum()
    p = {"chi_square": [], "pattern_chi_square": []}
    for epoch in range(400):
        drawn = generator(epoch, "p").choice(4000, size=1500, p=chances, replace=with_weights)
        audit = sampling_audit(targets, weights, drawn, CLASSES)
        for name, values in p.items():
            values.append(audit[name]["p"])

    assert stats.kstest(p["chi_square"], "uniform").pvalue > 0.001
    assert stats.kstest(p["pattern_chi_square"], "uniform").pvalue > 0.001


def test_chi_square_of_classes_that_exclude_each_other_is_pearson_s():
    chances, drawn = np.array([0.2, 0.3, 0.5]), np.array([25, 20, 55])
    expected = np.diag(chances)

    found = chi_square(drawn / 100 - chances, expected, 100, None)

    oracle = stats.chisquare(drawn, 100 * chances)
    assert found["degrees"] == 2
    assert found["statistic"] == pytest.approx(oracle.statistic)
    assert found["p"] == pytest.approx(oracle.pvalue)


def test_classes_that_always_come_together_count_once():
    expected = np.full((2, 2), 0.3)

    found = chi_square(np.array([0.1, 0.1]), expected, 100, None)

    assert found["degrees"] == 1
    assert found["statistic"] == pytest.approx(0.1**2 / (0.3 * 0.7 / 100))


def test_chi_square_says_nothing_where_nothing_can_vary():
    found = chi_square(np.zeros(2), np.diag([0.5, 0.5]), 100, 100)

    assert (found["statistic"], found["degrees"], math.isnan(found["p"])) == (0.0, 0, True)


def test_label_combinations_are_tested_as_pearson_s_cells_with_the_rare_ones_as_one():
    patterns = np.repeat([0, 1, 2, 3], [60, 30, 7, 3])
    chances = np.full(100, 0.01)
    counts = np.zeros(100, dtype=np.int64)
    counts[[0, 60, 90, 97]] = [40, 10, 0, 0]

    found = pattern_chi_square(patterns, chances, counts, None)

    oracle = stats.chisquare([40, 10, 0], [30, 15, 5])  # 3.5 and 1.5 expected draws are one cell
    assert found["patterns"] == 3
    assert found["statistic"] == pytest.approx(oracle.statistic)
    assert found["p"] == pytest.approx(oracle.pvalue)


def test_label_combinations_are_told_apart():
    positive = np.random.default_rng(0).random((300, 11)) < 0.3

    patterns = label_patterns(positive)

    texts = {"".join("01"[int(cell)] for cell in row) for row in positive}
    assert len(np.unique(patterns)) == len(texts)
    assert all((positive[patterns == p] == positive[patterns == p][0]).all() for p in range(len(texts)))


def test_the_image_drawn_too_often_has_its_binomial_chance_times_the_number_of_images():
    found = count_extremes(np.array([0.5, 0.25, 0.25]), np.array([2, 8, 0]), with_replacement=True)

    assert (found["most"]["times"], found["most"]["expected"]) == (8, 2.5)
    chance = sum(math.comb(10, k) * 0.25**k * 0.75 ** (10 - k) for k in (8, 9, 10))
    assert found["most"]["p"] == pytest.approx(3 * chance)
    few = sum(math.comb(10, k) for k in (0, 1, 2)) / 2**10  # a little less likely than 0 draws where 2.5 are expected
    assert (found["least"]["times"], found["least"]["p"]) == (2, pytest.approx(3 * few))


def test_co_occurrence_that_inflates_a_class_is_named_with_what_brings_it():
    positive = np.zeros((100, 3), dtype=bool)
    positive[:40, 0] = True  # mass
    positive[38:42, 1] = True  # nodule, half of them with mass
    positive[0:2, 2] = True  # hernia, always with mass
    weights = np.ones(100)
    weights[0:2] = 40.0

    found = spill_over(positive, weights / weights.sum(), CLASSES)

    assert (found["class"], found["through"]) == ("mass", "hernia")
    assert found["prevalence"] == 0.4
    assert found["expected"] == pytest.approx((2 * 40 + 38) / 178)
    assert found["inflation"] == pytest.approx((118 / 178) / 0.4)
    assert found["own"] == pytest.approx(100 / 178)  # masses without a rarer class have weight 1


def test_nothing_spills_where_no_class_comes_with_another():
    found = spill_over(np.eye(3, dtype=bool), np.array([0.2, 0.3, 0.5]), CLASSES)

    assert (found["class"], found["through"]) == ("", "")
    assert math.isnan(found["factor"])


def test_each_process_is_audited_by_itself(targets):
    weights = _weights(targets)
    drawn = generator(6, "processes").choice(4000, size=2000, p=weights / weights.sum())
    shares = [drawn[0::2], drawn[1::2]]

    audit = sampling_audit(targets, weights, drawn, CLASSES, shares)

    assert audit["processes_complete"]
    assert audit["processes_alike"] == []
    for mine, process in zip(shares, audit["processes"], strict=True):
        alone = sampling_audit(targets, weights, mine, CLASSES)
        assert process["draws"] == 1000
        assert process["images_drawn"] == alone["images_drawn"]
        for name in CLASSES:
            for key in ("expected", "realised", "z"):
                assert process["classes"][name][key] == pytest.approx(alone["classes"][name][key])


def test_beyond_32_classes_only_the_most_deviating_pairs_are_kept():
    labels = np.random.default_rng(1).random((500, 40)) < 0.2
    audit = sampling_audit(labels, np.ones(500), np.arange(500), [f"class {c}" for c in range(40)])

    assert audit["cooccurrence_expected"] == []
    assert len(audit["pairs"]) == 10
    sizes = [abs(pair["z"]) for pair in audit["pairs"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_size_of_the_audit_does_not_grow_with_the_images():
    rng = np.random.default_rng(2)
    sizes = []
    for images in (1000, 20_000):
        labels = rng.random((images, 3)) < [0.3, 0.1, 0.01]
        drawn = rng.integers(0, images, images)
        sizes.append(len(json.dumps(sampling_audit(labels, np.ones(images), drawn, CLASSES))))

    assert sizes[1] < 1.1 * sizes[0]


def test_counts_give_the_draws_behind_them(targets):
    weights = _weights(targets)
    drawn = generator(7, "order").choice(4000, size=900, p=weights / weights.sum())

    behind = draws_of(np.bincount(drawn, minlength=4000))

    audit = [sampling_audit(targets, weights, each, CLASSES) for each in (drawn, behind)]
    assert audit[0] == audit[1]


def test_the_audit_is_json(targets):
    audit = sampling_audit(targets, _weights(targets), np.arange(4000), CLASSES)

    assert json.loads(json.dumps(audit)) == audit


@pytest.mark.parametrize(
    ("weights", "drawn", "message"),
    [
        (np.ones(3), [0], r"`weights` must be 4 finite numbers, .*; got shape \(3,\)"),
        (np.array([1, 1, 1, -1.0]), [0], "`weights` must be 4 finite numbers, one per image, 0 or more"),
        (np.array([1, 1, 1, np.nan]), [0], "`weights` must be 4 finite numbers"),
        (np.zeros(4), [0], "`weights` must be 4 finite numbers, .* not all 0"),
        (None, [4], r"`drawn` must be one or more numbers in \[0, 4\); got \[4\]"),
        (None, [], r"`drawn` must be one or more numbers in \[0, 4\); got \[\]"),
    ],
)
def test_weights_and_draws_that_do_not_fit_are_refused(weights, drawn, message):
    with pytest.raises(InputError, match=message):
        sampling_audit(np.zeros((4, 1)), weights, np.array(drawn, dtype=np.int64), ["mass"])


def test_targets_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"`targets` must be \(N, 1\), one column per class; got \(4, 2\)"):
        sampling_audit(np.zeros((4, 2)), None, np.arange(4), ["mass"])
