"""The stage on which findings are drawn: one body laid out on one raster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailscope.data._kernels import INNER, add_smooth_noise, lay_out, lung_depths, stroke
from tailscope.data.phantom_body import Body

Layer = NDArray[np.float32]
Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """One lesion or artifact.

    Args:
        mask: (H, W) bool, at least one pixel.
        change: (H, W) float32, density that it adds; 0 away from the mask.
        hidden: (H, W) float32, share of the lung vessels that it hides, or None.
    """

    mask: NDArray[np.bool_]
    change: Layer
    hidden: Layer | None = None


@dataclass(frozen=True)
class Scene:
    """One body on one raster.

    Args:
        body: The chest.
        fields: (5, H, W) float32 from :func:`~tailscope.data._kernels.lay_out`.
        subtlety: 0: every lesion at full contrast; 1: contrasts down to a fifth of it.
    """

    body: Body
    fields: Layer
    subtlety: float

    @classmethod
    def of(cls, body: Body, size: int, subtlety: float) -> Scene:
        """Lay the body out."""
        return cls(body, lay_out(body, size), subtlety)

    @property
    def size(self) -> int:
        """Side in pixels."""
        return int(self.fields.shape[1])

    @property
    def x(self) -> Layer:
        """(H, W) towards the image's right, from the spine."""
        return np.asarray(self.fields[0])

    @property
    def y(self) -> Layer:
        """(H, W) downwards."""
        return np.asarray(self.fields[1])

    def lung(self, side: float) -> Layer:
        """(H, W) depth in one lung; ``side`` is -1 for the right lung, which stands on the image's left."""
        return np.asarray(self.fields[2 if side < 0 else 3])

    @property
    def air(self) -> Layer:
        """(H, W) share of lung in [0, 1]."""
        return step(np.maximum(self.fields[2], self.fields[3]), 0.014)

    @property
    def lung_thickness(self) -> Layer:
        """(H, W) how much lung the rays cross, in [0.4, 1]: less in front of and behind the heart."""
        return np.asarray(1 - np.float32(0.6) * step(self.fields[4], 0.014))

    def contrast(self, draw: float) -> float:
        """How plain this lesion is, in [0.2, 1]."""
        return 1.0 - 0.8 * self.subtlety * float(draw)

    def floor(self, side: float) -> float:
        """Height of the diaphragm dome on one side."""
        return self.body.base + (self.body.base_step if side > 0 else 0.0)

    def place(self, side: float, y: float, across: float, margin: float) -> tuple[float, float]:
        """A point (x, y) in one lung at height ``y``, a share ``across`` of the way from the spine outwards."""
        a = np.linspace(INNER, 0.45, 96)
        depths = lung_depths(a, y, side, self.body)
        inside = a[depths >= min(margin, float(depths.max()))]
        return side * float(inside[int(across * inside.size)]), y

    def blob(self, centre: tuple[float, float], radii: tuple[float, float], angle: float, lobes: float) -> Layer:
        """(H, W) profile of a rounded body: 1 in the middle, 0 beyond its border, slightly lobed."""
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        along = (dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))) / np.float32(radii[0])
        across = (dy * np.float32(np.cos(angle)) - dx * np.float32(np.sin(angle))) / np.float32(radii[1])
        distance = np.sqrt(along * along + across * across)
        if lobes:
            distance = distance / (1 + np.float32(lobes) * np.cos(3 * np.arctan2(across, along) + np.float32(angle)))
        return np.asarray(np.clip(1 - distance, 0, 1), dtype=np.float32)

    def patchy(self, draw: float, cells: int) -> Layer:
        """(H, W) smooth noise in about [0, 1]."""
        layer = np.full((self.size, self.size), 0.5, dtype=np.float32)
        add_smooth_noise(layer, key_of(draw), cells, 0.35)
        add_smooth_noise(layer, key_of(draw) + np.uint64(1), 2 * cells + 1, 0.25)
        return np.clip(layer, 0, 1)

    def line(self, points: NDArray[np.float64], half_width: float) -> Layer:
        """(H, W) soft line through points (P, 2) in body coordinates."""
        layer = np.zeros((self.size, self.size), dtype=np.float32)
        stroke(layer, on_film(self.body, points), half_width)
        return layer


def step(values: Layer, width: float) -> Layer:
    """0 below -width, 1 above width, smooth between."""
    t = np.clip((values + np.float32(width)) / np.float32(2 * width), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def drawn(profile: Layer, amount: float, share: float = 0.25) -> Drawn:
    """A part whose mask is where its profile reaches a share of its peak: a quarter is where a reader would outline it.

    The mask is empty only where the profile is 0 throughout.
    """
    outline = max(share * float(profile.max()), 1e-6)
    return Drawn(profile >= np.float32(outline), np.asarray(profile * np.float32(amount), dtype=np.float32))


def on_film(body: Body, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Body coordinates (P, 2) to image coordinates, both as shares of the side."""
    x, y = points[:, 0], points[:, 1] - 0.5
    cos, sin = np.cos(body.tilt) * body.scale, np.sin(body.tilt) * body.scale
    return np.stack([x * cos - y * sin + 0.5 + body.shift_x, x * sin + y * cos + 0.5 + body.shift_y], axis=1)


def key_of(draw: float) -> np.uint64:
    """A key for the hashed noise from one uniform number."""
    return np.uint64(int(draw * 2**53))
