"""What was counted of a layer, class by class, on disk, so that work that was cut off goes on with the next class."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.core import write_arrays
from tailscope.dissection import ClassEvidence, ConceptCounts, CrossFit, MatchedSet

_RECORDS: dict[str, type[Any]] = {"matched": MatchedSet, "regions": ConceptCounts, "crossfit": CrossFit}


@dataclass(frozen=True)
class KeptEvidence(MutableMapping[str, ClassEvidence]):
    """Class to its evidence, a file each.

    Args:
        place: A folder of its own, for these inputs and no others.
        classes: K names; a file has the number of its class, for a name may hold anything.
    """

    place: Path
    classes: tuple[str, ...]

    def __getitem__(self, name: str) -> ClassEvidence:
        if name not in self:
            raise KeyError(name)
        with np.load(self._file(name), allow_pickle=False) as stored:
            return _evidence({key: stored[key] for key in stored.files})

    def __setitem__(self, name: str, evidence: ClassEvidence) -> None:
        write_arrays(self._file(name), _arrays(evidence))

    def __delitem__(self, name: str) -> None:
        self._file(name).unlink()

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.classes if self._file(name).exists())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.classes and self._file(str(name)).exists()

    def _file(self, name: str) -> Path:
        return self.place / f"{self.classes.index(name)}.npz"


def _arrays(record: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The fields of a record of arrays, those of records in it under ``name.field``; None is left out."""
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _RECORDS and value is not None:
            arrays |= _arrays(value, f"{field.name}.")
        elif value is not None:
            arrays[f"{prefix}{field.name}"] = np.asarray(value)
    return arrays


def _evidence(arrays: dict[str, NDArray[Any]]) -> ClassEvidence:
    values: dict[str, Any] = {}
    for field in fields(ClassEvidence):
        if (kind := _RECORDS.get(field.name)) is None:
            values[field.name] = _plain(arrays[field.name])
            continue
        start = f"{field.name}."
        parts = {name[len(start) :]: _plain(part) for name, part in arrays.items() if name.startswith(start)}
        values[field.name] = kind(**parts) if parts else None
    return ClassEvidence(**values)


def _plain(array: NDArray[Any]) -> Any:
    """A number or a text for an array without axes."""
    return array if array.ndim else array.item()
