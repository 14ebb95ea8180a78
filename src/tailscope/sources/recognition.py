"""Which source's files lie in a folder, or in an archive?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tailscope.core.errors import DataError
from tailscope.data.places import data_folder
from tailscope.data.registry import DATASETS, Recognising


@dataclass(frozen=True)
class Recognised:
    """What lies in a folder.

    Args:
        source: Name of the source that reads it.
        variant: Which variant of its files, in a few words.
    """

    source: str
    variant: str


def recognise(root: Path) -> Recognised | None:
    r"""The source that reads this folder, or None.

    Raises:
        DataError: The folder holds the files of several.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "labels.csv").write_text("image,mass\na.png,1\n")
        ...     recognise(Path(folder))
        Recognised(source='csv', variant='labels.csv, with a column of image names')
    """
    found = recognised(root)
    if len(found) > 1:
        held = "; ".join(f"{one.source} ({one.variant})" for one in found)
        raise DataError(f"{root} holds the files of several data sets: {held}; give the folder of one of them")
    return found[0] if found else None


def recognised(root: Path) -> tuple[Recognised, ...]:
    """Every source whose files lie in a folder, sorted; formats only where no published set is recognised."""
    place = data_folder(root)
    if place is None:
        return ()
    return _asked(place, formats=False) or _asked(place, formats=True)


def _asked(root: Path, *, formats: bool) -> tuple[Recognised, ...]:
    found: list[Recognised] = []
    for name in DATASETS.names():
        source = DATASETS.find(name)
        if isinstance(source, Recognising) and source.is_format == formats:
            variant = source.recognise(root)
            found += [] if variant is None else [Recognised(name, variant)]
    return tuple(found)
