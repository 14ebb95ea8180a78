import numpy as np
import pytest

from tailscope.core.records import ClassCounts
from tailscope.treatments.balance_audit import balance_audit
from tailscope.treatments.group_balanced import GroupBalancedSampling

CLASSES = ("pneumothorax", "mass")


@pytest.fixture
def tied():
    rng = np.random.default_rng(0)
    labels = (rng.random((800, 2)) < [0.2, 0.1]).astype(float)
    tube = np.where(labels[:, 0] == 1, rng.random(800) < 0.9, rng.random(800) < 0.05)
    labels[::50, 1] = np.nan
    return labels, tube


def _slow(labels, weights, tube, c, side, group):
    inside = sum(w for w, row, g in zip(weights, labels, tube, strict=True) if row[c] == side and g == group)
    return inside / sum(w for w, row in zip(weights, labels, strict=True) if row[c] == side)


def test_shares_agree_with_counting_image_by_image(tied):
    labels, tube = tied
    weights = np.random.default_rng(1).random(800)

    found = balance_audit(labels, weights, ("tube", tube), CLASSES)["classes"]

    for c, name in enumerate(CLASSES):
        for group in (False, True):
            shares = found[name][str(group)]
            for side, key in ((1, "positives"), (0, "negatives")):
                assert shares[key] == pytest.approx(_slow(labels, np.ones(800), tube, c, side, group))
                assert shares[f"{key}_drawn"] == pytest.approx(_slow(labels, weights, tube, c, side, group))


def test_the_remedy_makes_the_tube_as_frequent_among_positives_as_among_negatives(tied):
    labels, tube = tied
    sampler = GroupBalancedSampling("tube", classes=("pneumothorax",))(ClassCounts.from_targets(CLASSES, labels))
    weights = sampler.sample_weights(labels, {"tube": tube})

    found = balance_audit(labels, weights, ("tube", tube), CLASSES)["classes"]["pneumothorax"]["True"]

    assert found["positives"] > 0.85
    assert found["negatives"] < 0.1
    assert (found["positives_drawn"], found["negatives_drawn"]) == pytest.approx((0.5, 0.5))


def test_a_side_without_an_image_has_no_shares(tied):
    labels, tube = tied
    labels[:, 1] = 0

    found = balance_audit(labels, np.ones(800), ("tube", tube), CLASSES)["classes"]["mass"]["True"]

    assert np.isnan(found["positives"])
    assert np.isfinite(found["negatives"])
