"""Take the results of an experiment elsewhere: CSV, JSON, LaTeX tables, vector figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from tailscope import __version__
from tailscope.core import InputError, atomic_write, read_json, write_text
from tailscope.experiment.conducting import read_content
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.reading import require_folder
from tailscope.report import journal_figures, latex_tables, page_sections

Form = Literal["csv", "latex", "json", "figures"]


def export(path: Path, form: str, out: Path) -> tuple[Path, ...]:
    """Write the results of an experiment in another form; nothing in its folder is changed.

    ``csv`` and ``json`` hold the tables of results as they are, in full precision: findings, estimates, hidden
    differences and what stands beside them; no table that has a row per image leaves. ``latex`` holds the tables of the
    page, ``figures`` its charts as SVG and PDF, 89 or 183 mm wide, with their captions.

    Args:
        path: The experiment's folder.
        form: csv, latex, json or figures.
        out: Folder to write to; made if needed.

    Returns:
        The files written, in order.

    Raises:
        InputError: The folder is no experiment or is not finished, or there is no such form.
    """
    writers: dict[str, Callable[[ExperimentFolder, Path], list[Path]]] = {
        "csv": _csv, "latex": _latex, "json": _json, "figures": _figures,
    }  # fmt: skip
    if form not in writers:
        raise InputError(f"`to` must be one of {', '.join(get_args(Form))}; got {form!r}")
    folder = ExperimentFolder(require_folder(path))
    if not folder.findings.exists():
        raise InputError(
            f"{path} has no findings yet; finish it first: tailscope run {folder.config} --out {folder.path}"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is no folder; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    return tuple(writers[form](folder, out))


def result_tables(folder: ExperimentFolder) -> dict[str, pd.DataFrame]:
    """The tables of results by name: all that lie in the experiment's own folder; none has a row per image."""
    return {place.stem: pd.read_parquet(place) for place in sorted(folder.path.glob("*.parquet"))}


def _csv(folder: ExperimentFolder, out: Path) -> list[Path]:
    written = []
    for name, table in result_tables(folder).items():
        written.append(out / f"{name}.csv")
        write_text(written[-1], table.to_csv(index=False))
    return written


def _json(folder: ExperimentFolder, out: Path) -> list[Path]:
    tables = {name: json.loads(table.to_json(orient="records")) for name, table in result_tables(folder).items()}
    content = {"tailscope": __version__, "provenance": read_json(folder.provenance), "tables": tables}
    place = out / "results.json"
    write_text(place, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return [place]


def _latex(folder: ExperimentFolder, out: Path) -> list[Path]:
    tables = latex_tables(page_sections(read_content(folder.path)))
    for name, text in tables.items():
        write_text(out / f"{name}.tex", text)
    everything = out / "tables.tex"
    lines = ["% Needs \\usepackage{booktabs,longtable,amssymb}", *(f"\\input{{{name}}}" for name in tables)]
    write_text(everything, "\n".join(lines) + "\n")
    return [everything, *(out / f"{name}.tex" for name in tables)]


def _figures(folder: ExperimentFolder, out: Path) -> list[Path]:
    figures = journal_figures(page_sections(read_content(folder.path)))
    written = []
    for figure in figures:
        written += [out / f"{figure.name}.svg", out / f"{figure.name}.pdf"]
        write_text(written[-2], figure.svg)
        with atomic_write(written[-1]) as temporary:
            temporary.write_bytes(figure.pdf())
    captions = out / "captions.txt"
    write_text(captions, "\n\n".join(f"{figure.name} ({figure.width_mm:g} mm): {figure.caption}" for figure in figures))
    return [*written, captions]
