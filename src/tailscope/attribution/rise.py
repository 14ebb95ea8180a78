"""Which pixels were visible when a randomly masked image kept its logit?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tailscope.attribution.asking import asking, require_images
from tailscope.attribution.baselines import Baseline, baseline_images, require_baseline
from tailscope.attribution.perturbing import masked_logits
from tailscope.attribution.registry import ATTRIBUTIONS
from tailscope.attribution.settings import require_between, require_whole
from tailscope.core import child_seed, uniforms


@ATTRIBUTIONS.register("rise")
@dataclass(frozen=True)
class Rise:
    """``Σ_i (x_c(I ⊙ M_i) − x̄_c) · M_i / (N p)`` on the input's grid, signed; larger supports the class more.

    A mask M_i shows each of ``cells`` × ``cells`` cells with probability ``p``, is blurred into its neighbours by
    bilinear upsampling and shifted by a random part of a cell. The paper weights masks by a probability; tailscope
    explains logits, whose zero means nothing: as the logit of a rare class is far below 0 under any mask, its whole
    map would be negative. So x̄_c, the mean over the masks, is taken off first, and the bias of the head changes
    nothing. All classes come from the same N forward passes; no gradient is needed. The masks are the same for every
    image, so that maps of a pair of models differ by the models alone.

    Args:
        masks: N; the noise of the map falls with its square root.
        cells: Cells along each side.
        p: Probability that a cell is shown, between 0 and 1.
        centred: False leaves x̄_c in, which is the paper's formula, on logits.
        baseline: What stands where a mask hides, see :func:`~tailscope.attribution.baselines.baseline_images`;
            ``"mean"`` is the paper's product I ⊙ M.
        seed: Of the masks.
        batch_size: Masks in one pass; beside rounding it changes no result.

    Raises:
        InputError: A setting is out of range.

    Source: Petsiuk, Das, Saenko, RISE, 2018, eq. 6 and section 3.2; N = 4000, 7 cells, p = 0.5 are its choices.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
        >>> _ = network[1].weight.data.copy_(torch.tensor([[0.0, 0.0, 1.0]]))
        >>> Rise(masks=100, cells=3)(network, torch.ones(1, 1, 1, 3), [0]).argmax().item()
        2
    """

    masks: int = 4000
    cells: int = 7
    p: float = 0.5
    centred: bool = True
    baseline: Baseline = "mean"
    seed: int = 0
    batch_size: int = 64

    shares_passes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_whole("masks", self.masks, 2)
        require_whole("cells", self.cells)
        require_between("p", self.p, 0, 1)
        require_baseline(self.baseline)
        require_whole("batch_size", self.batch_size)

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Maps (B, len(classes), H, W) float32; the contract is that of ``Attribution``.

        Raises:
            InputError: Images or logits are wrong.
        """
        require_images(images)
        with asking(model, gradients=False):
            images = images.detach()
            starts = baseline_images(images, self.baseline)
            weights = torch.cat(
                [masked_logits(model, images, starts, masks[:, None], classes) for masks in self._masks(images)], dim=1
            )
            if self.centred:
                weights = weights - weights[:, :1]  # so that a constant logit gives 0, not what the mean rounds to
                weights -= weights.mean(dim=1, keepdim=True)
            maps = images.new_zeros(len(images), len(classes), *images.shape[2:], dtype=torch.float32)
            for share, masks in zip(torch.split(weights, self.batch_size, dim=1), self._masks(images), strict=True):
                maps += torch.einsum("bmk,mhw->bkhw", share, masks)
            return maps / (self.masks * self.p)

    def _masks(self, images: Tensor) -> Iterator[Tensor]:
        """Chunks (m, H, W) float32; the same whenever they are asked for."""
        height, width = images.shape[2:]
        drawn = uniforms(child_seed(self.seed, "rise"), np.arange(self.masks), self.cells**2 + 2)
        for numbers in torch.split(torch.from_numpy(drawn), self.batch_size):
            shown = (numbers[:, 2:] < self.p).to(torch.float32).view(-1, self.cells, self.cells)
            rows = interpolation(numbers[:, 0], height, self.cells).to(images.device)
            columns = interpolation(numbers[:, 1], width, self.cells).to(images.device)
            yield rows @ shown.to(images.device) @ columns.mT


def interpolation(shift: Tensor, length: int, cells: int) -> Tensor:
    """(m, length, cells) float32: weights by which ``cells`` values give ``length`` pixels, each row's sum 1.

    The values are upsampled bilinearly to ``cells + 1`` cells' length, of which ``length`` pixels are cut out, from
    the whole pixel at ``shift`` of a cell on. A cell has ``⌈length / cells⌉`` pixels.

    Args:
        shift: (m,) in [0, 1), a part of a cell.
        length: Pixels.
        cells: Values.

    Example:
        >>> interpolation(torch.tensor([0.0]), 2, 2)[0].tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    cell = -(-length // cells)
    scale = cells / ((cells + 1) * cell)
    first = (shift.to(torch.float64) * cell).floor()
    position = (first[:, None] + torch.arange(length) + 0.5) * scale - 0.5
    distance = position.clamp(0, cells - 1)[..., None] - torch.arange(cells)
    return (1 - distance.abs()).clamp(min=0).to(torch.float32)
