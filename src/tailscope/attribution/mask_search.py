"""Many questions of one kind at once: under which mask of a given area does a logit stay, or go, most?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from tailscope.attribution.asking import require_gradients
from tailscope.attribution.blur_pyramid import Pyramid
from tailscope.attribution.exact_area import area_penalty, with_area
from tailscope.attribution.smooth_masks import PaddedMasks, SmoothMasks

Objective = Literal["preserve", "delete"]

_WHOLE = 0.9  # the area with which a search begins, so that the network still sees what it is to find
_RATE, _RATE_PUBLISHED = 0.1, 0.01
_PENALTY, _GROWTH = 300.0, 1.0035  # of the published area constraint, and its growth in each iteration


@dataclass(frozen=True)
class Problems:
    """One mask to find for each entry.

    Args:
        rows: (P,) which image.
        classes: (P,) which logit.
        areas: (P,) which share of the image the mask covers.
    """

    rows: tuple[int, ...]
    classes: tuple[int, ...]
    areas: tuple[float, ...]

    @classmethod
    def of(cls, images: int, classes: Sequence[int], areas: Sequence[float]) -> Problems:
        """Every image with every class and every area, the area running fastest.

        >>> Problems.of(1, [4, 2], [0.1]).classes
        (4, 2)
        """
        entries = list(product(range(images), classes, areas))
        rows, wanted, shares = zip(*entries, strict=True) if entries else ((), (), ())
        return cls(rows, wanted, shares)

    def parts(self, size: int, *, filled: bool) -> Iterator[tuple[Problems, int]]:
        """``size`` problems at a time, and how many of them count.

        Args:
            size: Problems in a part, at most.
            filled: Fill the last part up with its last problem. Passes of one size give each row the same bits
                whatever stands beside it, on the usual backends; in single precision nothing less keeps a mask from
                depending on its batch.

        Example:
            >>> [(part.rows, count) for part, count in Problems.of(3, [0], [0.1]).parts(2, filled=True)]
            [((0, 1), 2), ((2, 2), 1)]
        """
        last = len(self.rows) - 1
        for start in range(0, len(self.rows), size):
            count = min(size, len(self.rows) - start)
            chosen = [min(start + place, last) for place in range(size if filled else count)]
            rows, classes = (tuple(values[place] for place in chosen) for values in (self.rows, self.classes))
            yield Problems(rows, classes, tuple(self.areas[place] for place in chosen)), count


@dataclass(frozen=True, eq=False)
class Search:
    """What a search asks: the network, the images and their perturbation, and which way the logit is to go.

    Args:
        model: (P, C, H, W) to logits (P, K).
        images: (B, C, H, W), of the type of number in which to search.
        perturb: Images (1, C, H, W) to their levels.
        objective: ``"preserve"``: the image is perturbed outside the mask, and the logit is to stay large;
            ``"delete"``: it is perturbed inside, and the logit is to become small.
    """

    model: Callable[[Tensor], Tensor]
    images: Tensor
    perturb: Callable[[Tensor], Pyramid]
    objective: Objective

    def levels(self, problems: Problems) -> tuple[Pyramid, Tensor]:
        """The perturbed images of these problems alone, and the row of each problem among them."""
        rows = sorted(set(problems.rows))
        levels = torch.cat([self.perturb(self.images[row : row + 1]).levels for row in rows])
        places = torch.tensor([rows.index(row) for row in problems.rows], device=levels.device)
        return Pyramid(levels), places

    def rewards(self, shown: Tensor, problems: Problems) -> Tensor:
        """The logit of each problem for the perturbed images (P, C, H, W), negative where it is to go; (P,)."""
        logits = self.model(shown)
        require_gradients(logits, "the image")
        wanted = torch.tensor(problems.classes, device=logits.device).unsqueeze(1)
        chosen = logits.gather(1, wanted).squeeze(1)
        return chosen if self.objective == "preserve" else -chosen

    def kept(self, masks: Tensor) -> Tensor:
        """Where the image stays as it is."""
        return masks if self.objective == "preserve" else 1 - masks

    @property
    def dtype(self) -> torch.dtype:
        """Of the masks: that of the images, float32 at least."""
        return torch.promote_types(self.images.dtype, torch.float32)


def masks_of_exact_area(
    search: Search, problems: Problems, smooth: SmoothMasks, *, iterations: int, softness: float
) -> Tensor:
    """Masks (P, H, W) whose mean is their area at every step; Adam raises the reward.

    The area shrinks from 0.9 to its goal over the first half of the iterations, evenly in its logarithm, and the rate
    falls with √(1 − share done). Adam and the area work on each problem for itself. In 100 steps on a small
    network, a change of 1e-14 of the images grew to 1e-7 of a mask, so that in float32 rounding decides between masks
    of like worth.
    """
    levels, places = search.levels(problems)
    areas = torch.tensor(problems.areas, dtype=search.dtype, device=levels.levels.device)
    parameters = torch.full((len(areas), *smooth.grid), 0.5, dtype=areas.dtype, device=areas.device)
    parameters.requires_grad_()
    optimiser = torch.optim.Adam([parameters], lr=_RATE, betas=(0.9, 0.99))
    for iteration in range(iterations):
        done = iteration / iterations
        optimiser.param_groups[0]["lr"] = _RATE * (1 - done) ** 0.5
        share = min(1.0, 2 * done)
        masks = with_area(smooth(parameters), _WHOLE ** (1 - share) * areas**share, softness)
        rewards = search.rewards(levels.mixed(places, search.kept(masks)), problems)
        _ascend(rewards, parameters, optimiser)
    with torch.no_grad():
        return with_area(smooth(parameters), areas, softness)


def masks_as_published(search: Search, problems: Problems, padded: PaddedMasks, *, iterations: int) -> Tensor:
    """Masks (P, H, W) as the published code finds them, with what is wrong with it.

    The area is held by a penalty on the whole frame, most of which may lie outside the image; the network sees the
    mirror image in every second iteration, the first included.
    """
    levels, places = search.levels(problems)
    parameters = torch.ones(len(problems.rows), *padded.grid, dtype=search.dtype, device=levels.levels.device)
    parameters.requires_grad_()
    optimiser = torch.optim.SGD([parameters], lr=_RATE_PUBLISHED, momentum=0.9, dampening=0.9)
    masks = parameters
    for iteration in range(iterations):
        masks = padded(parameters)
        shown = levels.mixed(places, search.kept(padded.visible(masks)))
        rewards = search.rewards(shown.flip(-1) if iteration % 2 == 0 else shown, problems)
        penalties = area_penalty(masks, problems.areas)
        _ascend(rewards - _PENALTY * _GROWTH**iteration * penalties, parameters, optimiser)
    return padded.visible(masks).detach()


def _ascend(rewards: Tensor, parameters: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """One step up the sum, in which each problem has its own parameters; they stay in [0, 1]."""
    (parameters.grad,) = torch.autograd.grad(-rewards.sum(), parameters)
    optimiser.step()
    with torch.no_grad():
        parameters.clamp_(0, 1)
