"""tailscope: what an imbalance treatment really taught a medical-image classifier.

>>> import tailscope as ts
>>> callable(ts.run)
True
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("tailscope")
__all__ = ["ExperimentResult", "__version__", "enable_logging", "run"]

logging.getLogger(__name__).addHandler(logging.NullHandler())

_LAZY = {"run": "tailscope.experiment", "ExperimentResult": "tailscope.experiment"}


def __getattr__(name: str) -> Any:
    # Loading torch takes seconds, so `import tailscope` must not do it; only this function imports late.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def enable_logging(level: int = logging.INFO) -> None:
    """Show tailscope's log on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logger = logging.getLogger(__name__)
    logger.addHandler(handler)
    logger.setLevel(level)
