"""Records of long simulations on disk, so that a stopped simulation goes on where it was, even on another machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import tailscope
from tailscope.core.artifacts import atomic_write, digest

_ROOMS = ("core", "stats", "performance")


@dataclass(frozen=True)
class Keeper:
    """Keeps each setting's records under the digest of the setting and of the code that made them.

    Args:
        folder: Where they lie; None keeps nothing.
    """

    folder: Path | None = None

    def get(self, name: str, setting: Any, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The records of this setting: read if they were kept, else made and kept.

        Args:
            name: Begins the file's name.
            setting: All that the records depend on besides the code; its ``repr`` tells settings apart.
            make: Makes them.
        """
        if self.folder is None:
            return make()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name.replace(' ', '-')}-{digest(repr(setting), _code())[:16]}.parquet"
        if not path.exists():
            records = make()
            with atomic_write(path) as partial:
                records.to_parquet(partial)
        return pd.read_parquet(path)


@cache
def _code() -> str:
    """Digest of the library's rooms and of the scripts that simulate."""
    package = Path(str(tailscope.__file__)).parent
    sources = [*(path for room in _ROOMS for path in sorted((package / room).glob("*.py")))]
    scripts = sorted(Path(__file__).parent.glob("simulated_*.py"))
    return digest(
        *(path.read_bytes() for path in [*sources, *scripts, Path(__file__).with_name("statistics_simulation.py")])
    )
