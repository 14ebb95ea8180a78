import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, roc_curve

from tailscope.core.errors import InputError
from tailscope.core.records import ClassCounts
from tailscope.treatments import TREATMENTS, AffineLogits, FittedOn
from tailscope.treatments.moved_thresholds import best_threshold
from tailscope.treatments.scale_fitting import SCALES, best_scale

COUNTS = ClassCounts(("mass", "nodule", "hernia"), (40, 20, 4), (60, 80, 96))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def fitted_on():
    rng = np.random.default_rng(0)
    features, weight, bias = rng.normal(size=(900, 5)), rng.normal(size=(3, 5)), np.array([-0.5, -1.5, -2.5])
    logits = features @ weight.T + bias
    labels = (rng.random(logits.shape) < _sigmoid(logits / 2)).astype(float)
    labels[::17, 1] = np.nan
    return FittedOn(logits[:600], labels[:600], logits[600:], labels[600:], weight, bias, COUNTS.names)


def _fit(name, fitted_on, **settings):
    return TREATMENTS.build(name, **settings)(COUNTS).after_training.fit(fitted_on)


ADJUSTMENTS = [
    ("prior_shift", {}),
    ("prior_shift", {"target": 0.2, "tau": 0.5}),
    ("temperature", {}),
    ("moved_thresholds", {}),
    ("moved_thresholds", {"criterion": "f1"}),
    ("decoupled", {"method": "tau_normalized", "tau": 2.0}),
    ("decoupled", {"method": "learnt_scale"}),
]


@pytest.mark.parametrize(("name", "settings"), ADJUSTMENTS)
def test_every_adjustment_keeps_the_order_within_each_class(name, settings, fitted_on):
    adjusted = _fit(name, fitted_on, **settings)(fitted_on.val_logits)

    for before, after in zip(fitted_on.val_logits.T, adjusted.T, strict=True):
        assert spearmanr(before, after).statistic == pytest.approx(1)
        assert len(np.unique(after)) == len(np.unique(before))


@pytest.mark.parametrize(("name", "settings"), ADJUSTMENTS)
def test_every_adjustment_says_that_it_ranks_as_what_it_rests_on(name, settings):
    plan = TREATMENTS.build(name, treatment="focal", **settings)(COUNTS)

    assert plan.after_training.base == ("focal", {})
    assert plan.same_ranking.endswith("it ranks as focal does")


def test_the_prior_shift_moves_bayes_posteriors_to_the_other_prevalence():
    prevalence = np.array(COUNTS.prevalences)
    likelihood_ratio = np.array([[0.3, 2.0, 10.0]])
    before = np.log(likelihood_ratio * prevalence / (1 - prevalence))

    after = _fit("prior_shift", None, target=0.2)(before)

    assert _sigmoid(after) == pytest.approx(likelihood_ratio * 0.2 / (likelihood_ratio * 0.2 + 0.8))


def test_tau_0_leaves_the_logits_alone(fitted_on):
    for name, settings in (("prior_shift", {"tau": 0}), ("decoupled", {"method": "tau_normalized", "tau": 0})):
        assert _fit(name, fitted_on, **settings)(fitted_on.val_logits) == pytest.approx(fitted_on.val_logits)


def test_the_temperature_minimises_the_validation_cross_entropy(fitted_on):
    found = _fit("temperature", fitted_on)

    for c in range(3):
        x, y = fitted_on.val_logits[:, c], fitted_on.val_targets[:, c]
        kept = np.isfinite(y)
        loss = lambda s, x=x[kept], y=y[kept]: np.mean(np.logaddexp(0, s * x) - y * s * x)  # noqa: E731
        wanted = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9}).x
        assert found.scale[c] == pytest.approx(wanted, rel=1e-5)
    assert found.shift == (0.0, 0.0, 0.0)


def test_the_training_split_has_no_say_in_the_temperature(fitted_on):
    other = FittedOn(-fitted_on.train_logits, fitted_on.train_targets, fitted_on.val_logits, fitted_on.val_targets,
                     None, fitted_on.head_bias, COUNTS.names)  # fmt: skip

    assert _fit("temperature", other) == _fit("temperature", fitted_on)


def test_the_learnt_scale_minimises_the_weighted_training_cross_entropy_with_the_bias_fixed(fitted_on):
    found = _fit("decoupled", fitted_on, method="learnt_scale")
    drawn = TREATMENTS.build("class_aware_sampling")(COUNTS).sample_weights(fitted_on.train_targets)

    for c in range(3):
        x, y, b = fitted_on.train_logits[:, c], fitted_on.train_targets[:, c], fitted_on.head_bias[c]
        kept = np.isfinite(y)
        z, y, w = (x - b)[kept], y[kept], drawn[kept]
        loss = lambda s, z=z, y=y, w=w, b=b: np.sum(w * (np.logaddexp(0, s * z + b) - y * (s * z + b)))  # noqa: E731
        wanted = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9}).x
        assert found.scale[c] == pytest.approx(wanted, rel=1e-4)
        assert found.shift[c] == pytest.approx((1 - found.scale[c]) * b)


def test_tau_normalisation_divides_what_the_weights_give_by_the_length_of_the_row(fitted_on):
    found = _fit("decoupled", fitted_on, method="tau_normalized", tau=1.0)
    lengths = np.sqrt((fitted_on.head_weight**2).sum(axis=1))
    features = np.linalg.lstsq(fitted_on.head_weight, (fitted_on.val_logits - fitted_on.head_bias).T)[0].T

    normalised = features @ (fitted_on.head_weight / lengths[:, None]).T
    common = np.prod(lengths) ** (1 / 3)

    assert found(fitted_on.val_logits) == pytest.approx(common * normalised + fitted_on.head_bias)


def test_tau_normalisation_refuses_a_network_without_a_linear_head(fitted_on):
    headless = FittedOn(fitted_on.train_logits, fitted_on.train_targets, fitted_on.val_logits, fitted_on.val_targets,
                        None, np.zeros(3), COUNTS.names)  # fmt: skip

    with pytest.raises(InputError, match="tau_normalized needs a network whose last layer is linear"):
        _fit("decoupled", headless, method="tau_normalized")


def test_the_threshold_is_where_scikit_learn_finds_youdens_index_largest(fitted_on):
    x, y = fitted_on.val_logits[:, 0], fitted_on.val_targets[:, 0]
    false, true, _ = roc_curve(y, x, drop_intermediate=False)

    threshold = best_threshold(x, y)

    predicted = x > threshold
    index = predicted[y == 1].mean() - predicted[y == 0].mean()
    assert index == pytest.approx((true - false).max())


def test_the_threshold_is_where_scikit_learn_finds_f1_largest(fitted_on):
    x, y = fitted_on.val_logits[:, 0], fitted_on.val_targets[:, 0]

    threshold = best_threshold(x, y, "f1")

    assert f1_score(y, x > threshold) == pytest.approx(max(f1_score(y, x > cut) for cut in np.sort(x)[:-1]))


def test_a_moved_threshold_lies_at_probability_one_half(fitted_on):
    found = _fit("moved_thresholds", fitted_on)
    threshold = best_threshold(fitted_on.val_logits[:, 2], fitted_on.val_targets[:, 2])

    assert _sigmoid(threshold + found.shift[2]) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["temperature", "moved_thresholds"])
def test_a_class_without_both_sides_in_validation_is_left_alone_and_noted(name, fitted_on):
    targets = fitted_on.val_targets.copy()
    targets[:, 1] = 0
    one_sided = FittedOn(fitted_on.train_logits, fitted_on.train_targets, fitted_on.val_logits, targets,
                         fitted_on.head_weight, fitted_on.head_bias, COUNTS.names)  # fmt: skip

    found = _fit(name, one_sided)

    assert (found.scale[1], found.shift[1]) == (1.0, 0.0)
    assert len(found.notes) == 1
    assert found.notes[0].startswith("class 'nodule': ")


def test_separated_classes_end_at_the_end_of_the_range_and_say_so():
    fit = best_scale(np.array([-1.0, 1.0]), np.array([0.0, 1.0]))
    against = best_scale(np.array([-1.0, 1.0]), np.array([1.0, 0.0]))

    assert (fit.scale, against.scale) == (SCALES[1], SCALES[0])
    assert "separated" in fit.note
    assert "say little" in against.note


def test_an_adjustment_is_plain_values_for_the_record():
    assert AffineLogits((2.0,), (1.0,), ("why",)).as_dict() == {"scale": [2.0], "shift": [1.0], "notes": ["why"]}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("prior_shift", {"target": 0}, r"`target` must be a number in \[1e-06, 0.999999\]; got 0"),
        ("prior_shift", {"tau": -1}, r"`tau` must be a number in \[0, inf\); got -1"),
        ("moved_thresholds", {"criterion": "gmean"}, "`criterion` must be one of 'youden', 'f1'; got 'gmean'"),
        ("decoupled", {"method": "crt"}, "`method` must be one of 'retrain', 'tau_normalized', 'learnt_scale'"),
        ("drw", {"share": 1}, r"`share` must be a number in \[0, 1\); got 1"),
        ("balanced_mixup", {"alpha": -1}, r"`alpha` must be a number in \[0, inf\); got -1"),
        ("warm_up", {"treatment": "focal", "steps": 0}, r"`steps` must be a number in \[1, inf\); got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        TREATMENTS.build(name, **settings)


@pytest.mark.parametrize(
    "base", ["weighted_sampling", {"name": "pos_weighted", "power": 1.0}, "logit_adjusted", "auc_margin"]
)
def test_a_prior_shift_refuses_a_network_that_no_longer_predicts_at_the_training_prevalences(base):
    with pytest.raises(InputError, match=r"prior_shift does not go with .* the shift would count them once more"):
        TREATMENTS.build("prior_shift", treatment=base)(COUNTS)


@pytest.mark.parametrize("base", [{"name": "ldam", "form": "softmax"}, {"name": "ldam", "scale": 2.0}])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("prior_shift", {}),
        ("decoupled", {"method": "tau_normalized"}),
        ("decoupled", {"method": "learnt_scale"}),
    ],
)
def test_steps_on_the_logits_of_sigmoids_refuse_a_soft_max_and_a_scale(name, settings, base):
    with pytest.raises(InputError, match="reads its logits through a soft-max or a scale"):
        TREATMENTS.build(name, treatment=base, **settings)(COUNTS)


def test_a_step_says_what_it_reads():
    reads = {
        name: TREATMENTS.build(name)(COUNTS).after_training.reads
        for name in ("prior_shift", "temperature", "moved_thresholds")
    }
    scaled = TREATMENTS.build("decoupled", method="tau_normalized")(COUNTS).after_training.reads

    assert reads == {"prior_shift": (), "temperature": ("val",), "moved_thresholds": ("val",)}
    assert scaled == ("head",)
