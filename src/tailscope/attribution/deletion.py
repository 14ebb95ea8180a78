"""Does the class's logit follow the pixels that a map calls important? Deletion and insertion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tailscope.attribution.asking import asking, require_images, require_logits
from tailscope.attribution.baselines import Baseline, baseline_images, require_baseline
from tailscope.core import InputError, child_seed

_TIE_STEPS = 2**20  # values are told apart to about 1e-6 of the map's range; METHODS section 4
_ROUNDING = 1e-6  # a range below this share of the largest magnitude is float32 rounding of a constant map


@dataclass(frozen=True, eq=False)
class Curves:
    """A class's logit while pixels are taken away, or come in, above that of the baseline and divided by the distance.

    Args:
        shares: (S+1,) share of the pixels that were exchanged, from 0 to 1.
        deletion: (B, S+1) from the whole image to the baseline; NaN where undefined.
        insertion: (B, S+1) from the baseline to the whole image.
        reasons: B reasons why a pair is undefined, empty where it is not.
    """

    shares: Tensor
    deletion: Tensor
    insertion: Tensor
    reasons: tuple[str, ...]

    @property
    def deletion_area(self) -> Tensor:
        """(B,) area under the deletion curve by trapezoids; lower is better."""
        return torch.trapezoid(self.deletion, self.shares, dim=1)

    @property
    def insertion_area(self) -> Tensor:
        """(B,) area under the insertion curve by trapezoids; higher is better."""
        return torch.trapezoid(self.insertion, self.shares, dim=1)

    @property
    def gain(self) -> Tensor:
        """(B,) insertion area − deletion area; higher is better, and a random order has 0 in expectation."""
        return self.insertion_area - self.deletion_area


@dataclass(frozen=True)
class DeletionInsertion:
    """Exchange the pixels of an image for those of its baseline, most important first, and watch the class's logit.

    Each value is ``(x − x_baseline) / |x_full − x_baseline|``, so that a curve ends at 0 in the baseline and at ±1 in
    the whole image. METHODS divides by the difference itself; where the image has less of the class than its baseline,
    that sign would turn a good map's gain around, so the distance is taken. Pixels that tie (within 1e-6 of the map's
    range) come in one random order, the same for every image and map of a size.

    A random order has a gain of 0 in expectation, for any network and however scattered its pixels are: what is kept at
    a share s of the insertion has the same distribution as what is kept at 1 − s of the deletion. :meth:`random_order`
    measures it all the same.

    Args:
        baseline: See :func:`~tailscope.attribution.baselines.baseline_images`. A blur is the nearest to an image, but
            a wide finding (effusion, a large heart) stays visible in it, so that nothing would be deleted.
        steps: How many equal shares of the pixels are exchanged one after the other.
        sigma: Standard deviation of the blur, as a share of the shorter side.
        least: Logit distance between image and baseline below which a pair is undefined: the image then hardly says
            more about the class than its baseline, and the quotient is noise.
        n_random: Random orders whose mean is the null.
        seed: Of ties and random orders.
        batch_size: Images per forward pass.

    Raises:
        InputError: A setting is out of range.

    Source: Petsiuk et al., RISE, BMVC 2018, section 4.2 (there on probabilities); METHODS section 4.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
        >>> _ = nn.init.constant_(network[1].weight, 1.0)
        >>> image, saliency = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[1.0, 0.0]]])
        >>> curves = DeletionInsertion(baseline="black", steps=2)(network, image, [0], saliency)
        >>> curves.deletion.tolist(), curves.insertion.tolist(), curves.gain.tolist()  # x falls from 3 to 0 at once
        ([[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]], [0.5])
    """

    baseline: Baseline = "image_mean"
    steps: int = 20
    sigma: float = 0.05
    least: float = 0.05
    n_random: int = 2
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        require_baseline(self.baseline)
        if min(self.steps, self.n_random, self.batch_size) < 1:
            raise InputError(f"`steps`, `n_random` and `batch_size` must be 1 or more; got {self}")
        if not 0 < self.sigma < 1 or not 0 < self.least < float("inf"):
            raise InputError(
                f"`sigma` must lie between 0 and 1, and `least` above 0; got {self.sigma} and {self.least}"
            )

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int], maps: Tensor) -> Curves:
        """The curves of B pairs in the order of their maps.

        Args:
            model: (B, C, H, W) to logits; it is left as it was.
            images: (B, C, H, W), preprocessed, on the model's device.
            classes: B class indices, one for each image.
            maps: (B, h, w) on any grid, resized bilinearly with half-pixel centres.

        Raises:
            InputError: Images, classes, maps or logits do not fit each other, or are not finite.
        """
        require_images(images)
        if maps.ndim != 3 or len(maps) != len(images) or not bool(torch.isfinite(maps).all()):
            raise InputError(f"`maps` must be finite (B, h, w), one for each of {len(images)}; got {tuple(maps.shape)}")
        frame = (int(images.shape[2]), int(images.shape[3]))
        return self._curves(model, images, classes, self._ranks(maps.cpu(), frame))

    def random_order(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Curves:
        """The mean curves of random orders, the same for all maps; arguments as in the call."""
        require_images(images)
        size = images.shape[2] * images.shape[3]
        orders = (_shuffled(size, child_seed(self.seed, "random order", one)) for one in range(self.n_random))
        found = [self._curves(model, images, classes, order.expand(len(images), -1)) for order in orders]
        deletion, insertion = (torch.stack(parts).mean(dim=0) for parts in zip(*map(_both, found), strict=True))
        return Curves(found[0].shares, deletion, insertion, found[0].reasons)

    def _ranks(self, maps: Tensor, frame: tuple[int, int]) -> Tensor:
        """(B, P) place of each pixel in the order of its map, 0 is the most important; on the CPU, for float64."""
        whole = functional.interpolate(maps[:, None].double(), frame, mode="bilinear", align_corners=False).flatten(1)
        lowest, highest = whole.amin(dim=1, keepdim=True), whole.amax(dim=1, keepdim=True)
        extent = highest - lowest
        is_flat = extent <= _ROUNDING * whole.abs().amax(dim=1, keepdim=True)
        scaled = torch.where(is_flat, 0.0, (whole - lowest) / torch.where(is_flat, 1.0, extent))
        levels = (scaled * _TIE_STEPS).round()
        ties = _shuffled(whole.shape[1], child_seed(self.seed, "ties"))
        order = ties[levels[:, ties].argsort(dim=1, descending=True, stable=True)]
        return order.argsort(dim=1)

    def _curves(self, model: nn.Module, images: Tensor, classes: Sequence[int], ranks: Tensor) -> Curves:
        if len(classes) != len(images):
            raise InputError(f"`classes` must hold one index for each image; got {len(classes)} for {len(images)}")
        size = ranks.shape[1]
        counts = torch.arange(self.steps + 1, device=images.device) * size // self.steps
        with asking(model, gradients=False):
            whole = images.detach()
            empty_images = baseline_images(whole, self.baseline, self.sigma)
            scored = _Scored(model, whole, empty_images, classes, ranks.to(images.device))
            ends = scored(counts.new_tensor([0, size]), self.batch_size, "deletion")
            inner = [scored(counts[1:-1], self.batch_size, way) for way in ("deletion", "insertion")]
        full, empty = ends[:, :1], ends[:, 1:]
        distance = (full - empty).abs()
        distance = torch.where(distance < self.least, torch.nan, distance)
        paths = (torch.cat([full, inner[0], empty], dim=1), torch.cat([empty, inner[1], full], dim=1))
        deletion, insertion = ((logits - empty) / distance for logits in paths)
        reason = f"the logits of image and baseline differ by less than {self.least:g}"
        undefined = distance[:, 0].isnan().tolist()
        return Curves(
            counts.cpu().double() / size, deletion, insertion, tuple(reason if one else "" for one in undefined)
        )


@dataclass(frozen=True, eq=False)
class _Scored:
    """The logit of each image's class while some of its pixels are those of its baseline."""

    model: nn.Module
    images: Tensor
    baselines: Tensor
    classes: Sequence[int]
    ranks: Tensor

    def __call__(self, counts: Tensor, batch_size: int, way: str) -> Tensor:
        """(B, len(counts)) float64 on the CPU: the first ``counts`` pixels are gone (deletion), or alone are there."""
        jobs = [(image, count) for image in range(len(self.images)) for count in counts.tolist()]
        parts = [torch.zeros(0, dtype=torch.float64)]
        wanted = torch.tensor(list(self.classes), device=self.images.device)
        for start in range(0, len(jobs), batch_size):
            image, count = torch.tensor(jobs[start : start + batch_size], device=self.images.device).T
            gone = (self.ranks[image] < count[:, None]).reshape(-1, 1, *self.images.shape[2:])
            if way == "insertion":
                gone = ~gone
            logits = self.model(torch.where(gone, self.baselines[image], self.images[image]))
            require_logits(logits, self.classes)
            parts.append(logits.gather(1, wanted[image, None])[:, 0].cpu().double())
        return torch.cat(parts).reshape(len(self.images), len(counts))


def _both(curves: Curves) -> tuple[Tensor, Tensor]:
    return curves.deletion, curves.insertion


def _shuffled(size: int, seed: int) -> Tensor:
    """A permutation of ``size`` numbers, the same on every device."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))
