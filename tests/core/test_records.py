from __future__ import annotations

import math

import numpy as np
import pytest

from tailscope.core import ClassCounts, DataError, Estimate, InputError


def test_counts_leave_unknown_labels_out():
    targets = np.array([[1, 0], [np.nan, 1], [0, np.nan]])
    counts = ClassCounts.from_targets(("a", "b"), targets)
    assert (counts.positives, counts.negatives) == ((1, 1), (1, 1))
    assert counts.prevalences == (0.5, 0.5)


def test_a_class_without_any_label_has_no_prevalence():
    assert math.isnan(ClassCounts(("a",), (0,), (0,)).prevalences[0])


def test_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="one entry per class; got 2, 1 and 1"):
        ClassCounts(("a", "b"), (1,), (1,))


def test_negative_counts_are_refused():
    with pytest.raises(InputError, match="counts must be 0 or more"):
        ClassCounts(("a",), (-1,), (1,))


def test_every_class_without_both_labels_is_named():
    with pytest.raises(DataError, match=r"(?s)2 problems in the data.*'b' has 0 positive.*'c' has 4 positive and 0"):
        ClassCounts(("a", "b", "c"), (1, 0, 4), (3, 4, 0)).require_both()


def test_a_class_with_both_labels_passes():
    ClassCounts(("a",), (1,), (1,)).require_both()


def test_a_missing_estimate_keeps_its_reason():
    estimate = Estimate.missing("no positive", n=3)
    assert math.isnan(estimate.value)
    assert (estimate.n, estimate.reason) == (3, "no positive")
