import numpy as np
import pytest
from scipy.special import expit

from tailscope.core import InputError
from tailscope.performance import net_benefit, net_benefit_of_treating_all, resampled_net_benefit

RNG = np.random.default_rng(7)
IMAGES = 80
LOGITS = RNG.normal(-1, 2, (IMAGES, 2))
LABELS = (RNG.random((IMAGES, 2)) < [0.4, 0.1]).astype(float)
LABELS[:5, 0] = np.nan
AT = (0.05, 0.2, 0.5)


def slow(logits, labels):
    """Count by count, as in the paper."""
    found = []
    for chance in AT:
        true = false = images = 0
        for logit, label in zip(logits, labels, strict=True):
            if not np.isnan(label):
                images += 1
                true += bool(expit(logit) >= chance and label == 1)
                false += bool(expit(logit) >= chance and label == 0)
        found.append(true / images - false / images * chance / (1 - chance))
    return found


def test_net_benefit_is_counted_as_in_the_paper():
    expected = [slow(LOGITS[:, number], LABELS[:, number]) for number in range(2)]
    np.testing.assert_allclose(net_benefit(LOGITS, LABELS, AT), expected, rtol=1e-12)


def test_a_hand_computed_case():
    # 10 images, 4 positive; above 1/4: 3 true and 2 false: 0.3 − 0.2 · (1/4)/(3/4)
    risk = np.array([0.9, 0.8, 0.3, 0.1, 0.6, 0.26, 0.1, 0.1, 0.1, 0.1])
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert net_benefit(np.log(risk / (1 - risk)), labels, [0.25])[0, 0] == pytest.approx(0.3 - 0.2 / 3)


def test_an_image_at_the_threshold_is_treated():
    assert net_benefit([0.0, -9.0], [1, 0], [0.5]).tolist() == [[0.5]]


def test_resampled_net_benefit_is_that_of_the_copies():
    draws = RNG.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=70)
    found = resampled_net_benefit(LOGITS, LABELS, AT, draws)
    for resample, counts in enumerate(draws):
        copies = np.repeat(np.arange(IMAGES), counts)
        np.testing.assert_allclose(found[resample], net_benefit(LOGITS[copies], LABELS[copies], AT), atol=1e-12)


def test_treating_all_is_worth_the_prevalence_less_the_false_positives_at_their_price():
    prevalence = np.nanmean(LABELS, axis=0)
    for place, chance in enumerate(AT):
        expected = prevalence - (1 - prevalence) * chance / (1 - chance)
        np.testing.assert_allclose(net_benefit_of_treating_all(LABELS, AT)[:, place], expected)


def test_treating_all_at_the_prevalence_is_worth_nothing():
    assert net_benefit_of_treating_all([1, 0, 0, 0], [0.25])[0, 0] == pytest.approx(0)


def test_a_class_with_one_label_is_not_estimable():
    assert np.isnan(net_benefit([1.0, 2.0], [0, 0], AT)).all()
    assert np.isnan(net_benefit_of_treating_all([1, 1], AT)).all()


@pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.0), (np.nan,)])
def test_thresholds_outside_zero_and_one_are_refused(thresholds):
    with pytest.raises(InputError, match="`thresholds` must be one or more probabilities"):
        net_benefit(LOGITS, LABELS, thresholds)
