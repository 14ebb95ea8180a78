"""The state of a training after each epoch, so that a killed run goes on bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tailscope.core import atomic_write
from tailscope.training.selection import Best

_NAME = "last.pt"


@dataclass
class TrainingState:
    """What the loop carries from one epoch to the next; all of it is saved.

    Args:
        epoch: Epochs done.
        best: The selected epoch so far.
        best_weights: Its network, on the CPU.
        best_loss: Its treatment's own parameters.
        history: One record per epoch.
        audit: One record per epoch.
    """

    epoch: int = 0
    best: Best = field(default_factory=Best)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    best_loss: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)


def save_state(folder: Path, state: TrainingState, parts: dict[str, Any]) -> None:
    """Write the state and the state dicts of ``parts`` (network, loss, optimiser) atomically."""
    content = {
        **{name: getattr(state, name) for name in ("epoch", "best_weights", "best_loss", "history", "audit")},
        "best": asdict(state.best),
        "parts": {name: part.state_dict() for name, part in parts.items()},
    }
    with atomic_write(folder / _NAME) as temporary:
        torch.save(content, temporary)


def load_state(folder: Path, parts: dict[str, Any]) -> TrainingState:
    """Read what :func:`save_state` wrote into ``parts``; a fresh state where nothing was written."""
    path = folder / _NAME
    if not path.exists():
        return TrainingState()
    content = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(content["parts"][name])
    return TrainingState(
        content["epoch"],
        Best(**content["best"]),
        content["best_weights"],
        content["best_loss"],
        content["history"],
        content["audit"],
    )


def remove_state(folder: Path) -> None:
    """Delete the state of a finished run, with its folder unless epochs are kept there; its weights stand elsewhere."""
    for path in (*folder.glob(_NAME), *folder.glob(".*.partial")):  # a kill amid a write leaves the latter behind
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def copy_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a module's state on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
