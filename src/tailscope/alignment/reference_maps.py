"""Maps that know no model: what alignment looks like without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sobel

from tailscope.core import InputError, Registry, generator

Needs = Literal["frame", "images", "annotations"]


@dataclass(frozen=True, eq=False)
class ReferenceScene:
    """What a reference map may look at.

    Args:
        frame: (H, W) of the masks.
        images: (M, H, W) floating in [0, 1], the images of the pairs, or None where they are not at hand.
        annotations: (H, W) mean of the class's *training* masks, or None where there are none; see
            :meth:`~tailscope.alignment.PackedMasks.mean`.

    Raises:
        InputError: A part does not fit the frame.
    """

    frame: tuple[int, int]
    images: NDArray[np.floating] | None = None
    annotations: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        for name, part, axes in (("images", self.images, 3), ("annotations", self.annotations, 2)):
            if part is not None and (part.ndim != axes or part.shape[-2:] != tuple(self.frame)):
                raise InputError(f"`{name}` must have {axes} axes and end in the frame {self.frame}; got {part.shape}")


class ReferenceMap(Protocol):
    """A map of the frame's size, float64, finite, not negative; the same at every call with the same scene."""

    @property
    def needs(self) -> Needs:
        """What of the scene the map is made from, besides the frame."""

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64] | None:
        """(H, W) where all pairs share the map, (M, H, W) where each has its own, None where the scene lacks it."""


REFERENCE_MAPS: Registry[ReferenceMap] = Registry("reference_map")


@REFERENCE_MAPS.register("uniform")
@dataclass(frozen=True)
class Uniform:
    """The same saliency everywhere; every metric has excess 0 on it."""

    needs: ClassVar[Needs] = "frame"

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64]:
        """All ones."""
        return np.ones(scene.frame)


@REFERENCE_MAPS.register("centre_gaussian")
@dataclass(frozen=True)
class CentreGaussian:
    """A Gaussian hill in the middle of the frame: what looking at the centre is worth.

    Args:
        width: Standard deviation along each axis, as a share of the frame's side; > 0.

    Raises:
        InputError: ``width`` is not positive.

    Example:
        >>> CentreGaussian()(ReferenceScene((1, 3))).round(3).tolist()  # exp(-(1/3 / 1/4)² / 2) beside the centre
        [[0.411, 1.0, 0.411]]
    """

    width: float = 0.25

    needs: ClassVar[Needs] = "frame"

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise InputError(f"`width` must be above 0; got {self.width}")

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64]:
        """The product of one bell for each axis, 1 at the centre."""
        offsets = ((np.arange(side) + 0.5) / side - 0.5 for side in scene.frame)
        rows, columns = (np.exp(-(offset**2) / (2 * self.width**2)) for offset in offsets)
        return np.outer(rows, columns)


@REFERENCE_MAPS.register("random")
@dataclass(frozen=True)
class Random:
    """Independent uniform noise in [0, 1) at every pixel.

    Args:
        seed: Root seed.
    """

    seed: int = 0

    needs: ClassVar[Needs] = "frame"

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64]:
        """The same noise at every call with this seed and frame."""
        return generator(self.seed, "alignment", "random reference map").random(scene.frame)


@REFERENCE_MAPS.register("edge")
@dataclass(frozen=True)
class Edge:
    """How fast the image changes at each pixel: what an edge detector that knows no finding is worth.

    √(∂x² + ∂y²) with the 3 × 3 Sobel operator, divided by 8 so that a ramp of slope s gives s; the border repeats the
    nearest pixel. An image of one value has no edge, and its map is degenerate.

    Source: Adebayo et al., Sanity checks for saliency maps (2018), who compare saliency maps with an edge detector.

    Example:
        >>> import numpy as np
        >>> ramp = np.broadcast_to(np.arange(5) / 10, (1, 3, 5))
        >>> Edge()(ReferenceScene((3, 5), images=ramp))[0, 1].round(3).tolist()
        [0.05, 0.1, 0.1, 0.1, 0.05]
    """

    needs: ClassVar[Needs] = "images"

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64] | None:
        """The gradient's length at every pixel of each image."""
        if scene.images is None:
            return None
        return np.stack([_gradient_length(image) for image in np.asarray(scene.images, dtype=np.float64)])


def _gradient_length(image: NDArray[np.float64]) -> NDArray[np.float64]:
    down, across = (sobel(image, axis=axis, mode="nearest") / 8 for axis in (0, 1))
    return np.asarray(np.hypot(down, across))


@REFERENCE_MAPS.register("class_mean_annotation")
@dataclass(frozen=True)
class ClassMeanAnnotation:
    """Where annotations of this class lie in the training images: what knowing the anatomy is worth.

    Example:
        >>> import numpy as np
        >>> training = np.array([[0.5, 0.25]])
        >>> ClassMeanAnnotation()(ReferenceScene((1, 2), annotations=training)).tolist()
        [[0.5, 0.25]]
    """

    needs: ClassVar[Needs] = "annotations"

    def __call__(self, scene: ReferenceScene) -> NDArray[np.float64] | None:
        """The mean mask of the class."""
        return None if scene.annotations is None else np.asarray(scene.annotations, dtype=np.float64)
