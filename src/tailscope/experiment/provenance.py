"""What a reader needs to repeat an experiment: versions, hardware, hashes, and the analysis plan, frozen beforehand."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from tailscope.core import SPLITS, ExperimentData, digest
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.reading import dump_config
from tailscope.stats import ComparisonSettings

_PACKAGES = (
    "tailscope",
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "numpy",
    "scipy",
    "numba",
    "pandas",
    "pyarrow",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can move a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, threads and accelerators; nothing that names the machine or its user."""
    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "accelerators": devices,
    }


def analysis_plan(config: ExperimentConfig, settings: ComparisonSettings) -> dict[str, Any]:
    """What will be compared and how, with its hash; written before the first test prediction (METHODS, preamble)."""
    content = dump_config(config)
    views = {} if config.label_views is None else {"label_views": content["label_views"]}
    plan = {
        "control": config.compare.control,
        "arms": list(config.arms),
        "seeds": list(config.seeds),
        "tune": content["tune"],
        **views,
        "lenses": content["lenses"],
        "compare": content["compare"],
        "statistics": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
    }
    if config.test_on:  # a plan without further test sets keeps the hash that it always had
        plan["test_on"] = [{key: one[key] for key in one if key != "root"} for one in content["test_on"]]
    return {"hash": digest(plan), **plan}


def provenance(config: ExperimentConfig, data: ExperimentData, settings: ComparisonSettings) -> dict[str, Any]:
    """The content of ``provenance.json``."""
    return {
        "versions": versions(),
        "hardware": hardware(),
        "seeds": list(config.seeds),
        "data": {
            "source": data.name,
            "fingerprint": data.fingerprint,
            "images": int(data.image_ids.size),
            "images_by_split": {split: int(data.rows(split).size) for split in SPLITS},
            "patients": len(set(data.patient_ids.tolist())),
            "patients_known": data.patients_known,
            "notes": list(data.notes),
        },
        "analysis_plan": analysis_plan(config, settings),
    }
