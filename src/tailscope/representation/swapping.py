"""The 2×2 swap: the head of one network on the features of another, and what each of the two changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.performance import auroc, resampled_auroc
from tailscope.representation.principal import Floats, require_features, row_blocks


@dataclass(frozen=True, eq=False)
class Head:
    """The last linear layer of a network.

    Args:
        weight: (K, D).
        bias: (K,).

    Raises:
        InputError: The shapes do not fit, or a value is not finite.
    """

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise InputError(f"expected `weight` (K, D) and `bias` (K,); got {self.weight.shape} and {self.bias.shape}")
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise InputError("`weight` and `bias` must be finite; found NaN or infinity: check the run's weights")

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """(N, K) logits that the head gives to (N, D) features.

        Raises:
            InputError: The features are not (N, D), or not finite.

        Example:
            >>> Head(np.array([[2.0, 0.0]]), np.array([1.0])).logits(np.array([[3.0, 9.0]])).tolist()
            [[7.0]]
        """
        require_features(features, self.weight.shape[1])
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        parts = [block.astype(np.float64) @ weight.T + bias for block in row_blocks(features)]
        return np.concatenate(parts) if parts else np.zeros((0, len(bias)))


@dataclass(frozen=True, eq=False)
class Halves:
    """A network in two: what its layers make of some images, and its head.

    Args:
        features: (N, D) input of the head.
        head: The head.
    """

    features: NDArray[np.floating]
    head: Head


class SwapEffects(NamedTuple):
    """What features and head changed, in AUROC, on average over what the other one is; higher is better.

    ``features + head`` is the whole difference between the two networks.

    Attributes:
        features: (…, K) main effect of the treated features.
        head: (…, K) main effect of the treated head.
        interaction: (…, K) what the matching halves win over the mixed ones. Far above 0, the two networks hold their
            classes in different directions of feature space, and each head only reads its own: features did change,
            and the main effects then do not say whether for better or worse.
    """

    features: Floats
    head: Floats
    interaction: Floats


@dataclass(frozen=True, eq=False)
class Swap:
    """Logits of the four combinations.

    Args:
        logits: (2, 2, N, K): features of control and treatment, by head of control and treatment.

    Example:
        >>> head, other = Head(np.array([[1.0]]), np.zeros(1)), Head(np.array([[-1.0]]), np.zeros(1))
        >>> images = np.array([[0.0], [1.0]])
        >>> swap = Swap.of(Halves(images, head), Halves(images, other))  # only the head changed
        >>> effects = swap_effects(swap.auroc(np.array([[0.0], [1.0]])))
        >>> [effect.tolist() for effect in effects]
        [[0.0], [-1.0], [0.0]]
    """

    logits: Floats

    @classmethod
    def of(cls, control: Halves, treated: Halves) -> Swap:
        """Every head on the features of either network.

        Raises:
            InputError: The networks have other images, widths or classes.
        """
        heads, features = (control.head, treated.head), (control.features, treated.features)
        if heads[0].weight.shape != heads[1].weight.shape or len(features[0]) != len(features[1]):
            raise InputError(
                "a swap takes two networks with heads of one shape and features of the same images; got heads "
                f"{heads[0].weight.shape} and {heads[1].weight.shape}, {len(features[0])} and {len(features[1])} images"
            )
        return cls(np.stack([np.stack([head.logits(rows) for head in heads]) for rows in features]))

    def auroc(self, targets: NDArray[np.floating]) -> Floats:
        """(2, 2, K) AUROC of each combination, features by head; NaN for a class without both labels.

        Args:
            targets: (N, K) in {0, 1, NaN}.
        """
        return np.stack([np.stack([auroc(scores, targets) for scores in row]) for row in self.logits])

    def resampled_auroc(self, targets: NDArray[np.floating], multiplicity: NDArray[np.integer]) -> Floats:
        """(R, 2, 2, K) the same on each resample.

        Args:
            targets: (N, K).
            multiplicity: (R, N) how often each image is drawn.
        """
        rows = [np.stack([resampled_auroc(scores, targets, multiplicity) for scores in row]) for row in self.logits]
        return np.moveaxis(np.stack(rows), 2, 0)


def swap_effects(values: Floats) -> SwapEffects:
    """Main effects and interaction of a 2×2 table of a metric.

    Args:
        values: (…, 2, 2, K) features of control and treatment, by head of control and treatment.

    Returns:
        Three arrays (…, K).

    Source:
        METHODS section 6; the contrasts of a 2² factorial design.

    Example:
        >>> effects = swap_effects(np.array([[[0.6], [0.7]], [[0.8], [1.0]]]))
        >>> [effect.round(6).tolist() for effect in effects]
        [[0.25], [0.15], [0.1]]
    """
    neither, head, features, both = (values[..., row, column, :] for row in (0, 1) for column in (0, 1))
    return SwapEffects(
        ((features - neither) + (both - head)) / 2,
        ((head - neither) + (both - features)) / 2,
        both - features - head + neither,
    )
