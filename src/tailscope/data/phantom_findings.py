"""The nine findings: where each may lie, what it does to the density, and its exact mask.

Each function takes the scene and its own uniform numbers, so that a finding never moves the anatomy or another finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tailscope.data._kernels import collapsed_depth, lay_out
from tailscope.data.phantom_scene import Drawn, Draws, Scene, drawn, step

Finding = Callable[[Scene, Draws], list[Drawn]]


def _between(draw: float, low: float, high: float) -> float:
    return float(low + (high - low) * draw)


def _side(draw: float, right: float = 0.5) -> float:
    return -1.0 if draw < right else 1.0


def infiltration(scene: Scene, draws: Draws) -> list[Drawn]:
    """One or two wide, faint, patchy areas."""
    count = 1 + int(draws[0] < 0.4)
    first = _side(draws[1])
    return [_patch(scene, draws[8 * (1 + i) :], first * (-1.0) ** i, (0.085, 0.15), 0.24) for i in range(count)]


def pneumonia(scene: Scene, draws: Draws) -> list[Drawn]:
    """One dense consolidation, mostly in the lower half of a lung."""
    return [_patch(scene, draws[8:], _side(draws[1]), (0.07, 0.12), 0.38)]


def _patch(scene: Scene, draws: Draws, side: float, radii: tuple[float, float], amount: float) -> Drawn:
    top, bottom = scene.body.apex + 0.12, scene.floor(side) - 0.06
    height = _between(draws[0] ** 0.7, top, bottom)
    radius = _between(draws[1], *radii)
    centre = scene.place(side, height, draws[2], 0.04)
    shape = scene.blob(centre, (radius * 1.25, radius), np.pi * draws[3], 0.12)
    profile = np.minimum(2.2 * shape, 1) * (0.35 + 0.65 * scene.patchy(draws[4], 14)) * step(scene.lung(side), 0.014)
    return drawn((profile * scene.lung_thickness).astype(np.float32), amount * scene.contrast(draws[5]))


def effusion(scene: Scene, draws: Draws) -> list[Drawn]:
    """Fluid in one or both costophrenic angles; its surface rises towards the chest wall."""
    first = _side(draws[0])
    sides = [first, -first] if draws[1] < 0.3 else [first]
    return [_fluid(scene, draws[8 * (1 + i) :], side) for i, side in enumerate(sides)]


def _fluid(scene: Scene, draws: Draws, side: float) -> Drawn:
    outwards = np.clip(side * scene.x / np.float32(scene.body.lung_width), 0, 1.3)
    height = _between(draws[0] ** 1.8, -0.035, 0.19)
    surface = scene.floor(side) - np.float32(height) + np.float32(0.10) * (1 - outwards**2)
    depth = np.minimum(scene.lung(side) + np.float32(0.012), scene.y - surface)
    profile = step(depth, 0.012)
    amount = np.float32(0.40 * scene.contrast(draws[1]))
    return Drawn(drawn(profile, 1.0).mask, amount * profile * scene.air, profile)


def atelectasis(scene: Scene, draws: Draws) -> list[Drawn]:
    """One or two plates of collapsed lung, low and nearly horizontal."""
    side = _side(draws[0])
    return [
        _plate(scene, draws[8 * (1 + i) :], side * (1.0 if i < 1 else -1.0)) for i in range(1 + int(draws[1] < 0.4))
    ]


def _plate(scene: Scene, draws: Draws, side: float) -> Drawn:
    height = scene.floor(side) - _between(draws[0], 0.045, 0.16)
    x, y = scene.place(side, height, _between(draws[1], 0.3, 0.8), 0.03)
    half, tilt = _between(draws[2], 0.05, 0.10), side * _between(draws[3], -0.15, 0.55)
    t = np.linspace(-1, 1, 7)
    points = np.stack([x + half * t * np.cos(tilt), y + half * t * np.sin(tilt) + 0.012 * t * t], axis=1)
    profile = scene.line(points, _between(draws[4], 0.009, 0.017)) * step(scene.lung(side), 0.014)
    return drawn(profile * scene.lung_thickness, 0.30 * scene.contrast(draws[5]))


def nodule(scene: Scene, draws: Draws) -> list[Drawn]:
    """One to three round spots below 3 cm."""
    count = 1 + int(draws[0] < 0.3) + int(draws[0] < 0.1)
    return [_round(scene, draws[8 * (1 + i) :], (0.018, 0.038), 0.0, 0.34) for i in range(count)]


def mass(scene: Scene, draws: Draws) -> list[Drawn]:
    """One lobed lump of 3 cm or more."""
    return [_round(scene, draws[8:], (0.052, 0.10), 0.13, 0.36)]


def _round(scene: Scene, draws: Draws, radii: tuple[float, float], lobes: float, amount: float) -> Drawn:
    side = _side(draws[0])
    radius = _between(draws[1] ** 1.3, *radii)
    height = _between(draws[2], scene.body.apex + 0.07, scene.floor(side) - 0.03)
    centre = scene.place(side, height, draws[3], 0.7 * radius)
    shape = scene.blob(centre, (radius * 1.15, radius), np.pi * draws[4], lobes)
    profile = np.minimum(2.5 * shape, 1).astype(np.float32)
    return drawn(profile, amount * scene.contrast(draws[5]))


def pneumothorax(scene: Scene, draws: Draws) -> list[Drawn]:
    """Air outside a collapsed lung: a dark rim without vessels, and the pleura as a fine bright line."""
    side = _side(draws[0], right=0.6)
    collapse = _between(draws[1] ** 1.5, 0.09, 0.36)
    lung = collapsed_depth(scene.x, scene.y, scene.body, side, collapse)
    end = scene.floor(side) - _between(draws[2], 0.08, 0.3)
    above = np.float32(end) - scene.y
    outside = side * scene.x - np.float32(0.11)
    free = np.minimum(np.minimum(scene.lung(side) - np.float32(0.004), -lung), np.minimum(above, outside))
    region = step(free, 0.006)
    contrast = scene.contrast(draws[3])
    line = np.exp(-np.square(lung / np.float32(max(0.005, 0.45 / scene.size)))) * step(scene.lung(side), 0.01)
    line = line * step(np.minimum(above, outside), 0.01)
    line[line < 0.02] = 0
    change = np.float32(-0.10 * contrast) * region + np.float32(0.22 * contrast) * line
    return [Drawn(drawn(region, 1.0).mask, change.astype(np.float32), region)]


def cardiomegaly(scene: Scene, draws: Draws) -> list[Drawn]:
    """A heart wider than half the chest; the mask is the whole enlarged heart."""
    factor = _between(draws[0] * scene.contrast(draws[1]), 1.18, 1.50)
    heart = lay_out(scene.body._replace(heart=scene.body.heart * factor), scene.size)[4]
    grown = np.maximum(step(heart, 0.014) - step(scene.fields[4], 0.014), 0) * scene.air
    return [Drawn(heart > 0, (np.float32(0.38) * grown).astype(np.float32), grown)]


def hernia(scene: Scene, draws: Draws) -> list[Drawn]:
    """A round shadow behind the heart: a wall, gas above and fluid below a level."""
    radius = _between(draws[0], 0.055, 0.085)
    centre = (_between(draws[1], 0.0, 0.06), scene.floor(1.0) - _between(draws[2], 0.2, 0.9) * radius)
    inside = np.clip(scene.blob(centre, (radius * 1.1, radius), 0.0, 0.0) / 0.12, 0, 1)
    rim = np.clip(1 - np.abs(scene.blob(centre, (radius * 1.2, radius * 1.1), 0.0, 0.0) - 0.1) / 0.1, 0, 1)
    level = np.float32(centre[1] - 0.15 * radius) - scene.y
    contrast = scene.contrast(draws[3])
    gas, fluid = inside * step(level, 0.006), inside * step(-level, 0.006)
    change = contrast * (0.14 * rim - 0.20 * gas + 0.12 * fluid)
    return [Drawn(drawn(np.maximum(inside, rim).astype(np.float32), 1.0).mask, np.asarray(change, dtype=np.float32))]


FINDINGS: Mapping[str, Finding] = MappingProxyType(
    {
        "infiltration": infiltration,
        "effusion": effusion,
        "atelectasis": atelectasis,
        "nodule": nodule,
        "mass": mass,
        "pneumothorax": pneumothorax,
        "cardiomegaly": cardiomegaly,
        "pneumonia": pneumonia,
        "hernia": hernia,
    }
)
