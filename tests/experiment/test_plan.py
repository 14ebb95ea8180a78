from __future__ import annotations

from pathlib import Path

import torch
import yaml
from experiment_content import small_content

from tailscope.core import SilentProgress
from tailscope.experiment import dry_run, load_config
from tailscope.experiment.reading import public_yaml
from tailscope.models import MODELS, write_weights


def configuration(folder: Path, seed: int) -> Path:
    """An experiment on a checkpoint beside its file."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    network = MODELS.build("timm", name="test_resnet", args={"output_stride": 8})(2, 1)
    write_weights(folder / "start.safetensors", network.module, network.preprocessing)
    inner = {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}}
    content = small_content(model={"source": "checkpoint", "path": "start.safetensors", "network": inner})
    (folder / "experiment.yaml").write_text(yaml.safe_dump(content))
    return folder / "experiment.yaml"


def names(path: Path, out: Path) -> list[str]:
    return dry_run(load_config(path), out, SilentProgress()).runs["run"].tolist()


def test_a_run_is_named_by_the_content_of_its_checkpoint(tmp_path):
    first = names(configuration(tmp_path / "a", seed=0), tmp_path / "out")
    assert names(configuration(tmp_path / "b", seed=0), tmp_path / "out") == first  # another place, the same weights
    assert names(configuration(tmp_path / "c", seed=1), tmp_path / "out") != first


def test_the_path_of_a_checkpoint_is_relative_to_its_file_and_not_told(tmp_path):
    config = load_config(configuration(tmp_path / "a", seed=0))
    assert config.model.settings["path"] == str(tmp_path / "a" / "start.safetensors")
    assert str(tmp_path) not in public_yaml(config)
    assert "start.safetensors" in public_yaml(config)
