from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves test folders off the path

from experiment_content import small_content

from tailscope.experiment import ExperimentResult, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> ExperimentResult:
    """A finished experiment; tests must not change its folder."""
    return run(small_content(), tmp_path_factory.mktemp("finished") / "small")
