"""An arm whose setting changes nothing is named, and no other."""

from __future__ import annotations

import pandas as pd
import pytest
from experiment_content import small_content

from tailscope.experiment import run


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    arms = ["control", {"name": "label_smoothing", "epsilon": 0.0}, "weighted_sampling"]
    return run(small_content(treatments=arms), tmp_path_factory.mktemp("same") / "small")


def test_an_arm_that_predicts_as_control_is_named_in_the_first_chapter_and_no_other(nothing):
    page = nothing.report.read_text()
    assert "label_smoothing (epsilon=0.0) predicts exactly what control predicts, on every image" in page
    assert "weighted_sampling predicts exactly" not in page


def test_it_is_never_called_different(nothing):
    findings = nothing.findings[nothing.findings["arm"] == "label_smoothing (epsilon=0.0)"]
    assert (findings["difference"].dropna() == 0).all()
    assert not pd.Series(findings["verdict"]).str.contains("better|worse|higher|lower|differs").any()
