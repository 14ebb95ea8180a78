"""What an epoch really did: which images it drew, what the loss was fed, and how hard it pulled at each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tailscope.core import InputError
from tailscope.treatments.cells import bce_cells
from tailscope.treatments.chance import ratio
from tailscope.treatments.fed_audit import marks
from tailscope.treatments.gradient_audit import Pulls, norms, pull_table


class StepDone(TypedDict):
    """One training step, as it was done.

    ``rows`` (B,): positions of the images. ``targets`` (B, K) in {0, 1, NaN}: as they came to the loss; with a mix-up
    those of the side with the larger share. ``logits`` (B, K), ``gradient`` (B, K): ∂L/∂logits, not scaled for mixed
    precision. ``loss``: a number, or a scalar tensor, which is not waited for. ``training``: whether the network was in
    training mode. With a mix-up, ``partners`` (B,): positions of the partners, and ``share``: their λ. With labels that
    are probabilities, ``soft`` (B, K), NaN elsewhere: they count in loss and norm, and on no side of a class.
    """

    rows: NDArray[np.int64]
    targets: Tensor
    logits: Tensor
    gradient: Tensor
    loss: float | Tensor
    training: bool
    partners: NotRequired[NDArray[np.int64] | None]
    share: NotRequired[float]
    soft: NotRequired[Tensor | None]


class EpochWatch:
    """Running sums over the steps of one epoch, of what each step has computed anyway: no pass of its own.

    Control's gradient on the same logits and targets is (σ(x)−y)/number of known cells, in closed form. All sums stay
    on the device of the logits until :meth:`summary`, so that no step waits for it.

    Args:
        classes: K class names.
        groups: K names of class groups.
        num_images: N; positions of images are in [0, N).

    Attributes:
        draws: (N,) int64: how often each image was drawn.
        partner_draws: (N,) int64: how often each was the partner of a mix-up.
        labelled: (N,) int64: how often the labels of each image were to be fed to the loss.
        pairs: Pairs of an image and its partner.
        own_pairs: Those of an image with itself.

    Example:
        >>> watch = EpochWatch(("mass",), ("head",), num_images=3)
        >>> logits, targets = torch.zeros(2, 1), torch.tensor([[1.0], [0.0]])
        >>> gradient = torch.tensor([[-0.75], [0.25]])  # positives weigh 3; control: ∓0.25
        >>> watch.step(
        ...     rows=np.array([2, 0]), targets=targets, logits=logits, gradient=gradient, loss=1.39, training=True
        ... )
        >>> found = watch.summary()
        >>> found["classes"]["mass"]["positives_to_control"], found["classes"]["mass"]["negatives_to_control"]
        (3.0, 1.0)
        >>> watch.draws.tolist(), found["draw_counts"], found["training_steps"]
        ([1, 0, 1], {'0': 1, '1': 2}, 1)
    """

    def __init__(self, classes: Sequence[str], groups: Sequence[str], num_images: int) -> None:
        self.classes, self.groups = tuple(classes), tuple(groups)
        self.draws = np.zeros(num_images, dtype=np.int64)
        self.partner_draws = np.zeros(num_images, dtype=np.int64)
        self.labelled = np.zeros(num_images, dtype=np.int64)
        self.pairs, self.own_pairs = 0, 0
        self._steps, self._training_steps = 0, 0
        self._sums: Tensor | None = None  # (4, K): pulls at positives and negatives, and control's
        self._fed: Tensor | None = None  # (2, K): positives as fed, and their marks
        self._scalars: Tensor | None = None  # (4,): loss, norm of the gradient, and control's

    def step(self, **done: Unpack[StepDone]) -> None:
        """Add one step; see :class:`StepDone`.

        Raises:
            InputError: ``partners`` come without their ``share``.
        """
        labelled = self._count(done)
        targets, logits, gradient = (done[name].detach() for name in ("targets", "logits", "gradient"))
        known = ~targets.isnan()
        wanted = _with_soft(targets, done.get("soft"))
        said = ~wanted.isnan()
        y, x = torch.where(said, wanted, 0).float(), torch.where(said, logits, 0).float()
        cells = said.sum().clamp(min=1)
        control = torch.where(said, torch.sigmoid(x) - y, 0) / cells
        control_loss = torch.where(said, _mixed_cells(x, y), 0).sum() / cells
        gradient = torch.where(said, gradient, 0).float()
        positive = targets == 1
        self._add_pulls(torch.where(known, gradient, 0), torch.where(known, control, 0), positive)
        self._add_fed(positive, labelled)
        self._add_scalars(done["loss"], gradient.norm(), control_loss, control.norm())
        self._steps += 1
        self._training_steps += bool(done["training"])

    def summary(self) -> dict[str, Any]:
        """Plain numbers, K and not N of them, for ``audit.json``.

        ``steps`` and ``training_steps`` (network in training mode); ``draws``, ``images_drawn`` and ``draw_counts`` (as
        text: times drawn, to the number of images); ``mean_loss``, ``mean_loss_control`` and ``loss_ratio``;
        ``gradient_norm``, ``gradient_norm_control`` (means over the steps) and ``gradient_norm_ratio``; per class and
        group what :func:`~tailscope.treatments.gradient_audit.pull_table` gives, and per class ``fed``, the number of
        positive targets; with a mix-up ``pairs`` and ``own_pairs``, those of an image with itself.
        """
        times, images = np.unique(self.draws, return_counts=True)
        loss, norm, control_loss, control_norm = self._means()
        table = self._table()
        for name, fed in zip(self.classes, self.fed.tolist(), strict=True):
            table["classes"][name]["fed"] = fed
        mixed = {"pairs": self.pairs, "own_pairs": self.own_pairs} if self.pairs else {}
        return {
            "steps": self._steps,
            "training_steps": self._training_steps,
            "draws": int(self.draws.sum()),
            "images_drawn": int(np.sum(self.draws > 0)),
            "draw_counts": {str(time): int(number) for time, number in zip(times, images, strict=True)},
            "mean_loss": loss,
            "mean_loss_control": control_loss,
            "loss_ratio": ratio(loss, control_loss),
            **norms(norm, control_norm),
            **table,
            **mixed,
        }

    @property
    def fed(self) -> NDArray[np.int64]:
        """(K,) positive targets as they came to the loss."""
        return np.asarray(self._fed_rows()[0])

    @property
    def marked(self) -> NDArray[np.int64]:
        """(K,) sum of the marks of the images that were fed as positive.

        See :func:`~tailscope.treatments.fed_audit.labels_audit`.
        """
        return np.asarray(self._fed_rows()[1])

    def _count(self, done: StepDone) -> NDArray[np.int64]:
        """Count the images; returns those whose labels the loss was fed."""
        rows, partners = done["rows"], done.get("partners")
        labelled = rows
        np.add.at(self.draws, rows, 1)
        if partners is not None:
            if "share" not in done:
                raise InputError("`partners` need their `share`, the λ of the batch: it tells whose labels were fed")
            np.add.at(self.partner_draws, partners, 1)
            self.pairs += len(rows)
            self.own_pairs += int(np.sum(rows == partners))
            labelled = partners if done["share"] > 0.5 else rows
        np.add.at(self.labelled, labelled, 1)
        return labelled

    def _add_pulls(self, gradient: Tensor, control: Tensor, positive: Tensor) -> None:
        size, reference = gradient.abs(), control.abs()
        # Chosen, not multiplied by 0: a NaN stays on its side.
        sides = [torch.where(side, each, 0) for each in (size, reference) for side in (positive, ~positive)]
        sums = torch.stack([side.sum(dim=0, dtype=_wide(gradient)) for side in sides])
        self._sums = sums if self._sums is None else self._sums + sums

    def _add_fed(self, positive: Tensor, labelled: NDArray[np.int64]) -> None:
        weights = torch.from_numpy(marks(labelled)).to(positive.device, non_blocking=True)
        fed = torch.stack([positive.sum(dim=0), (positive * weights[:, None]).sum(dim=0)])
        self._fed = fed if self._fed is None else self._fed + fed

    def _add_scalars(self, loss: float | Tensor, norm: Tensor, control_loss: Tensor, control_norm: Tensor) -> None:
        value = loss.detach() if isinstance(loss, Tensor) else norm.new_full((), loss)
        scalars = torch.stack([value.to(norm), norm, control_loss, control_norm]).to(_wide(norm))
        self._scalars = scalars if self._scalars is None else self._scalars + scalars

    def _means(self) -> list[float]:
        if self._scalars is None:
            return [math.nan] * 4
        return [float(total) / self._steps for total in self._scalars.cpu()]

    def _table(self) -> dict[str, Any]:
        width = len(self.classes)
        sums = np.zeros((4, width)) if self._sums is None else self._sums.cpu().double().numpy()
        return pull_table(Pulls(sums[0], sums[1]), Pulls(sums[2], sums[3]), self.classes, self.groups)

    def _fed_rows(self) -> NDArray[np.int64]:
        if self._fed is None:
            return np.zeros((2, len(self.classes)), dtype=np.int64)
        return np.asarray(self._fed.cpu().numpy(), dtype=np.int64)


def _with_soft(targets: Tensor, soft: Tensor | None) -> Tensor:
    """(B, K) in [0, 1] or NaN: the targets, and the probabilities where they are unknown."""
    return targets if soft is None else torch.where(soft.isnan(), targets, soft.to(targets))


def _mixed_cells(x: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy per cell for targets in [0, 1]."""
    one = torch.ones_like(y)
    return y * bce_cells(x, one) + (1 - y) * bce_cells(x, 1 - one)


def _wide(values: Tensor) -> torch.dtype:
    """The widest float of a device: Apple's has no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64
