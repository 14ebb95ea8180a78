"""The probability that an arm's predictions mean, given its loss and its draws (METHODS section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.core import ExperimentData, read_json
from tailscope.experiment.folder import ExperimentFolder
from tailscope.performance import meant_logits, moved_prior
from tailscope.treatments import TREATMENTS, CellLoss, TreatmentPlan

Floats = NDArray[np.float64]
NO_CELLS = "its loss has no value per image and class by itself, so its probabilities are left as they are"


@dataclass(frozen=True, eq=False)
class PriorCorrection:
    """From the logits in a run's predictions to the log-odds that they mean.

    The step that a treatment fits after training is taken back first, so the logit is the network's own. Then the
    slopes of the loss of the last stage give η = g₀/(g₀−g₁); and where the last stage weighs the draws, the shift from
    realised to training odds follows, an approximation: draws change more than the prevalence of a class.

    Args:
        plan: The treatment's.
        targets: (N, K) of the training images.
        drawn: (K,) share of the last stage's draws that are positive; None where every image is drawn alike.
        fitted: (2, K) scale and shift of the step after training.
    """

    plan: TreatmentPlan
    targets: NDArray[np.floating]
    drawn: Floats | None
    fitted: Floats

    @classmethod
    def of(cls, folder: ExperimentFolder, run: str, data: ExperimentData) -> PriorCorrection:
        """Of a finished run, read from its record and its audit."""
        record, audit = (read_json(folder.run(run) / f"{name}.json") for name in ("run", "audit"))
        treatment, step = record["treatment"], record["adjustment"]
        plan = TREATMENTS.build(treatment["name"], **treatment["settings"])(data.counts)
        count = len(data.classes)
        fitted = [np.ones(count), np.zeros(count)] if step is None else [step["scale"], step["shift"]]
        drawn = _drawn_shares(plan.stages[-1][1], audit, data.classes)
        return cls(plan, data.targets[data.rows("train")], drawn, np.asarray(fitted, dtype=np.float64))

    @property
    def why_none(self) -> str:
        """Why the loss of this arm cannot be corrected, so that its logits are left alone; empty where it can."""
        return "" if self._cells is not None else NO_CELLS

    def __call__(self, logits: NDArray[np.floating]) -> Floats:
        """(N, K) log-odds from (N, K) logits of the predictions; the same logits where there is :attr:`why_none`."""
        as_predicted = np.asarray(logits, dtype=np.float64)
        if self._cells is None:
            return as_predicted
        own = (as_predicted - self.fitted[1]) / self.fitted[0] / self._scale
        odds = meant_logits(*self._slopes(self._cells, own), own)
        return odds if self.drawn is None else _without_draws(odds, self.drawn, self.targets)

    @property
    def _last(self) -> TreatmentPlan:
        """What holds when training ends, in which the treatment is complete."""
        return self.plan.stages[-1][1]

    @property
    def _cells(self) -> CellLoss | None:
        """The loss in float64, if it has a value per cell."""
        loss = self._last.loss
        return loss.double() if isinstance(loss, CellLoss) else None

    @property
    def _scale(self) -> float:
        """Of the logits in the predictions against the network's; a loss over cells has no other adjustment."""
        adjust = self._last.adjust_logits
        return 1.0 if adjust is None else float(adjust(torch.ones(1, self.targets.shape[1]))[0, 0])

    def _slopes(self, loss: CellLoss, logits: Floats) -> tuple[Floats, Floats]:
        """g₀ and g₁ at every logit, times the mean weight that the labels of the training images give each side.

        That weight is 1 but for losses that look at the other labels of an image or of the batch.
        """
        targets = self.targets.astype(np.float64)
        among = np.abs(_slope(loss, np.zeros(targets.shape), targets))
        found = []
        for side in (0.0, 1.0):
            slope = _slope(loss, logits, np.full(logits.shape, side))
            alone = np.abs(_slope(loss, np.zeros((1, logits.shape[1])), np.full((1, logits.shape[1]), side)))[0]
            count = (targets == side).sum(axis=0)
            known = (count > 0) & (alone > 0)
            mean = np.where(targets == side, among, 0.0).sum(axis=0) / np.maximum(count, 1)
            found.append(slope * np.where(known, mean / np.where(known, alone, 1.0), 1.0))
        return found[0], found[1]


def _slope(loss: CellLoss, logits: Floats, targets: Floats) -> Floats:
    """∂ℓ/∂x of each cell; 0 where the target is unknown."""
    x = torch.tensor(logits, requires_grad=True)
    (slope,) = torch.autograd.grad(loss.cells(x, torch.tensor(targets)).nansum(), x)
    return np.asarray(slope.numpy())


def _drawn_shares(plan: TreatmentPlan, audit: dict[str, Any], classes: tuple[str, ...]) -> Floats | None:
    """Positive share of the draws over the epochs in which the plan held; partners of a mix-up count by their share."""
    own = _realised(audit, "sampling", classes) if plan.sample_weights is not None or plan.mixing is not None else None
    if own is None or plan.mixing is None:
        return own
    share = plan.mixing.alpha / (1 + plan.mixing.alpha)  # mean of Beta(α, 1)
    return (1 - share) * own + share * _realised(audit, "partner", classes)


def _realised(audit: dict[str, Any], stream: str, classes: tuple[str, ...]) -> Floats:
    """Mean over the epochs that were expected to draw as the last stage does, whose plan the audit begins with."""
    planned = audit[stream]["classes"]
    epochs = [record[stream]["classes"] for record in audit["epochs"] if stream in record]
    alike = [epoch for epoch in epochs if all(_expected(epoch, planned, name) for name in classes)]
    shares = [[epoch[name]["realised"] for name in classes] for epoch in alike or [planned]]
    return np.asarray(np.mean(shares, axis=0), dtype=np.float64)


def _expected(epoch: dict[str, Any], planned: dict[str, Any], name: str) -> bool:
    return bool(np.isclose(epoch[name]["expected"], planned[name]["expected"], rtol=1e-9, atol=0.0))


def _without_draws(odds: Floats, drawn: Floats, targets: NDArray[np.floating]) -> Floats:
    """A class that was never drawn, or always, says nothing about odds and is left as it is."""
    prevalence = (targets == 1).mean(axis=0, dtype=np.float64)  # as in the audit, unknown labels are no positives
    usable = (drawn > 0) & (drawn < 1) & (prevalence > 0) & (prevalence < 1)
    return moved_prior(odds, np.where(usable, drawn, 0.5), np.where(usable, prevalence, 0.5))
