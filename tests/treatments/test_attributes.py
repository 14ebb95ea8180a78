import numpy as np
import pandas as pd
import pytest
from torch.nn import BCEWithLogitsLoss

from tailscope.core.errors import DataError, InputError
from tailscope.treatments.attributes import groups_of, missing_attributes
from tailscope.treatments.plan import Mixing, TreatmentPlan

VIEWS = {"view": np.array(["PA", "AP"]), "chest_tube": np.array([True, False])}


def _plan(**parts):
    return TreatmentPlan(BCEWithLogitsLoss(), **parts)


def test_a_plan_without_attributes_misses_none():
    assert missing_attributes(_plan(), {}) == []


def test_a_column_that_is_there_is_not_missed():
    assert missing_attributes(_plan(attributes=("view",)), VIEWS) == []


def test_each_missing_column_has_a_sentence_with_the_nearest_and_the_known_ones():
    assert missing_attributes(_plan(attributes=("chest_tubes", "age")), VIEWS) == [
        "the images have no column 'age'. Known: chest_tube, view",
        "the images have no column 'chest_tubes'; did you mean 'chest_tube'? Known: chest_tube, view",
    ]


def test_data_without_any_column_say_so():
    assert missing_attributes(_plan(attributes=("view",)), {}) == ["the images have no column 'view'. Known: none"]


def test_columns_of_later_phases_and_of_partners_are_missed_as_well():
    mixing = Mixing(lambda targets: np.ones(len(targets)), 0.2, ("site",))
    later = _plan(attributes=("scanner",), mixing=mixing)
    problems = missing_attributes(_plan(phases=((0.5, later),)), VIEWS)

    assert [problem.split("'")[1] for problem in problems] == ["scanner", "site"]


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.array([True, False, True]), ("False", "True")),
        (np.array(["PA", None, "AP"], dtype=object), ("AP", "PA", "unknown")),
        (np.array([2.0, np.nan, 2.0]), ("2.0", "unknown")),
        (np.array([pd.NA, "F", None], dtype=object), ("F", "unknown")),
        (np.array([3, 1, 3]), ("1", "3")),
    ],
)
def test_a_group_is_a_value_and_what_is_missing_is_unknown(values, groups):
    numbers, names = groups_of("column", values, 3)

    assert names == groups
    assert [names[number] for number in numbers] == [
        "unknown" if pd.isna(value) else str(value) for value in values.tolist()
    ]


def test_a_measurement_makes_no_groups():
    with pytest.raises(DataError, match="column 'age' has 51 different values; expected at most 50"):
        groups_of("age", np.arange(51.0), 51)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(InputError, match=r"column 'view' must have one value per image, \(3,\); got \(2,\)"):
        groups_of("view", VIEWS["view"], 3)
