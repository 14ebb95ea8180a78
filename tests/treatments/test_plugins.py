"""A treatment of another package: found through its entry point, used and audited like any other.

Each test installs a tiny distribution (a module and its ``.dist-info``) in a folder of its own, and types a command in
a fresh process that finds the folder on its path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

_MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from tailscope.treatments import TREATMENTS, CellLoss, LimitCase, TreatmentPlan


class ScaledLoss(CellLoss):
    """Control's loss, some times over."""

    def __init__(self, num_classes, factor):
        super().__init__(num_classes)
        self.factor = factor

    def _values(self, x, y, known):
        return -self.factor * torch.nn.functional.logsigmoid(x * (2 * y - 1))


@dataclass(frozen=True)
class Scaled:
    """Control's loss, some times over; made elsewhere."""

    factor: float = 2.0
    limit: ClassVar[LimitCase] = LimitCase("factor 1: control", {"factor": 1.0})

    def __call__(self, class_counts):
        return TreatmentPlan(ScaledLoss(len(class_counts.names), self.factor))


@dataclass(frozen=True)
class ClassWeights:
    positives: tuple
    fills: bool

    def __call__(self, targets):
        weights = 1 / np.array(self.positives, dtype=np.float64)
        return np.concatenate([weights, np.zeros(len(targets) - len(weights))]) if self.fills else weights


@dataclass(frozen=True)
class PerClass:
    """One weight per class, handed out as if per image."""

    fills: bool = True

    def __call__(self, class_counts):
        loss = TREATMENTS.build("control")(class_counts).loss
        return TreatmentPlan(loss, sample_weights=ClassWeights(class_counts.positives, self.fills))
'''

_ENTRY_POINTS = """
[tailscope.treatment]
elsewhere_scaled = elsewhere_treatments:Scaled
elsewhere_per_class = elsewhere_treatments:PerClass
"""

_CONFIG = {
    "name": "plugged",
    "data": {
        "source": "phantom",
        "image_size": 64,
        "args": {"train": 80, "val": 40, "test": 40, "prevalence": {"effusion": 0.3, "nodule": 0.15}},
    },
    "model": {"source": "timm", "name": "test_resnet"},
    "seeds": [0],
    "training": {"epochs": 1, "batch_size": 16},
    "lenses": {"alignment": None, "dissection": None},
}


class Elsewhere:
    """An installed distribution, and a folder to work in."""

    def __init__(self, root: Path) -> None:
        self.root, self.site = root, root / "site"
        information = self.site / "elsewhere_treatments-1.0.dist-info"
        information.mkdir(parents=True)
        (self.site / "elsewhere_treatments.py").write_text(_MODULE)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere-treatments\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(_ENTRY_POINTS)

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of tailscope."""
        path = os.pathsep.join(filter(None, (str(self.site), os.environ.get("PYTHONPATH", ""))))
        return subprocess.run(
            [sys.executable, "-m", "tailscope", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def configure(self, *treatments: object) -> str:
        """Write a configuration with these arms beside control."""
        (self.root / "plugged.yaml").write_text(yaml.safe_dump({**_CONFIG, "treatments": ["control", *treatments]}))
        return "plugged.yaml"


@pytest.fixture
def elsewhere(tmp_path):
    return Elsewhere(tmp_path)


def words(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_the_list_shows_a_treatment_of_another_package_with_its_settings(elsewhere):
    result = elsewhere.type("treatments", "list")

    assert result.returncode == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if "elsewhere_scaled" in line)
    assert "Control's loss, some times over; made elsewhere." in row
    assert "factor" in row


def test_the_configuration_takes_a_treatment_of_another_package_and_the_audit_checks_its_limit_case(elsewhere):
    arm = "elsewhere_scaled (factor=4.0)"
    path = elsewhere.configure({"name": "elsewhere_scaled", "factor": 4.0})

    result = elsewhere.type("treatments", "audit", path, "--json", "audit.json")

    assert result.returncode == 0, result.stderr
    assert f"{arm}: ok" in words(result)
    audit = json.loads((elsewhere.root / "audit.json").read_text())[arm]
    assert audit["limit"]["says"] == "factor 1: control"
    assert audit["limit"]["holds"] is True
    assert audit["gradients"]["initial"]["gradient_norm_ratio"] == pytest.approx(4.0)


def test_a_run_trains_with_a_treatment_of_another_package(elsewhere):
    result = elsewhere.type("run", elsewhere.configure("elsewhere_scaled"))

    assert result.returncode == 0, result.stderr
    records = [json.loads(path.read_text()) for path in (elsewhere.root / "plugged" / "runs").glob("*/run.json")]
    assert {record["treatment"]["name"] for record in records} == {"control", "elsewhere_scaled"}


def test_the_audit_fails_a_sampler_of_another_package_that_weighs_classes_instead_of_images(elsewhere):
    path = elsewhere.configure("elsewhere_per_class")

    result = elsewhere.type("treatments", "audit", path)

    assert result.returncode == 1
    assert "elsewhere_per_class: failed – 78 of 80 images have draw weight 0: they are never seen" in words(result)


def test_a_run_stops_before_it_trains_such_a_sampler_and_names_the_way_to_allow_it(elsewhere):
    result = elsewhere.type("run", elsewhere.configure("elsewhere_per_class"))

    assert result.returncode == 1
    assert "audit of arm 'elsewhere_per_class' failed: 78 of 80 images have draw weight 0" in words(result)
    assert "`audit.allow`" in words(result)
    assert not list((elsewhere.root / "plugged" / "runs").glob("elsewhere*/run.json"))


def test_weights_of_another_number_than_the_images_are_refused_before_training_without_a_traceback(elsewhere):
    path = elsewhere.configure({"name": "elsewhere_per_class", "fills": False})

    result = elsewhere.type("treatments", "audit", path)

    assert "Traceback" not in result.stderr
    assert result.returncode == 2
    assert "one per image" in words(result)
