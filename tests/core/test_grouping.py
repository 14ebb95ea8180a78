import pytest

from tailscope.core import InputError, class_groups, group_note


def test_the_limits_belong_to_the_upper_group():
    assert class_groups([0.10, 0.0999, 0.01, 0.00999]) == ("head", "medium", "medium", "tail")


def test_tertiles_replace_the_limits_where_a_group_is_empty():
    prevalences = [0.5, 0.4, 0.3, 0.25, 0.2, 0.15]
    assert class_groups(prevalences) == ("head", "head", "medium", "medium", "tail", "tail")
    assert "No class is medium or tail" in group_note(prevalences)


def test_equal_prevalences_share_a_group():
    assert len(set(class_groups([0.3, 0.3, 0.3]))) == 1


def test_a_class_without_known_labels_counts_as_tail():
    assert class_groups([0.2, 0.05, float("nan")])[2] == "tail"


def test_no_class_has_no_group_and_no_note():
    assert class_groups([]) == ()
    assert group_note([]) == ""


def test_other_limits_are_honoured():
    assert class_groups([0.5, 0.3, 0.1], head=0.4, tail=0.2) == ("head", "medium", "tail")


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(InputError, match="`tail` must be at most `head`"):
        class_groups([0.5], head=0.1, tail=0.2)


def test_a_prevalence_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
        class_groups([1.5])
