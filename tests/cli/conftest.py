"""A small CSV data set, one finished experiment, and a way to type commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from tailscope import experiment
from tailscope.cli import app

Invoke = Callable[..., Result]

_SPLITS = ("train", "train", "val", "test")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Type a command; a traceback fails the test."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


@dataclass(frozen=True)
class TinySet:
    """24 images of 32 px, two per patient, two classes, one box, and a configuration."""

    root: Path

    @property
    def configuration(self) -> Path:
        """The YAML file."""
        return self.root / "tiny.yaml"

    @property
    def out(self) -> Path:
        """Where experiments of a test go."""
        return self.root / "out"

    def change(self, name: str, column: str, change: Callable[[pd.DataFrame], list[str]]) -> None:
        """Replace one column of a table."""
        table = pd.read_csv(self.root / name, dtype=str)
        table[column] = change(table)
        table.to_csv(self.root / name, index=False)

    def configure(self, **sections: Any) -> None:
        """Write the configuration; dictionaries are merged into the sections, other values replace them."""
        content = _content()
        for name, section in sections.items():
            merge = isinstance(section, dict) and isinstance(content.get(name), dict)
            content[name] = {**content[name], **section} if merge else section
        self.configuration.write_text(yaml.safe_dump(content))


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    """A sound data set for a test to break."""
    made = TinySet(tmp_path / "set")
    (made.root / "images").mkdir(parents=True)
    rows = []
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(made.root / "images" / f"{number:02}.png")
        patient = number // 2
        rows.append((f"{number:02}.png", f"p{patient}", _SPLITS[patient % 4], number % 2, int(number % 4 < 2)))
    labels = pd.DataFrame(rows, columns=["image", "patient", "split", "mass", "effusion"])
    labels.to_csv(made.root / "labels.csv", index=False)
    boxes = pd.DataFrame([("07.png", "mass", 1, 1, 9, 9)], columns=["image", "class", "x0", "y0", "x1", "y1"])
    boxes.to_csv(made.root / "boxes.csv", index=False)
    made.configure()
    return made


def _content() -> dict[str, Any]:
    columns = {"patient_column": "patient", "split_column": "split", "annotations": "boxes.csv"}
    return {
        "name": "tiny",
        "data": {"source": "csv", "root": ".", "args": columns, "image_size": 32, "split": {"by": "official"}},
        "model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}},
        "treatments": ["control", "weighted_sampling"],
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 8},
        "compare": {"resamples": 100},
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished experiment; tests must not change it."""
    args = {
        "train": 60,
        "val": 40,
        "test": 60,
        "size": 64,
        "prevalence": {"effusion": 0.3, "mass": 0.2},
        "minimum_positives": 8,
    }
    content = {
        "name": "finished",
        "data": {"source": "phantom", "args": args, "image_size": 64},
        "model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}},
        "treatments": ["control", "weighted_sampling"],
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 32},
        "compare": {"resamples": 100},
    }
    return experiment.run(content, tmp_path_factory.mktemp("experiments") / "finished").path
