from __future__ import annotations

import numpy as np

from tailscope.alignment import size_groups


def test_a_third_of_the_annotations_falls_into_each_group():
    groups = size_groups(np.arange(1, 31) / 100)
    assert [list(groups).count(name) for name in ("small", "medium", "large")] == [10, 10, 10]
    assert groups[0] == "small"
    assert groups[-1] == "large"


def test_equal_areas_share_a_group():
    assert size_groups(np.array([0.1, 0.1, 0.1, 0.1, 0.5])).tolist() == ["small"] * 4 + ["large"]


def test_pairs_without_annotation_have_no_size():
    assert size_groups(np.array([0.0, np.nan])).tolist() == ["none", "none"]
