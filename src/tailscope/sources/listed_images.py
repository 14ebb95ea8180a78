"""The images that a table lists by name, found below a folder, and what to do about those that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tailscope.core.errors import InputError
from tailscope.data.files import walk_images
from tailscope.data.validation import some

Missing = Literal["error", "skip", "tables"]
_INSPECT = "or see what the tables hold: `tailscope data inspect` with `--set missing=tables`"
TABLES_ALONE: Missing = "tables"  # read these alone, and keep every listed image


def require_missing(missing: str, *, tables: bool = True) -> None:
    """Pass if the setting is one of :data:`Missing`.

    Args:
        missing: The setting.
        tables: Whether the source can read its tables alone.

    Raises:
        InputError: It is not.
    """
    known = get_args(Missing) if tables else ("error", "skip")
    if missing not in known:
        raise InputError(f"`missing` must be {', '.join(known[:-1])} or {known[-1]}; got {missing!r}")


def places_of(
    names: Iterable[str], missing: Missing, index: Callable[[], Mapping[str, str]], lookup: Callable[[str], str] = str
) -> dict[str, str]:
    """Listed name to path, of the images that are there; of all, by their names, where the tables are read alone.

    Args:
        names: As listed.
        missing: The setting.
        index: Looks into the folder: what files are called to their path; not called for ``tables``.
        lookup: Listed name to what its file is called.

    Example:
        >>> places_of(["x/a", "x/b"], "skip", lambda: {"a": "deep/a.png"}, lambda name: name[-1])
        {'x/a': 'deep/a.png'}
        >>> places_of(["x/a"], "tables", dict)
        {'x/a': 'x/a'}
    """
    if missing == TABLES_ALONE:
        return {name: name for name in names}
    found = index()
    return {name: found[lookup(name)] for name in names if lookup(name) in found}


def absence_problems(
    absent: Sequence[str],
    listed: int,
    place: Path,
    missing: Missing,
    *,
    what: str = "images",
    remedy: str = "unpack them",
) -> list[str]:
    """One sentence where absent images are an error, or where none is there at all; else nothing.

    Args:
        absent: Names of the images that are not on disk.
        listed: How many are listed.
        place: Where they were looked for.
        missing: ``error``, ``skip``, or ``tables``, with which nothing is absent.
        what: What the images are called.
        remedy: What to do, besides skipping them.

    Example:
        >>> absence_problems(["a.png"], 2, Path("set"), "error")
        ["1 of 2 images are missing below set: 'a.png'; unpack them, or set `missing: skip` to use the others"]
    """
    if not absent or (missing == "skip" and len(absent) < listed):
        return []
    way_on = f"{remedy}, or set `missing: skip` to use the others"
    if len(absent) == listed:
        way_on = f"{remedy}, {_INSPECT}"
    return [f"{len(absent)} of {listed} {what} are missing below {place}: {some(absent)}; {way_on}"]


@dataclass(frozen=True)
class ListedImages:
    """Where the listed images are.

    Args:
        paths: Name to path relative to the root, for those that are there; in the order of the list.
        absent: Names that are not there.
        unlisted: How many images no name stands for.
        problems: What is wrong: images that are missing, or stand in two places.
    """

    paths: dict[str, str]
    absent: tuple[str, ...]
    unlisted: int
    problems: tuple[str, ...]

    def notes(self) -> list[str]:
        """What to tell of the differences between list and folder."""
        notes = [f"{len(self.absent)} listed images are not on disk and were skipped"] if self.absent else []
        return [*notes, f"{self.unlisted} images on disk are not listed and were left out"] if self.unlisted else notes


def find_listed(root: Path, names: Iterable[str], folders: Sequence[str], missing: Missing) -> ListedImages:
    """Find images by their file name without suffix.

    Args:
        root: Folder of the data set.
        names: File names without suffix.
        folders: Where images lie, relative to the root; the root itself where none of them exists.
        missing: ``error`` makes a problem of each absent image, ``skip`` only of the absence of all; ``tables`` looks
            for none and takes the names for paths.
    """
    if missing == TABLES_ALONE:
        return ListedImages({name: name for name in names}, (), 0, ())
    places = [root / folder for folder in folders if (root / folder).is_dir()] or [root]
    wanted = list(dict.fromkeys(names))
    by_stem: dict[str, list[str]] = {}
    for path in walk_images(*places):
        by_stem.setdefault(path.stem, []).append(path.relative_to(root).as_posix())
    paths = {name: sorted(by_stem[name])[0] for name in wanted if name in by_stem}
    problems = [
        f"image {name!r} exists {len(by_stem[name])} times, as {some(sorted(by_stem[name]))}; keep one of them"
        for name in paths
        if len(by_stem[name]) > 1
    ]
    absent = tuple(name for name in wanted if name not in by_stem)
    if absent and (missing == "error" or not paths):
        way_on = "or set `missing: skip` to use the others" if paths else _INSPECT
        places_named = ", ".join(map(str, places))
        problems.append(
            f"{len(absent)} of {len(wanted)} listed images are missing below {places_named}: {some(absent)}; "
            f"unpack them, {way_on}"
        )
    return ListedImages(paths, absent, len(by_stem.keys() - set(wanted)), tuple(problems))
