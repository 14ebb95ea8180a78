"""Records of arrays, one per class and run, in one file: what a bootstrap of patients needs later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tailscope.core import write_arrays

Record = TypeVar("Record")


def write_class_records(path: Path, classes: tuple[str, ...], found: Mapping[str, Any]) -> None:
    """Write the records of one run.

    Args:
        path: An ``.npz``.
        classes: K names; a record is kept by the number of its class.
        found: Class to its record, a dataclass of arrays, or to the reason why there is none, which is not kept.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, record in found.items():
        if not isinstance(record, str):
            number = classes.index(name)
            arrays |= {f"{number}.{field.name}": getattr(record, field.name) for field in fields(record)}
    write_arrays(path, arrays)


def read_class_records(path: Path, classes: tuple[str, ...], kind: type[Record]) -> dict[str, Record]:
    """The records of one run, by class; classes without one are absent."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as stored:
        return {
            name: kind(**{key: stored[f"{number}.{key}"] for key in names})
            for number, name in enumerate(classes)
            if f"{number}.{names[0]}" in stored
        }
