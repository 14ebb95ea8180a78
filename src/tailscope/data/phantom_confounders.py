"""What stands in a radiograph without being a finding: tubes, leads and letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tailscope.data.phantom_scene import Drawn, Draws, Layer, Scene, drawn

Artifact = Callable[[Scene, Draws], list[Drawn]]

_LETTERS = {
    "R": ((0, 1), (0, 0), (0.55, 0.05), (0.6, 0.4), (0.1, 0.52), (0.65, 1)),
    "L": ((0, 0), (0, 1), (0.6, 1)),
}


def chest_tube(scene: Scene, draws: Draws) -> list[Drawn]:
    """A drain from the chest wall up towards the apex: dense walls, a darker lumen."""
    side = -1.0 if draws[0] < 0.5 else 1.0
    floor, width = scene.floor(side), scene.body.lung_width
    start = np.array([side * (width + 0.13), floor - 0.06 - 0.08 * draws[1]])
    end = np.array([side * (0.12 + 0.08 * draws[2]), scene.body.apex + 0.06 + 0.12 * draws[3]])
    bend = np.array([side * (width - 0.02 - 0.05 * draws[4]), floor - 0.14 - 0.08 * draws[5]])
    points = _curve(start, bend, end)
    wall, lumen = scene.line(points, 0.011), scene.line(points, 0.005)
    return [Drawn(drawn(wall, 1.0).mask, (np.float32(0.26) * wall - np.float32(0.14) * lumen).astype(np.float32))]


def laterality_marker(scene: Scene, draws: Draws) -> list[Drawn]:
    """A lead letter in an upper corner: R on the image's left or L on its right."""
    name = "R" if draws[0] < 0.5 else "L"
    left = 0.035 + 0.03 * draws[1] if name == "R" else 0.90 + 0.02 * draws[1]
    corner = np.array([left, 0.03 + 0.04 * draws[2]])
    strokes = corner + np.array(_LETTERS[name]) * 0.07
    film = scene.body._replace(shift_x=0.0, shift_y=0.0, tilt=0.0, scale=1.0)
    layer = Scene(film, scene.fields, 0.0).line(strokes - np.array([0.5, 0.0]), 0.008)
    return [drawn(layer, 0.85)]


def ecg_lead(scene: Scene, draws: Draws) -> list[Drawn]:
    """Electrodes on the chest and the wires that leave the picture."""
    layer: Layer = np.zeros((scene.size, scene.size), dtype=np.float32)
    for number in range(2 + int(draws[0] < 0.5)):
        own = draws[1 + 6 * number :]
        side = -1.0 if number % 2 == 0 else 1.0
        at = np.array([side * (0.16 + 0.16 * own[0]), 0.20 + 0.42 * own[1]])
        away = np.array([side * (0.30 + 0.2 * own[2]), 1.05])
        bend = np.array([side * (0.25 + 0.2 * own[3]), 0.5 + 0.25 * own[4]])
        pad = scene.blob((float(at[0]), float(at[1])), (0.024, 0.024), 0.0, 0.0)
        layer = np.maximum(layer, np.minimum(3 * pad, 1))
        layer = np.maximum(layer, 0.6 * scene.line(_curve(at, bend, away), 0.003))
    return [drawn(layer.astype(np.float32), 0.30, share=0.05)]  # wires are thinner than pads, and count


def _curve(start: NDArray[np.float64], bend: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """(20, 2) points of a quadratic Bézier curve."""
    t = np.linspace(0, 1, 20)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t * t * end)


ARTIFACTS: Mapping[str, Artifact] = MappingProxyType(
    {"chest_tube": chest_tube, "laterality_marker": laterality_marker, "ecg_lead": ecg_lead}
)
BASE_RATES: Mapping[str, float] = MappingProxyType({"chest_tube": 0.08, "laterality_marker": 0.5, "ecg_lead": 0.2})
