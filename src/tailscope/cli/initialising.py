"""``tailscope init``: recognise a data set and write a commented configuration."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer
import yaml

from tailscope.core import InputError, write_text
from tailscope.data import DATASETS
from tailscope.data.places import data_folder, image_folder
from tailscope.data.text_tables import read_text_table
from tailscope.sources import recognise
from tailscope.sources.csv_columns import image_column, label_tables

_PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id")

_TEMPLATE = """\
# An experiment on the {source} files of {folder}
# See what they hold:  tailscope data inspect {out}
# See the plan:        tailscope run {out} --dry-run
# Do it:               tailscope run {out}
name: {name}

data:
  source: {source}
  root: {root}
{settings}  image_size: [224, 224]        # (height, width) of the network input
  labels: multi_label           # or binary: any finding
  uncertain: ignore             # or zeros, ones, soft(0.5)
  # auto keeps the published split where there is one, and cuts by patient what it lacks
  split: {{by: auto, test: 0.2, val: 0.1, seed: 0}}

model:
  source: timm                  # any name of timm; or torchvision, truncated_densenet, checkpoint
  name: resnet50
  pretrained: true              # downloads ImageNet weights; false starts at random
  args: {{output_stride: 16}}     # a finer grid for saliency and units; not every network of timm has it

treatments:                     # the first is what the others are compared with
  - control
  - weighted_sampling
  - {{name: focal, gamma: 2.0, alpha: 0.25}}

seeds: [0, 1, 2]                # three or more seeds for verdicts; two give candidates

training: {{epochs: 20, batch_size: 32, lr: 4.0e-4}}

lenses:
  performance: {{}}
  alignment: {{attributions: [gradcam], layer: auto}}
  dissection: {{layer: auto, top_fraction: 0.005}}

compare: {{control: control, equivalence_margin: 0.02, resamples: 2000}}
"""


def write_configuration(root: Path, out: Path) -> None:
    """Write a configuration for the data set below ``root``.

    Raises:
        InputError: Nothing is recognised, or ``out`` exists.
        DataError: The folder holds the files of several sets.
    """
    if out.exists():
        raise InputError(f"{out} exists; nothing was written: choose another --out, or delete it")
    place = data_folder(root)
    if place is None:
        raise InputError(f"{root} is no folder; give the folder or the archive that holds the data set")
    found = recognise(root)
    if found is None:
        raise InputError(
            f"no data set was recognised in {root}; expected the files of one of {', '.join(DATASETS.names())}, or a "
            "CSV file with a column of image names"
        )
    source = found.source
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).strip("-._") or "experiment"
    command = shlex.quote(str(out))
    facts = {"source": source, "folder": root.name or "this folder", "out": command, "name": _yaml(name)}
    write_text(out, _TEMPLATE.format(**facts, root=_yaml(_relative(root, out)), settings=_settings(source, place)))
    typer.echo(
        f"{root} holds {source} ({found.variant}); wrote {out}. Look at it, then:\n  tailscope run {command} --dry-run"
    )


def _relative(root: Path, out: Path) -> str:
    here, there = out.resolve().parent, root.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else there.as_posix()


def _yaml(text: str) -> str:
    """Text as YAML, in quotes where YAML would read it as something else."""
    return yaml.safe_dump(text, width=10_000, allow_unicode=True).splitlines()[0]


def _settings(source: str, root: Path) -> str:
    """The lines that tell the source ``csv`` about the tables that were found."""
    if source != "csv":
        return ""
    tables = {path: column for path in label_tables(root) if (column := image_column(path)) is not None}
    labels = next((path for path in tables if "class" not in read_text_table(path).columns), next(iter(tables)))
    table = read_text_table(labels)
    settings = {"labels": labels.name, "images": _image_folder(root, table.column(tables[labels])[0])}
    settings["image_column"] = tables[labels]
    lines = "".join(f"    {key}: {_yaml(value)}\n" for key, value in settings.items())
    patient = next((name for name in table.columns if name.lower() in _PATIENT_COLUMNS), None)
    split = next((name for name in table.columns if name.lower() == "split"), None)
    shapes = next((path.name for path in tables if path != labels), None)
    lines += _optional("patient_column", patient, "without it every image is its own patient")
    lines += _optional("split_column", split, "a column of train, val and test")
    lines += _optional("annotations", shapes, "a table of image, class, x0, y0, x1, y1")
    return f"  args:\n{lines}"


def _optional(key: str, value: str | None, remark: str) -> str:
    return f"    {key}: {_yaml(value)}\n" if value is not None else f"    # {key}: …   {remark}\n"


def _image_folder(root: Path, name: str) -> str:
    """The folder, relative to the root, below which the first image lies; the root itself where it is nowhere."""
    if (root / name).is_file():
        return "."
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())  # archives are folders, too
    return next((folder for folder in folders if (image_folder(root, folder) / name).is_file()), ".")
