"""``tailscope data inspect``: what a data set holds, before any training."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console

from tailscope.cli.tables import print_frame, wide_console
from tailscope.core import ConfigurationError, Dataset, InputError, Progress
from tailscope.data import DATASETS, DataSettings, Inspection, holds_images, inspect_dataset

_SHOWN = 10


def print_inspection(
    source: str, root: Path | None, settings: tuple[str, ...], pairs: Path | None, progress: Progress
) -> None:
    """Print counts, imbalance, annotations, broken files and leakage of a source, or of a configuration's data.

    Args:
        source: A source, or a configuration file.
        root: The data set's folder.
        settings: ``key=value`` of the source.
        pairs: Where the page of images that may be one goes; None for none.
        progress: Told how many images were read.
    """
    if pairs is not None:
        from tailscope.cli.showing_pairs import require_page, write_pairs  # the room report takes a second to load

        require_page(pairs)
    with _seldom_collecting():
        dataset, view = _open(source, root, settings)
    with progress.task("reading images", len(dataset.images)) as advance:
        done = 0

        def report(now: int, _: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        found = inspect_dataset(dataset, view, progress=report)
    console = wide_console()
    _print(found, console)
    if pairs is not None:
        shown = write_pairs(pairs, dataset, found)
        console.print(f"\n{shown} pairs and groups of images that may be one: {pairs}", markup=False, highlight=False)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage 100 times less often: rows of tables are none, and walking through them takes a third longer."""
    usual = gc.get_threshold()
    gc.set_threshold(usual[0] * 100, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _open(source: str, root: Path | None, settings: tuple[str, ...]) -> tuple[Dataset, DataSettings | None]:
    if source.endswith((".yaml", ".yml")):
        from tailscope.experiment import load_config  # a configuration names networks, so torch is needed only here

        config = load_config(Path(source), settings)
        section = config.data
        return _read(section.source, section.args, root or section.root), section.view()
    return _read(source, _values(settings), root), None


def _read(source: str, settings: dict[str, Any], root: Path | None) -> Dataset:
    """The data set; of a folder without any image its tables alone, if the source can."""
    build = partial(DATASETS.build, source)
    if "missing" in DATASETS.settings(source) and root is not None and root.is_dir() and not holds_images(root):
        with suppress(InputError):  # a source that needs its images says so below
            return build(**{**settings, "missing": "tables"})(root)
    return build(**settings)(root)


def _values(settings: tuple[str, ...]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise ConfigurationError(f"--set {setting!r}: expected key=value, e.g. labels=train.csv")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {setting!r}: the value is not YAML: {error}") from None
    return values


def _print(found: Inspection, console: Console) -> None:
    who = f"{found.patients:,} patients" if found.patients_known else "no patient known: each image is its own group"
    console.print(f"{found.name}: {found.images:,} images, {who}", style="bold", highlight=False)
    if found.tables_alone:
        console.print("No image is there: these are the tables alone, nothing can be trained.", highlight=False)
    _section(console, "Classes", found.classes, f"imbalance {found.imbalance:,.0f} : 1, groups by {found.groups_by}")
    if found.states[["uncertain", "unmentioned"]].to_numpy().any():
        _section(console, "Label states", found.states, "blank (unmentioned) is not negative until a policy says so")
    _section(console, "Annotations", found.annotations, "none" if found.annotations.empty else "")
    for title, table in (("Stored sizes", found.sizes), ("Views", found.views), ("Published splits", found.splits)):
        if len(table):
            _section(console, title, table.head(_SHOWN), "")
    if not found.tables_alone:
        _list(console, "Unreadable images", found.unreadable)
        _list(console, "Identical images", tuple(", ".join(group) for group in found.duplicates))
        _list(console, "Images of different patients that look alike", found.near_duplicates)
    _list(console, "Leakage between published splits", found.leakage)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def _section(console: Console, title: str, table: pd.DataFrame, remark: str) -> None:
    heading = f"{title} ({remark})" if remark else title
    if len(table):
        print_frame(console, table, heading)
    else:
        console.print(f"\n{heading}", style="bold", highlight=False)


def _list(console: Console, title: str, lines: tuple[str, ...]) -> None:
    console.print(f"\n{title}: {len(lines) or 'none'}", style="bold", highlight=False)
    for line in lines[:_SHOWN]:
        console.print(f"  {line}", markup=False, highlight=False)
    if len(lines) > _SHOWN:
        console.print(f"  … and {len(lines) - _SHOWN} more")
