import numpy as np
import pytest

from tailscope.core import InputError
from tailscope.performance import auroc, performance_table, threshold_at_specificity

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(50, 3))
TARGETS = (RNG.random((50, 3)) < 0.4).astype(float)
TARGETS[:, 2] = 0


def test_the_table_holds_every_class_and_every_mean_with_its_number_of_classes():
    table = performance_table(LOGITS, TARGETS, ["a", "b", "c"], groups=["head", "medium", "tail"])
    part = table[table["metric"] == "auroc"].set_index("class")
    assert list(part.index) == ["a", "b", "c", "macro", "head", "medium", "tail"]
    assert part.loc["macro", "value"] == pytest.approx(np.nanmean(auroc(LOGITS, TARGETS)))
    assert part["n"].tolist() == [50, 50, 50, 2, 1, 1, 0]
    assert part.loc["a", "positives"] == TARGETS[:, 0].sum()


def test_every_missing_value_has_a_reason_and_no_other():
    table = performance_table(LOGITS, TARGETS, ["a", "b", "c"], groups=["head", "medium", "tail"])
    assert (table["value"].isna() == (table["reason"] != "")).all()
    assert set(table.loc[table["class"] == "c", "reason"]) == {"no positive image"}


def test_the_operating_point_comes_from_validation():
    validation = (RNG.normal(size=(80, 3)), (RNG.random((80, 3)) < 0.4).astype(float))
    thresholds = threshold_at_specificity(*validation, specificity=0.9)
    table = performance_table(LOGITS, TARGETS, ["a", "b", "c"], thresholds=thresholds).set_index(["metric", "class"])
    for number, name in enumerate("ab"):
        positive, called = TARGETS[:, number] == 1, thresholds[number] < LOGITS[:, number]
        assert table.loc[("sensitivity", name), "value"] == pytest.approx(called[positive].mean())
        assert table.loc[("specificity", name), "value"] == pytest.approx((~called[~positive]).mean())


def test_an_image_at_the_threshold_is_called_negative():
    table = performance_table([[0.5], [0.5]], [[1], [0]], ["a"], thresholds=[0.5]).set_index(["metric", "class"])
    assert table.loc[("sensitivity", "a"), "value"] == 0
    assert table.loc[("specificity", "a"), "value"] == 1


def test_a_class_without_operating_point_says_so():
    table = performance_table([[0.1], [0.9]], [[0], [1]], ["a"], thresholds=[np.nan]).set_index(["metric", "class"])
    assert table.loc[("sensitivity", "a"), "reason"] == "no operating point on validation"


def test_a_class_without_any_label_names_both():
    table = performance_table([[0.1], [0.2]], [[np.nan], [np.nan]], ["a"])
    assert table["reason"].iloc[0] == "no positive and no negative image"


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="expected 3 class names and groups; got 2 and none"):
        performance_table(LOGITS, TARGETS, ["a", "b"])


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="got 3 and 1"):
        performance_table(LOGITS, TARGETS, ["a", "b", "c"], groups=["head"])


def test_the_own_threshold_of_a_run_is_probability_one_half():
    logits = np.array([[-1.0], [0.5], [2.0], [-0.1], [0.3]])
    targets = np.array([[0.0], [0.0], [1.0], [1.0], [np.nan]])
    table = performance_table(logits, targets, ["mass"]).set_index(["metric", "class"])["value"]

    predicted = 1 / (1 + np.exp(-logits[:4, 0])) > 0.5
    assert table["sensitivity_at_half", "mass"] == predicted[2:].mean() == 0.5
    assert table["specificity_at_half", "mass"] == (~predicted[:2]).mean() == 0.5
