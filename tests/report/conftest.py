from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves test folders off the path

from browsing import Browser
from page_content import build

from tailscope.report import drawing, page_sections


@pytest.fixture(scope="session", autouse=True)
def each_chart_is_drawn_once():
    """Most pages of these tests show the same charts; a chart is a function of its specification alone."""
    draw = drawing.vl_convert.vegalite_to_svg
    remembered = functools.cache(lambda text: draw(json.loads(text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing.vl_convert, "vegalite_to_svg", lambda spec: remembered(json.dumps(spec)))
        yield


@pytest.fixture(scope="session")
def drawn_sections(each_chart_is_drawn_once):
    """The chapters of the whole page with their charts; they do not depend on which cases the gallery has."""
    return page_sections(build())


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser with one page; ask for it only where one is installed."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
