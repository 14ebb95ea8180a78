"""The region of a given size that keeps a class's logit highest on its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_images, require_logits
from tailscope.attribution.blur_pyramid import Pyramid, blurred, faded
from tailscope.attribution.in_double import in_double
from tailscope.attribution.mask_search import Objective, Problems, Search, masks_as_published, masks_of_exact_area
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_between, require_whole
from tailscope.attribution.smooth_masks import PaddedMasks, SmoothMasks
from tailscope.core import InputError, check_choice

_LEVELS = 8
_STEP, _SIGMA, _BLUR, _SIDE = 7, 21, 20, 224  # published, in pixels, for images of 224 pixels
_SOFTNESS = 0.03

Variant = Literal["corrected", "as_published"]


@ATTRIBUTIONS.register("extremal_perturbation")
@dataclass(frozen=True)
class ExtremalPerturbation:
    """Mean over several areas of the smooth mask under which the logit is highest, [0, 1]; larger matters more.

    Outside the mask the image is blurred, the more the lower the mask. For each image, class and area one mask is
    optimised, all in one batch, none touching another. Its parameters lie on a coarse grid; each spreads by a bell of
    width ``sigma`` (a soft maximum joins them), and the mask is the level set of that surface that covers the area.

    Variants:
        - ``corrected``: every mask covers exactly its area of the image, by construction instead of by a penalty;
          the network never sees a mirror image (the heart has its side); the blur mirrors the image at its border;
          grid, bell and blur scale with the image's shorter side, as 7, 21 and 20 pixels do at 224; Adam finds in
          100 steps masks with a higher logit and a harder rim than the published optimiser in 800
          (``benchmarks/extremal_perturbation.py``).
        - ``as_published``: TorchRay's, for comparison: the penalty counts pixels outside the image (asked for 0.10 it
          covers 0.17 at 224 pixels and 0.32 at 64), every second step sees the mirror image, the blur takes what lies
          outside for 0, and pixels stay pixels at every image size. What the published code left changed in the
          network is put back.

    Args:
        areas: Shares of the image, each in (0, 1). None: 0.025, 0.05, 0.1 and 0.2, the paper's; as published 0.1.
        step: Pixels between two parameters. None: 1/32 of the shorter side; as published 7.
        sigma: Reach of a parameter in pixels. None: 3/32 of the shorter side; as published 21.
        iterations: None: 100; as published 800.
        objective: ``"preserve"`` looks for what suffices; ``"delete"`` for what must be perturbed for the logit to go.
        perturbation: ``"blur"``, or ``"fade"`` to 0, the mean colour.
        variant: See above.
        precision: Of the corrected search. ``"double"``: the masks depend on nothing but the network and the image.
            ``"single"`` is two to five times faster on a CPU, and more on most GPUs; equal calls still give equal bits,
            also in another batch (each pass is filled up to ``batch_size``), but on another machine, or with another
            ``batch_size`` or number of threads, another mask of like worth may be found.
        batch_size: Masks in one pass. Memory grows with it.

    Source: Fong, Patrick & Vedaldi, Understanding Deep Networks via Extremal Perturbations and Smooth Masks, ICCV
    2019, sections 3 and 4; PAPER.md D44 for what is wrong with the published code.

    Example:
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> image = torch.zeros(1, 1, 32, 32)
        >>> image[..., 8:16, 8:16] = 1.0
        >>> method = ExtremalPerturbation(areas=(0.0625,), perturbation="fade")
        >>> saliency = method(network, image, [0])[0, 0]
        >>> round(float(saliency.mean()), 4), bool(saliency[8:16, 8:16].sum() > 0.7 * saliency.sum())
        (0.0625, True)
    """

    areas: tuple[float, ...] | None = None
    step: int | None = None
    sigma: float | None = None
    iterations: int | None = None
    objective: Objective = "preserve"
    perturbation: Literal["blur", "fade"] = "blur"
    variant: Variant = "corrected"
    precision: Literal["double", "single"] = "double"
    batch_size: int = 8

    shares_passes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        check_choice("objective", self.objective, get_args(Objective))
        check_choice("precision", self.precision, ("double", "single"))
        check_choice("perturbation", self.perturbation, ("blur", "fade"))
        require_whole("batch_size", self.batch_size)
        for name in ("step", "iterations"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name))
        if self.sigma is not None:
            require_between("sigma", self.sigma, 0, math.inf)
        if self.sigma is not None and self.variant == "as_published":
            require_whole("sigma", self.sigma)
        if self.areas is not None:
            object.__setattr__(self, "areas", _shares(self.areas))

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32 on the pixels of the images; the contract is that of ``Attribution``.

        Raises:
            InputError: Images, classes or logits of a wrong shape, or no logit depends on the images.
        """
        return self.masks(model, images, classes).mean(dim=2)

    def masks(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """The mask of each area by itself, (B, len(classes), areas, H, W) float32 in [0, 1].

        Raises:
            InputError: As for a call.
        """
        require_images(images)
        areas = self._areas
        size = (int(images.shape[2]), int(images.shape[3]))
        with asking(model, gradients=True):
            images = images.detach().clone()
            with torch.no_grad():
                require_logits(model(images), classes)
            run: Callable[[Tensor], Tensor] = model
            if self.variant == "corrected" and self.precision == "double":
                run, images = in_double(model), images.double()
            search = Search(run, images, self._perturb(min(size)), self.objective)
            problems = Problems.of(len(images), classes, areas)
            parts = problems.parts(self._pass_size, filled=self.precision == "single")
            found = [self._solve(search, part, size)[:count].float() for part, count in parts]
        whole = torch.cat(found) if found else images.new_zeros(0, *size).float()
        return whole.reshape(len(images), len(classes), len(areas), *size)

    def _solve(self, search: Search, problems: Problems, size: tuple[int, int]) -> Tensor:
        if self.variant == "as_published":
            padded = PaddedMasks(size, self.step or _STEP, int(self.sigma or _SIGMA))
            return masks_as_published(search, problems, padded, iterations=self.iterations or 800)
        scale = min(size) / _SIDE
        smooth = SmoothMasks(size, self.step or max(1, round(_STEP * scale)), self.sigma or _SIGMA * scale)
        return masks_of_exact_area(search, problems, smooth, iterations=self.iterations or 100, softness=_SOFTNESS)

    def _perturb(self, side: int) -> Callable[[Tensor], Pyramid]:
        if self.perturbation == "fade":
            return partial(faded, levels=_LEVELS)
        if self.variant == "as_published":
            return partial(blurred, sigma=_BLUR, levels=_LEVELS, border="zeros")
        return partial(blurred, sigma=_BLUR * side / _SIDE, levels=_LEVELS, border="reflect")

    @property
    def _areas(self) -> tuple[float, ...]:
        return self.areas or ((0.1,) if self.variant == "as_published" else (0.025, 0.05, 0.1, 0.2))

    @property
    def _pass_size(self) -> int:
        """As published, the areas of one image and class go together."""
        return len(self._areas) if self.variant == "as_published" else self.batch_size


def _shares(areas: Sequence[float]) -> tuple[float, ...]:
    if isinstance(areas, str) or not isinstance(areas, Sequence) or not areas:
        raise InputError(f"`areas` must be numbers above 0 and below 1, one at least; got {areas!r}")
    for area in areas:
        require_between("areas", area, 0, 1)
    return tuple(areas)
