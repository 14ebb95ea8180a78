"""A page without its charts: they take most of the time, and what else stands on it does not depend on them."""

import contextlib
import sys
from unittest.mock import MagicMock

import pytest
from markupsafe import Markup


@contextlib.contextmanager
def without_charts():
    """Within it the report builds no chart; every picture is an empty one of the same name."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("tailscope.report."):
                if hasattr(module, "alt"):
                    patch.setattr(module, "alt", MagicMock())
                if hasattr(module, "svg"):
                    patch.setattr(module, "svg", _empty)
        yield


def _empty(chart, label):
    return Markup('<svg role="img" aria-label="{}"></svg>').format(label)
