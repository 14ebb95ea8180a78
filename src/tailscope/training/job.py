"""One network to fit, and the images that each of its epochs draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailscope.core import ExperimentData, child_seed, digest
from tailscope.models import Network
from tailscope.training.order import epoch_draws
from tailscope.training.settings import TrainingSettings
from tailscope.training.stages import Stage, stage_at, stages_of
from tailscope.treatments import TreatmentPlan, weights_of


@dataclass(frozen=True)
class EpochDraws:
    """The images of one epoch, in order.

    Args:
        images: (N,) positions in the training split.
        partners: (N,) the images they are mixed with, or None without a mix-up.
    """

    images: NDArray[np.int64]
    partners: NDArray[np.int64] | None = None


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

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(N,) rows of the training images in the data."""
        return self.data.rows("train")

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The plan in time."""
        return stages_of(self.plan, self.settings.epochs)

    def stage(self, epoch: int) -> Stage:
        """The stage in which an epoch lies."""
        return stage_at(self.stages, epoch)

    def draw_weights(self, plan: TreatmentPlan) -> NDArray[np.float64] | None:
        """(N,) draw weights of the training images in one stage; None visits each once per epoch."""
        return plan.draw_weights(self.data.targets[self.rows], self.attributes)

    def partner_weights(self, plan: TreatmentPlan) -> NDArray[np.float64] | None:
        """(N,) draw weights of the images that a mix-up takes as partners; None without a mix-up."""
        if plan.mixing is None:
            return None
        targets = self.data.targets[self.rows]
        return weights_of(plan.mixing.partner_weights, targets, plan.mixing.attributes, self.attributes)

    def draws(self, epoch: int) -> EpochDraws:
        """What one epoch draws: a function of the seed, the epoch and the weights."""
        weights, partners = self._weights[self.stages.index(self.stage(epoch))]
        images = epoch_draws(self.rows.size, self.seed, epoch, weights)
        if partners is None:
            return EpochDraws(images)
        return EpochDraws(images, epoch_draws(self.rows.size, child_seed(self.seed, "partners"), epoch, partners))

    def order_digest(self) -> str:
        """Digest of the draws of all epochs, the proof in ``run.json`` that two arms saw the same order."""
        drawn = [self.draws(epoch) for epoch in range(self.settings.epochs)]
        return digest(*(part for one in drawn for part in (one.images, one.partners) if part is not None))

    @cached_property
    def _weights(self) -> list[tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]]:
        """Draw weights of the images and of the partners, stage by stage."""
        return [(self.draw_weights(stage.plan), self.partner_weights(stage.plan)) for stage in self.stages]

    @cached_property
    def attributes(self) -> dict[str, NDArray[Any]]:
        """(N,) columns of the training images that a sampler may read."""
        return {name: values[self.rows] for name, values in self.data.attributes.items()}
