"""Pages in less time: without charts, which take most of it, or of chapters that are there already."""

import contextlib
import sys

import pytest
from markupsafe import Markup

from tailscope.report import page, render


def undrawn(content, *chapters):
    """The HTML of some chapters alone, of the whole page where none is named; without charts.

    Args:
        content: What the page shows.
        chapters: Functions from a content to a section; they stand in this order, without numbers of tables.
    """
    with without_charts():
        return page_of(content, (chapter(content) for chapter in chapters)) if chapters else render(content)


def page_of(content, sections):
    """The page of a content, its chapters given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "page_sections", lambda _: tuple(sections))
        return render(content)


@contextlib.contextmanager
def without_charts():
    """Within it the report builds no chart; every picture is an empty one of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("tailscope.report."):
                if hasattr(module, "alt"):
                    patch.setattr(module, "alt", _Anything())
                if hasattr(module, "svg"):
                    patch.setattr(module, "svg", _empty)
        yield


class _Anything:
    """Stands for every part of a chart: has every attribute, takes every argument, and joins every other part."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_, **__):
        return self

    def __add__(self, other):
        return self

    __radd__ = __or__ = __and__ = __add__


def _empty(chart, label):
    return Markup('<svg role="img" aria-label="{}"></svg>').format(label)
