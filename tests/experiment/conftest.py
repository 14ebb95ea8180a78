from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))  # its reading of pages
sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves test folders off the path

from experiment_content import small_content
from printed_numbers import PREVALENCE, Shown, telling
from undrawn import without_charts

from tailscope.experiment import ExperimentResult, fitting, run


@pytest.fixture(autouse=True)
def charts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pages have no charts, which take most of their time, but in tests marked ``draws``.

    Fixtures that several tests share are made before and draw: charts are proved on real tables there.
    """
    with nullcontext() if request.node.get_closest_marker("draws") else without_charts():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> ExperimentResult:
    """A finished experiment; tests must not change its folder."""
    return run(small_content(), tmp_path_factory.mktemp("finished") / "small")


@pytest.fixture(scope="session")
def shown(tmp_path_factory) -> Shown:
    """Three seeds of two arms and four classes, with verdicts of most kinds; its page has no charts.

    Tests must not change its folder.
    """
    data = {"train": 96, "val": 80, "test": 240, "prevalence": PREVALENCE, "minimum_positives": 12}
    content = small_content(
        data={"source": "phantom", "image_size": 64, "args": data},
        seeds=[0, 1, 2],
        lenses={
            "alignment": {"metrics": ["mass_inside", "pointing_game"], "soundness": None, "shortcuts": None},
            "dissection": {"derangements": 100, "cards": 0, "causes": None, "confounders": False},
            "representation": None,
        },
        compare={"resamples": 200},
    )
    with pytest.MonkeyPatch.context() as patch, without_charts():
        patch.setattr(fitting, "_predictions", telling(fitting._predictions))
        result = run(content, tmp_path_factory.mktemp("numbers") / "three")
    return Shown(result.path, result.report.read_text(encoding="utf-8"))
