"""From label states to targets."""

from __future__ import annotations

import numpy as np
import pytest

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings
from tailscope.data.views import view_labels
from tailscope.sources import CsvTables

LABELS = "image,mass,edema\n00.png,1,0\n01.png,,-1\n02.png,0,1\n03.png,0,0\n04.png,-1,-1\n"


@pytest.fixture
def dataset(csv_folder):
    folder = csv_folder(labels=LABELS, shapes="image,class,x0,y0,x1,y1\n00.png,mass,0,0,2,2\n02.png,edema,0,0,2,2\n")
    return CsvTables(annotations="shapes.csv")(folder)


def targets(dataset, **settings):
    return view_labels(dataset, DataSettings(**settings)).targets.tolist()


def test_uncertain_is_masked_and_unmentioned_negative_by_default(dataset):
    expected = np.array([[1, 0], [0, np.nan], [0, 1], [0, 0], [np.nan, np.nan]])
    assert np.array_equal(targets(dataset), expected, equal_nan=True)


@pytest.mark.parametrize(("policy", "value"), [("zeros", 0), ("ones", 1)])
def test_uncertain_can_be_zero_or_one(dataset, policy, value):
    assert targets(dataset, uncertain=policy) == [[1, 0], [0, value], [0, 1], [0, 0], [value, value]]


def test_unmentioned_can_be_masked(dataset):
    assert np.isnan(targets(dataset, unmentioned="ignore")[1][0])


def test_classes_can_be_chosen_in_another_order_with_their_annotations(dataset):
    view = view_labels(dataset, DataSettings(classes=("edema",)))
    assert view.classes == ("edema",)
    assert view.annotations["class"].tolist() == ["edema"]
    assert np.array_equal(view.targets[:, 0], [0, np.nan, 1, 0, np.nan], equal_nan=True)


def test_binary_is_any_finding_with_the_annotations_of_all(dataset):
    view = view_labels(dataset, DataSettings(labels="binary"))
    assert view.classes == ("any finding",)
    assert np.array_equal(view.targets[:, 0], [1, np.nan, 1, 0, np.nan], equal_nan=True)
    assert view.annotations["class"].tolist() == ["any finding", "any finding"]


def test_policies_are_noted_with_their_counts(dataset):
    notes = view_labels(dataset, DataSettings()).notes
    assert notes == ("3 uncertain labels became ignore", "1 unmentioned labels became negative")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("mas",), "has no class 'mas'; did you mean 'mass'"),
        (("mass", "mass"), "names a class twice"),
        ((), "`classes` is empty"),
    ],
)
def test_a_wrong_choice_of_classes_is_refused(dataset, classes, message):
    with pytest.raises(DataError, match=message):
        view_labels(dataset, DataSettings(classes=classes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": "crop"}, "`resize` must be one of"),
        ({"channels": 2}, "`channels` must be one of"),
        ({"labels": "single"}, "`labels` must be one of"),
        ({"uncertain": "maybe"}, "`uncertain` must be one of"),
        ({"unmentioned": "zero"}, "`unmentioned` must be one of"),
        ({"image_size": (0, 5)}, "`image_size` must be"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        DataSettings(**settings)


def test_uncertain_can_be_decided_class_by_class_and_a_class_without_a_policy_is_masked(dataset):
    found = np.array(targets(dataset, uncertain={"edema": "ones"}))
    assert found[[1, 4], 1].tolist() == [1, 1]
    assert np.isnan(found[4, 0])


def test_the_notes_name_the_classes_of_each_policy(dataset):
    notes = view_labels(dataset, DataSettings(uncertain={"edema": "ones", "mass": "zeros"})).notes
    assert "2 uncertain labels became ones (edema)" in notes
    assert "1 uncertain labels became zeros (mass)" in notes


def test_a_policy_of_an_unknown_class_or_an_unknown_policy_is_refused(dataset):
    with pytest.raises(DataError, match="`uncertain` names 'edma', which is no class used here; did you mean 'edema'"):
        targets(dataset, uncertain={"edma": "ones"})
    with pytest.raises(InputError, match=r"`uncertain` must be one of .*, or one of them per class; got 'maybe'"):
        targets(dataset, uncertain={"edema": "maybe"})


def test_a_soft_label_is_unknown_but_for_training(dataset):
    view = view_labels(dataset, DataSettings(uncertain="soft(0.7)"))
    assert np.array_equal(view.targets, view_labels(dataset, DataSettings()).targets, equal_nan=True)
    assert np.allclose(view.training, [[1, 0], [0, 0.7], [0, 1], [0, 0], [0.7, 0.7]])
    split = np.array(["train", "train", "val", "test", "val"])
    targets, soft = view.dealt(split)
    assert np.isnan(targets[[1, 4], 1]).all()
    assert np.allclose(soft, [[np.nan, np.nan], [np.nan, 0.7], *[[np.nan] * 2] * 3], equal_nan=True)
    assert "3 uncertain labels became soft(0.7); outside training they are unknown" in view.notes


def test_each_class_may_have_its_own_probability(dataset):
    view = view_labels(dataset, DataSettings(uncertain={"edema": "soft(0.25)", "mass": "ones"}))
    assert np.allclose(view.training[4], [1, 0.25])
    assert view.targets[4, 0] == 1
    assert np.isnan(view.targets[4, 1])
    assert "2 uncertain labels became soft(0.25) (edema); outside training they are unknown" in view.notes


def test_without_uncertain_training_images_nothing_is_soft(dataset):
    view = view_labels(dataset, DataSettings(uncertain="soft(0.7)"))
    assert view.dealt(np.array(["train", "test", "train", "train", "test"]))[1] is None


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            "soft(1)",
            r"`uncertain: soft\(1\)` needs a probability between 0 and 1, both left out; got 1: write zeros or",
        ),
        ("soft(0)", "needs a probability between 0 and 1"),
        ("soft(1.5)", "got 1.5"),
        ("soft(half)", r"`uncertain` must be one of zeros, ones, ignore, soft\(p\), .*got 'soft\(half\)'"),
        ("soft(-0.5)", "`uncertain` must be one of"),
        (0.5, "got 0.5"),
    ],
)
def test_a_probability_must_lie_between_0_and_1(policy, message):
    with pytest.raises(InputError, match=message):
        DataSettings(uncertain=policy)


def test_a_binary_label_takes_no_probability(dataset):
    with pytest.raises(InputError, match=r"`labels: binary` takes no probability.*got `uncertain: soft\(0.5\)`"):
        DataSettings(labels="binary", uncertain={"edema": "soft(0.5)"})
