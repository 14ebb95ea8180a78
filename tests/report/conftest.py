from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves test folders off the path

from tailscope.report import drawing


@pytest.fixture(scope="session", autouse=True)
def each_chart_is_drawn_once():
    """Most pages of these tests show the same charts; a chart is a function of its specification alone."""
    draw = drawing.vl_convert.vegalite_to_svg
    remembered = functools.cache(lambda text: draw(json.loads(text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing.vl_convert, "vegalite_to_svg", lambda spec: remembered(json.dumps(spec)))
        yield
