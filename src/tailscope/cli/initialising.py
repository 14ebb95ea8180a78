"""``tailscope init``: recognise a data set and write a commented configuration."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from tailscope.core import InputError, write_text
from tailscope.data import DATASETS, recognise

_TEMPLATE = """\
# An experiment on {root}, which holds the files of {source}.
# See what it holds:  tailscope data inspect {source} --root {root}
# See the plan:       tailscope run {out} --dry-run
# Do it:              tailscope run {out}
name: {name}

data:
  source: {source}
  root: {root}                  # relative to this file
{settings}  image_size: [224, 224]        # (height, width) of the network input
  labels: multi_label           # or binary: any finding
  uncertain: ignore             # or zeros, ones
  split: {{by: auto, test: 0.2, val: 0.1, seed: 0}}   # auto keeps the published split where there is one

model:
  source: timm                  # any name of timm; or torchvision, truncated_densenet, checkpoint
  name: resnet50
  pretrained: true              # downloads ImageNet weights; false starts at random

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
    """
    if out.exists():
        raise InputError(f"{out} exists; nothing was written: choose another --out, or delete it")
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give the folder that holds the data set")
    source = recognise(root)
    if source is None:
        raise InputError(
            f"no data set was recognised in {root}; expected the files of one of {', '.join(DATASETS.names())}, or a "
            "CSV file with a column of image names"
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).strip("-._") or "experiment"
    write_text(
        out, _TEMPLATE.format(source=source, root=_relative(root, out), out=out, name=name, settings=_settings(source))
    )
    typer.echo(f"{root} holds {source}. Wrote {out}; look at it, then: tailscope run {out} --dry-run")


def _relative(root: Path, out: Path) -> str:
    here, there = out.resolve().parent, root.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else there.as_posix()


def _settings(source: str) -> str:
    if source != "csv":
        return ""
    return "  args: {labels: labels.csv, images: images, image_column: image}   # and patient_column, annotations …\n"
