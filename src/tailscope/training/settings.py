"""How a network is fitted: the same for every arm of an experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tailscope.core import InputError
from tailscope.training.kept import keep_problems


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image, each time with numbers drawn for (seed, epoch, image).

    The defaults are sane for chest radiographs: no transpose and no flip, because the heart lies on one side.

    Args:
        rotation_deg: Largest rotation, in degrees, either way.
        translation: Largest shift, as a share of the side length, either way.
        scale: Largest change of size, as a share, either way.
        brightness: Largest shift, in units of the preprocessing's standard deviation, either way.
        contrast: Largest change of contrast, as a share, either way.
        flips: ``auto`` flips both ways where the data set says that labels survive it; ``none``; ``horizontal``;
            ``both``.
    """

    rotation_deg: float = 7.0
    translation: float = 0.04
    scale: float = 0.06
    brightness: float = 0.1
    contrast: float = 0.1
    flips: Literal["auto", "none", "horizontal", "both"] = "auto"

    def __post_init__(self) -> None:
        limits = {"rotation_deg": 180.0, "translation": 0.5, "scale": 0.9, "brightness": 10.0, "contrast": 0.9}
        problems = [
            f"`augment.{name}` must lie in [0, {limit:g}]; got {getattr(self, name):g}"
            for name, limit in limits.items()
            if not 0 <= getattr(self, name) <= limit
        ]
        if problems:
            raise InputError("; ".join(problems))


@dataclass(frozen=True)
class TrainingSettings:
    """Optimiser, schedule and budget.

    Args:
        epochs: Passes over as many draws as there are training images.
        batch_size: Images per step.
        optimizer: Adam adds the decay to the gradient (as the paper's code), AdamW decouples it.
        lr: Peak learning rate.
        weight_decay: Of the network's parameters; a treatment's own parameters have none.
        schedule: After the warm-up, ``cosine`` to zero at the last step, or ``constant``.
        warmup_fraction: Share of all steps over which the rate rises linearly.
        precision: ``auto`` is bfloat16 on a CUDA device that has it, and float32 elsewhere.
        early_stop: Stop after so many epochs without a better score; None never stops early.
        augment: See :class:`Augmentation`.
        keep_checkpoints: Epochs after which the weights are kept, counted from 1 through all phases of a treatment, or
            ``last``: the last that was trained. No weight depends on them.
    """

    epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 4.0e-4
    weight_decay: float = 1.0e-6
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_fraction: float = 0.05
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    early_stop: int | None = None
    augment: Augmentation = field(default_factory=Augmentation)
    keep_checkpoints: tuple[int | str, ...] = ()

    def __post_init__(self) -> None:
        lowest = (("epochs", 1), ("batch_size", 2), ("early_stop", 1), ("weight_decay", 0))
        problems = [
            f"`{name}` must be {low} or more; got {value:g}"
            for name, low in lowest
            if (value := getattr(self, name)) is not None and value < low
        ]
        if self.lr <= 0:
            problems.append(f"`lr` must be above 0; got {self.lr:g}")
        if not 0 <= self.warmup_fraction < 1:
            problems.append(f"`warmup_fraction` must lie in [0, 1); got {self.warmup_fraction:g}")
        problems += keep_problems(self.keep_checkpoints, self.epochs)
        if problems:
            raise InputError("; ".join(problems))
