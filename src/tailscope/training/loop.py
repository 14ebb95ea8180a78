"""Fit one network under one treatment: an explicit loop on Lightning Fabric, resumable at every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from tailscope.core import TrainingError, child_seed, class_groups, generator
from tailscope.models import write_weights
from tailscope.training.audit import EpochWatch
from tailscope.training.augmentation import apply_views, draw_views
from tailscope.training.checkpoint import TrainingState, copy_of, load_state, save_state
from tailscope.training.devices import chosen_accelerator, chosen_precision, quiet_fabric, reproducible
from tailscope.training.job import Job
from tailscope.training.kept import checkpoint_path, due_epochs, require_kept
from tailscope.training.optimizing import (
    all_losses,
    is_open,
    make_optimizer,
    open_for_training,
    renew_head,
    set_learning_rate,
)
from tailscope.training.order import batches
from tailscope.training.prediction import predict_adjusted
from tailscope.training.schedule import learning_rate
from tailscope.training.selection import require_score, validation_score
from tailscope.training.stages import Stage
from tailscope.treatments import Labels, TreatmentPlan

Inspect: TypeAlias = Callable[[int, EpochWatch], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class EpochResult:
    """Mean training loss, learning rate of the last step, and what was really done in one epoch."""

    loss: float
    lr: float
    watch: EpochWatch


@dataclass(frozen=True, eq=False)
class _Step:
    """One batch: which images, mixed with which, in which epoch and at which rate."""

    rows: NDArray[np.int64]
    partners: NDArray[np.int64] | None
    epoch: int
    number: int
    lr: float


def fit(
    job: Job,
    folder: Path,
    advance: Callable[[int], None] | None = None,
    tell: Callable[[str], None] | None = None,
    inspect: Inspect | None = None,
) -> TrainingState:
    """Train; the network is left with the weights of the selected epoch.

    Only epochs of the last stage can be selected: before it, the treatment is not complete.

    Args:
        job: What to fit.
        folder: Where the state is kept after each epoch; a state found there is taken up. The epochs of
            ``keep_checkpoints`` are kept there as well.
        advance: Called with the number of training images done; images of earlier sessions included.
        tell: Called with one line after each epoch.
        inspect: Called with each epoch, from 0, and what was watched in it; what it returns joins the epoch's audit,
            what it raises ends the training.

    Returns:
        The final state; ``best.epoch`` is the selected epoch, from 0.

    Raises:
        TrainingError: The loss became non-finite, or no epoch had a finite score.
        DataError: No class can be scored on the validation split.
        InputError: The treatment's last phase would get no epoch, or it needs a linear head and there is none.
        MismatchError: The state that was found is past an epoch that is to be kept and was not.
    """
    require_score(job.data.targets[job.data.rows("val")])
    with reproducible(), quiet_fabric():
        loop = _Loop(job)
        state = load_state(folder, loop.parts)
        require_kept(job.settings.keep_checkpoints, state.epoch, folder, folder)
        if advance is not None:
            advance(state.epoch * job.rows.size)
        while state.epoch < job.settings.epochs and not _is_over(state, job):
            loop.one_epoch(state, advance, inspect)
            loop.keep(folder, state.epoch)  # before the state: a kill in between trains the epoch again, to the same
            save_state(folder, state, loop.parts)
            if tell is not None:
                tell(_line(state, job))
        loop.keep(folder, state.epoch, is_over=True)
        loop.close()
        if state.best.epoch < 0:
            raise TrainingError("no epoch gave finite validation scores; lower `training.lr` and run again")
        loop.restore(state)
    return state


class _Loop:
    """The parts that one training holds together."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows = job.rows
        self.classes = job.data.classes
        self.groups = class_groups(job.data.counts.prevalences)
        accelerator = chosen_accelerator(job.accelerator)
        precision = chosen_precision(job.settings.precision, accelerator)
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
        self.network = job.network.module.to(memory_format=torch.channels_last)
        self.trainable = frozenset(name for name, part in self.network.named_parameters() if part.requires_grad)
        self.losses = self.fabric.to_device(all_losses(job.plan))
        optimizer = make_optimizer(job.settings, self.network, job.plan)
        self.module, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.parts = {"network": self.network, "loss": self.losses, "optimizer": self.optimizer}

    def one_epoch(self, state: TrainingState, advance: Callable[[int], None] | None, inspect: Inspect | None) -> None:
        """Train for one epoch, validate, and note both in ``state``."""
        data, stage = self.job.data, self.job.stage(state.epoch)
        result = self._train(state.epoch, stage, advance)
        found = {} if inspect is None else inspect(state.epoch, result.watch)
        rows = data.rows("val")
        logits = predict_adjusted(
            self.job.network, stage.plan, data.pixels, rows, batch_size=4 * self.job.settings.batch_size
        )
        score = validation_score(logits, data.targets[rows])
        state.history.append({"epoch": state.epoch, "train_loss": result.loss, "val_auroc": score, "lr": result.lr})
        state.audit.append({"epoch": state.epoch + 1, **result.watch.summary(), **found})
        best = state.best.after(state.epoch, score)
        if best != state.best and stage is self.job.stages[-1]:
            state.best = best
            state.best_weights, state.best_loss = copy_of(self.network), copy_of(self.losses)
        state.epoch += 1

    def keep(self, folder: Path, epoch: int, *, is_over: bool = False) -> None:
        """Write the weights as they are after an epoch, counted from 1, if they are to be kept."""
        if epoch in due_epochs(self.job.settings.keep_checkpoints, epoch, is_over=is_over):
            write_weights(checkpoint_path(folder, epoch), self.network, self.job.network.preprocessing)

    def restore(self, state: TrainingState) -> None:
        """Put the selected weights back into the network and the loss."""
        self.network.load_state_dict(state.best_weights)
        self.losses.load_state_dict(state.best_loss)

    def close(self) -> None:
        """Leave the network as open for training as it was found."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in self.trainable)

    def _train(self, epoch: int, stage: Stage, advance: Callable[[int], None] | None) -> EpochResult:
        job = self.job
        # Dropout and the like draw from torch's generator; seeding it by epoch makes a resumed run the same run.
        torch.manual_seed(child_seed(job.seed, "noise", epoch))
        watch = EpochWatch(self.classes, self.groups, self.rows.size)
        summed, lr = 0.0, 0.0
        self._open(epoch, stage)
        for step in self._steps(epoch, stage):
            lr = step.lr
            summed += self._step(step, stage.plan, watch) * step.rows.size
            if advance is not None:
                advance(step.rows.size)
        return EpochResult(summed / self.rows.size, lr, watch)

    def _open(self, epoch: int, stage: Stage) -> None:
        self.module.train()
        open_for_training(self.network, stage.plan, len(self.classes), self.trainable)
        if stage.plan.trains == "fresh_head" and epoch == stage.first:
            renew_head(self.network, self.optimizer, len(self.classes), self.job.seed)

    def _steps(self, epoch: int, stage: Stage) -> list[_Step]:
        draws, size = self.job.draws(epoch), self.job.settings.batch_size
        images = batches(draws.images, size)
        partners = [None] * len(images) if draws.partners is None else batches(draws.partners, size)
        total = len(images) * (stage.finish - stage.begin)
        done = len(images) * (epoch - stage.begin)
        return [
            _Step(mine, others, epoch, number, learning_rate(self.job.settings, done + number, total))
            for number, (mine, others) in enumerate(zip(images, partners, strict=True))
        ]

    def _step(self, step: _Step, plan: TreatmentPlan, watch: EpochWatch) -> float:
        images, labels = self._batch(step.rows, step.epoch, "views")
        share, others = 0.0, labels
        if step.partners is not None and plan.mixing is not None:
            share = plan.mixing.share(generator(self.job.seed, "mixing", step.epoch, step.number))
            partners, others = self._batch(step.partners, step.epoch, "partner views")
            images = (1 - share) * images + share * partners
        if plan.batch_transform is not None:
            transform = generator(self.job.seed, "transform", step.epoch, step.number)
            images, targets = plan.batch_transform(images, labels.targets, transform)
            labels = Labels(targets)
        set_learning_rate(self.optimizer, step.lr)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.module(images.contiguous(memory_format=torch.channels_last))
        logits.retain_grad()
        loss = labels.loss(plan.loss, logits)
        if share > 0:
            loss = (1 - share) * loss + share * others.loss(plan.loss, logits)
        value = float(loss.detach())
        _require_finite(value, step.epoch)
        self.fabric.backward(loss)
        shown = labels if share <= 0.5 else others
        watch.step(
            rows=step.rows,
            partners=step.partners,
            share=share,
            targets=shown.targets,
            soft=shown.soft,
            logits=logits.detach(),
            gradient=logits.grad,
            loss=value,
            training=is_open(self.network, plan),
        )
        self.optimizer.step()
        return value

    def _batch(self, positions: NDArray[np.int64], epoch: int, views_name: str) -> tuple[torch.Tensor, Labels]:
        """Augmented images and their labels, on the device."""
        job, rows = self.job, self.rows[positions]
        views = draw_views(job.settings.augment, child_seed(job.seed, views_name, epoch), rows, job.data.flips_allowed)
        images = self.fabric.to_device(job.network.preprocessing(job.data.pixels[rows]))
        images = apply_views(images, self.fabric.to_device(torch.from_numpy(views)))
        targets, soft = job.data.targets, job.data.soft
        probabilities = None if soft is None else self.fabric.to_device(torch.from_numpy(soft[rows]))
        return images, Labels(self.fabric.to_device(torch.from_numpy(targets[rows])), probabilities)


def _require_finite(value: float, epoch: int) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"the training loss became {value} in epoch {epoch}; lower `training.lr`, or use "
            "`training.precision: 32-true`"
        )


def _is_over(state: TrainingState, job: Job) -> bool:
    patience = job.settings.early_stop
    since = max(state.best.epoch, job.stages[-1].first - 1)
    return patience is not None and state.epoch > 0 and state.epoch - 1 - since >= patience


def _line(state: TrainingState, job: Job) -> str:
    last = state.history[-1]
    mark = "  (best so far)" if state.best.epoch == last["epoch"] else ""
    return (
        f"epoch {state.epoch}/{job.settings.epochs}  loss {last['train_loss']:.4f}  "
        f"validation AUROC {last['val_auroc']:.3f}{mark}"
    )
