"""Fit one network under one treatment: an explicit loop on Lightning Fabric, resumable at every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from tailscope.core import ExperimentData, InputError, TrainingError, child_seed
from tailscope.models import Network
from tailscope.training.audit import GradientMass
from tailscope.training.augmentation import apply_views, draw_views
from tailscope.training.checkpoint import TrainingState, copy_of, load_state, save_state
from tailscope.training.devices import chosen_precision, quiet_fabric, reproducible
from tailscope.training.order import batches, epoch_draws
from tailscope.training.prediction import predict
from tailscope.training.schedule import learning_rate
from tailscope.training.selection import require_score, validation_score
from tailscope.training.settings import TrainingSettings
from tailscope.treatments import TreatmentPlan


@dataclass(frozen=True)
class Job:
    """One network to fit.

    Args:
        network: Freshly made, or loaded.
        plan: The treatment's parts.
        data: Images, targets and split.
        settings: Optimiser, schedule and budget.
        seed: The run's seed: batch order, augmentation, dropout.
        accelerator: Lightning's name: ``auto``, ``cpu``, ``cuda`` …
    """

    network: Network
    plan: TreatmentPlan
    data: ExperimentData
    settings: TrainingSettings
    seed: int
    accelerator: str = "auto"

    @property
    def draw_weights(self) -> NDArray[np.float64] | None:
        """Draw weights of the training images; None visits each once per epoch."""
        if self.plan.sample_weights is None:
            return None
        return np.asarray(self.plan.sample_weights(self.data.targets[self.data.rows("train")]), dtype=np.float64)


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss, learning rate of the last step, and the gradient's mass of one epoch."""

    loss: float
    lr: float
    audit: dict[str, Any]


def require_runnable(plan: TreatmentPlan) -> None:
    """Refuse a plan with a part that this loop would leave out in silence.

    Raises:
        InputError: Names the parts.
    """
    parts = [name for name in ("batch_transform", "phases", "adjust_logits") if getattr(plan, name) is not None]
    if parts:
        raise InputError(
            f"the treatment's plan has {', '.join(parts)}, which training does not run yet; "
            "express it by a loss and sample weights"
        )


def fit(
    job: Job, folder: Path, advance: Callable[[int], None] | None = None, tell: Callable[[str], None] | None = None
) -> TrainingState:
    """Train; the network is left with the weights of the selected epoch.

    Args:
        job: What to fit.
        folder: Where the state is kept after each epoch; a state found there is taken up.
        advance: Called with the number of training images done; images of earlier sessions included.
        tell: Called with one line after each epoch.

    Returns:
        The final state; ``best.epoch`` is the selected epoch, from 0.

    Raises:
        TrainingError: The loss became non-finite, or no epoch had a finite score.
        DataError: No class can be scored on the validation split.
        InputError: The plan has a part that training does not run.
    """
    require_runnable(job.plan)
    require_score(job.data.targets[job.data.rows("val")])
    with reproducible(), quiet_fabric():
        loop = _Loop(job)
        state = load_state(folder, loop.parts)
        if advance is not None:
            advance(state.epoch * job.data.rows("train").size)
        while state.epoch < job.settings.epochs and not _is_over(state, job.settings):
            loop.one_epoch(state, advance)
            save_state(folder, state, loop.parts)
            if tell is not None:
                tell(_line(state, job.settings))
        if state.best.epoch < 0:
            raise TrainingError("no epoch had a finite validation score; lower `training.lr` and run again")
        loop.restore(state)
    return state


class _Loop:
    """The parts that one training holds together."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows = job.data.rows("train")
        self.weights = job.draw_weights
        self.fabric = Fabric(
            accelerator=job.accelerator, devices=1, precision=chosen_precision(job.settings.precision, job.accelerator)
        )
        job.network.module.to(memory_format=torch.channels_last)
        self.loss = self.fabric.to_device(job.plan.loss)
        optimizer = _optimizer(job.settings, job.network.module, self.loss)
        self.module, self.optimizer = self.fabric.setup(job.network.module, optimizer)
        self.parts = {"network": job.network.module, "loss": self.loss, "optimizer": self.optimizer}

    def one_epoch(self, state: TrainingState, advance: Callable[[int], None] | None) -> None:
        """Train for one epoch, validate, and note both in ``state``."""
        data = self.job.data
        result = self._train(state.epoch, advance)
        rows = data.rows("val")
        logits = predict(self.job.network, data.pixels, rows, batch_size=4 * self.job.settings.batch_size)
        score = validation_score(logits, data.targets[rows])
        state.history.append({"epoch": state.epoch, "train_loss": result.loss, "val_auroc": score, "lr": result.lr})
        state.audit.append(result.audit)
        best = state.best.after(state.epoch, score)
        if best != state.best:
            state.best = best
            state.best_weights, state.best_loss = copy_of(self.job.network.module), copy_of(self.loss)
        state.epoch += 1

    def restore(self, state: TrainingState) -> None:
        """Put the selected weights back into the network and the loss."""
        self.job.network.module.load_state_dict(state.best_weights)
        self.loss.load_state_dict(state.best_loss)

    def _train(self, epoch: int, advance: Callable[[int], None] | None) -> EpochResult:
        job, data = self.job, self.job.data
        # Dropout and the like draw from torch's generator; seeding it by epoch makes a resumed run the same run.
        torch.manual_seed(child_seed(job.seed, "noise", epoch))
        draws = batches(epoch_draws(self.rows.size, job.seed, epoch, self.weights), job.settings.batch_size)
        total_steps = len(draws) * job.settings.epochs
        mass = GradientMass(data.classes)
        summed, lr = 0.0, 0.0
        self.module.train()
        for number, batch in enumerate(draws):
            lr = learning_rate(job.settings, epoch * len(draws) + number, total_steps)
            value = self._step(self.rows[batch], epoch, lr, mass)
            summed += value * batch.size
            if advance is not None:
                advance(batch.size)
        return EpochResult(summed / self.rows.size, lr, mass.summary())

    def _step(self, rows: NDArray[np.int64], epoch: int, lr: float, mass: GradientMass) -> float:
        job = self.job
        views = draw_views(job.settings.augment, child_seed(job.seed, "views", epoch), rows, job.data.flips_allowed)
        images = self.fabric.to_device(job.network.preprocessing(job.data.pixels[rows]))
        images = apply_views(images, self.fabric.to_device(torch.from_numpy(views)))
        targets = self.fabric.to_device(torch.from_numpy(job.data.targets[rows]))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.module(images.contiguous(memory_format=torch.channels_last))
        logits.retain_grad()
        loss = self.loss(logits, targets)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the training loss became {value} in epoch {epoch}; lower `training.lr`, or use "
                "`training.precision: 32-true`"
            )
        self.fabric.backward(loss)
        mass.add(logits.grad, targets, value)
        self.optimizer.step()
        return value


def _optimizer(settings: TrainingSettings, module: nn.Module, loss: nn.Module) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in module.parameters() if parameter.requires_grad]}
    ]
    if own := list(loss.parameters()):
        groups.append({"params": own, "weight_decay": 0.0})
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=settings.lr, weight_decay=settings.weight_decay)


def _is_over(state: TrainingState, settings: TrainingSettings) -> bool:
    patience = settings.early_stop
    return patience is not None and state.epoch > 0 and state.epoch - 1 - state.best.epoch >= patience


def _line(state: TrainingState, settings: TrainingSettings) -> str:
    last = state.history[-1]
    mark = "  (best so far)" if state.best.epoch == last["epoch"] else ""
    return (
        f"epoch {state.epoch}/{settings.epochs}  loss {last['train_loss']:.4f}  "
        f"validation AUROC {last['val_auroc']:.3f}{mark}"
    )
