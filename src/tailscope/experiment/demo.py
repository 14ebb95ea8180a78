"""The embedded demo experiment."""

from __future__ import annotations

from importlib.resources import as_file, files

from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.reading import load_config


def demo_configuration(overrides: tuple[str, ...] = ()) -> ExperimentConfig:
    """The configuration of ``tailscope demo``: the phantom, three treatments, two seeds.

    Args:
        overrides: ``key.key=value`` each.
    """
    with as_file(files("tailscope.experiment") / "demo.yaml") as path:
        return load_config(path, overrides)
