"""Painting a chest pixel by pixel; lengths are shares of the image side, as in :mod:`tailscope.data.phantom_body`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailscope.data.phantom_body import Body

Layer = NDArray[np.float32]

INNER = 0.045  # where the lungs begin, beside the spine
EDGE = 0.014  # softness of organ borders
ABSORPTION = 1.55  # of the film: tone = (1 − exp(−ABSORPTION · density)) ** TOE
TOE = 1.25
BLACK, SPAN = 6.0, 270.0  # grey value without any density, and what the densest tone adds


@njit(cache=True, nogil=True)
def _step(value: float, width: float) -> float:
    """0 below -width, 1 above width, smooth between."""
    t = min(max((value + width) / (2.0 * width), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True)
def _round_min(a: float, b: float, radius: float) -> float:
    """The smaller of both, with the corner between them rounded."""
    overlap = max(radius - abs(a - b), 0.0) / radius
    return min(a, b) - overlap * overlap * radius * 0.25


@njit(cache=True, nogil=True)
def _lung_depth(a: float, y: float, base: float, body: Body) -> float:
    """How far inside the lung a point lies; a is the distance from the spine towards this lung."""
    share = min(max((y - body.apex) / (base - body.apex), 0.0), 1.0)
    inner = a - INNER - 0.012 * math.cos(6.0 * share)
    outer = INNER + body.lung_width * (0.52 + 0.48 * (1.0 - (1.0 - share) ** 2.2)) - a
    top = y - body.apex - 3.6 * (a - INNER - 0.10) ** 2
    across = (a - INNER - 0.11) / body.lung_width
    bottom = base + body.dome * across * across - y
    depth = _round_min(inner, outer, 0.05)
    return _round_min(_round_min(depth, top, 0.04), bottom, 0.015)


@njit(cache=True, nogil=True)
def lung_depths(a: NDArray[np.float64], y: float, side: float, body: Body) -> NDArray[np.float64]:
    """Depth in one lung at distances ``a`` from the spine, at height ``y``."""
    depths = np.empty(a.size)
    for at in range(a.size):
        depths[at] = _lung_depth(a[at], y, body.base + (body.base_step if side > 0 else 0.0), body)
    return depths


@njit(cache=True, nogil=True)
def _ellipse(x: float, y: float, width: float, height: float, tilt: float) -> float:
    """How far inside an ellipse around the origin a point lies, roughly."""
    along = x * math.cos(tilt) + y * math.sin(tilt)
    across = -x * math.sin(tilt) + y * math.cos(tilt)
    return (1.0 - math.sqrt((along / width) ** 2 + (across / height) ** 2)) * min(width, height)


@njit(cache=True, nogil=True)
def _heart_depth(x: float, y: float, body: Body) -> float:
    """Left ventricle and right atrium, down to the diaphragm."""
    floor = body.base + body.base_step
    middle = floor + body.heart_y
    left = _ellipse(x - body.heart_x, y - middle, body.heart * 1.28, body.heart * 0.98, body.heart_tilt)
    right = _ellipse(x + 0.018, y - middle + 0.005, body.heart * 0.72, body.heart, 0.0)
    both = max(left, right)
    return _round_min(both, floor + 0.035 - y, 0.03)


@njit(cache=True, nogil=True)
def lay_out(body: Body, size: int) -> Layer:
    """Where everything is: (5, size, size) float32 x, y, depth in the right lung, in the left lung, in the heart."""
    fields = np.empty((5, size, size), np.float32)
    cos, sin = math.cos(body.tilt) / body.scale, math.sin(body.tilt) / body.scale
    for row in range(size):
        down = (row + 0.5) / size - 0.5 - body.shift_y
        for column in range(size):
            across = (column + 0.5) / size - 0.5 - body.shift_x
            x, y = across * cos + down * sin, down * cos - across * sin + 0.5
            fields[0, row, column], fields[1, row, column] = x, y
            fields[2, row, column] = _lung_depth(-x, y, body.base, body)
            fields[3, row, column] = _lung_depth(x, y, body.base + body.base_step, body)
            fields[4, row, column] = _heart_depth(x, y, body)
    return fields


@njit(cache=True, nogil=True)
def collapsed_depth(x: Layer, y: Layer, body: Body, side: float, collapse: float) -> Layer:
    """Depth in a lung that shrank towards the foot of its inner border; ``side`` is -1 for the right lung."""
    depth = np.empty_like(x)
    base = body.base + (body.base_step if side > 0 else 0.0)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            a = INNER + (side * x[row, column] - INNER) / (1.0 - collapse)
            above = base - y[row, column]
            depth[row, column] = _lung_depth(a, base - above / (1.0 - 0.6 * collapse), base, body)
    return depth


@njit(cache=True, nogil=True)
def _trunk(x: float, y: float, body: Body) -> float:
    """Share of soft tissue: neck, shoulders, flanks."""
    a = abs(x)
    beyond = max(a - 0.10, 0.0)
    shoulder = y - 0.015 - 0.36 * beyond**1.4 if beyond > 0.0 else 1.0
    flank = body.flank + 0.14 * _step(0.30 - y, 0.12) + 0.02 * y - a
    return _step(_round_min(shoulder, flank, 0.06), 0.012)


@njit(cache=True, nogil=True)
def _band(distance: float, half: float) -> float:
    """A bone seen side on: a plate with denser rims."""
    away = abs(distance)
    plate = _step(half - away, 0.005)
    rim = math.exp(-(((away - half + 0.004) / 0.005) ** 2))
    return 0.75 * plate + 0.45 * rim


@njit(cache=True, nogil=True)
def _ribs(a: float, y: float, depth: float, body: Body) -> float:
    """Posterior and anterior arcs; each family is one curve repeated down the cage."""
    q = (a - 0.02) / body.lung_width
    if q < 0.0 or depth < -0.03:
        return 0.0
    level = 0.75 + 0.5 * y
    back = y - body.rib_slope * level * (0.13 * q * q - 0.05 * q) - body.rib_phase * body.rib_pitch
    front = y + body.rib_slope * level * (0.20 * q - 0.06 * q * q) - (body.rib_phase + 0.4) * body.rib_pitch
    pitch = body.rib_pitch
    back_away = (back / pitch - math.floor(back / pitch) - 0.5) * pitch
    front_away = (front / (1.15 * pitch) - math.floor(front / (1.15 * pitch)) - 0.5) * 1.15 * pitch
    cage = _step(depth + 0.018, 0.012)
    rear = _band(back_away, 0.014) * (1.0 - 0.35 * q)
    fore = _band(front_away, 0.017) * _step(q - 0.45, 0.25) * _step(0.62 - y, 0.15)
    return body.rib_density * cage * (rear + 0.7 * fore)


@njit(cache=True, nogil=True)
def _middle(x: float, y: float, body: Body) -> float:
    """Spine, great vessels and the air in the windpipe."""
    a = abs(x)
    vertebra = 0.8 + 0.2 * math.cos(2.0 * math.pi * y / 0.062)
    spine = 0.10 * _step(0.034 - a, 0.010) * vertebra
    half = body.mediastinum + 0.012 * math.cos(9.0 * y)
    great = 0.10 * _step(half - a, EDGE) * _step(y - 0.10, 0.06)
    tube = -0.11 * _step(0.014 - abs(x + 0.004), 0.006) * _step(0.36 - y, 0.04)
    return spine + great + tube


@njit(cache=True, nogil=True)
def _bones_above(a: float, y: float, body: Body) -> float:
    """Collar bones and shoulder blades."""
    curve = body.clavicle - body.clavicle_slope * a + 0.012 * math.sin(14.0 * a)
    collar = _band(y - curve, 0.012) * _step(a - 0.045, 0.012) * _step(0.42 - a, 0.03)
    blade_edge = 0.27 + 0.22 * y
    blade = _step(a - blade_edge, 0.012) * _step(y - 0.17, 0.04) * _step(0.42 - y, 0.05) * _step(0.44 - a, 0.03)
    arm = _step(a - 0.42, 0.015) * _step(0.36 - y, 0.04) * _step(y - 0.12, 0.04)
    return 0.12 * collar + 0.05 * blade + 0.10 * arm


@njit(cache=True, nogil=True)
def _below(x: float, y: float, body: Body) -> float:
    """The abdomen: dense, with a bubble of gas under the left dome."""
    floor = body.base + body.base_step
    dense = 0.13 * _step(y - body.base - 0.03, 0.06)
    bubble = _ellipse(x - 0.17, y - floor - 0.075, body.gas * 1.5, body.gas, 0.0)
    return dense - 0.16 * _step(bubble, 0.010)


@njit(cache=True, nogil=True)
def paint(body: Body, fields: Layer, markings: Layer, texture: Layer) -> Layer:
    """Density (size, size) float32, 0 for air and about 1 for the densest tissue.

    Args:
        body: The chest.
        fields: From :func:`lay_out`.
        markings: Lung vessels in [0, 1].
        texture: Smooth noise in [-1, 1].
    """
    size = fields.shape[1]
    density = np.empty((size, size), np.float32)
    for row in range(size):
        for column in range(size):
            x, y = fields[0, row, column], fields[1, row, column]
            a = abs(x)
            depth = max(fields[2, row, column], fields[3, row, column])
            trunk = _trunk(x, y, body)
            knob = _ellipse(x - body.mediastinum + 0.004, y - body.hilum + 0.13, body.knob, body.knob * 1.2, 0.0)
            trunks = _ellipse(x - 0.012, y - body.hilum - 0.04, body.mediastinum * 1.35, 0.17, -0.12)
            heart = max(_step(fields[4, row, column], EDGE), 0.9 * _step(max(knob, trunks), EDGE))
            air = _step(depth, EDGE) * (1.0 - 0.86 * heart)
            breast = body.breast * _step(_ellipse(a - 0.20, y - 0.60, 0.16, 0.13, 0.0), 0.03)
            value = body.tissue + _middle(x, y, body) + _bones_above(a, y, body) + _below(x, y, body)
            value += _ribs(a, y, depth, body) + breast + 0.02 * texture[row, column] + 0.04 * heart
            value -= 0.45 * air * (1.0 - 0.25 * (y - 0.4)) - body.vessels * markings[row, column] * air
            density[row, column] = max(value, 0.03) * trunk
    return density


@njit(cache=True, nogil=True)
def stroke(layer: Layer, points: NDArray[np.float64], half_width: float) -> None:
    """Draw a soft line into ``layer`` in place, keeping the larger value; points (P, 2) and width are shares."""
    size = layer.shape[0]
    soft = 0.6 / size
    reach = half_width + soft
    for part in range(points.shape[0] - 1):
        x0, y0 = points[part]
        dx, dy = points[part + 1, 0] - x0, points[part + 1, 1] - y0
        length = max(dx * dx + dy * dy, 1e-12)
        top, bottom = min(y0, y0 + dy) - reach, max(y0, y0 + dy) + reach
        start, end = min(x0, x0 + dx) - reach, max(x0, x0 + dx) + reach
        for row in range(max(int(top * size), 0), min(int(bottom * size) + 1, size)):
            for column in range(max(int(start * size), 0), min(int(end * size) + 1, size)):
                px, py = (column + 0.5) / size - x0, (row + 0.5) / size - y0
                along = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                away = math.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2)
                ink = min(1.0, 2.0 * half_width / soft) * _step(half_width - away, soft)
                if ink > layer[row, column]:
                    layer[row, column] = ink


@njit(cache=True, nogil=True)
def strokes(layer: Layer, lines: NDArray[np.float64], half_widths: NDArray[np.float64]) -> None:
    """Draw lines (L, P, 2) into ``layer`` in place, the outer half of each thinner."""
    half = lines.shape[1] // 2
    for line in range(lines.shape[0]):
        stroke(layer, lines[line, : half + 1], half_widths[line])
        stroke(layer, lines[line, half:], 0.5 * half_widths[line])


@njit(cache=True, nogil=True)
def _hashed(key: np.uint64, row: int, column: int) -> np.uint64:
    """Splitmix64 of a key and a place."""
    state = key + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(row) * np.uint64(65536) + np.uint64(column) + np.uint64(1))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@njit(cache=True, nogil=True)
def add_smooth_noise(layer: Layer, key: np.uint64, cells: int, amount: float) -> None:
    """Add smooth noise of about ±``amount`` in place: random values on a grid of ``cells``, blended between."""
    size = layer.shape[0]
    for row in range(size):
        y = (row + 0.5) / size * cells
        top = int(y)
        v = y - top
        v = v * v * (3.0 - 2.0 * v)
        for column in range(size):
            x = (column + 0.5) / size * cells
            left = int(x)
            u = x - left
            u = u * u * (3.0 - 2.0 * u)
            total = 0.0
            for i in range(2):
                for j in range(2):
                    weight = (v if i else 1.0 - v) * (u if j else 1.0 - u)
                    value = _hashed(key, top + i, left + j) >> np.uint64(11)
                    total += weight * (float(value) * 2.0**-52 - 1.0)
            layer[row, column] += amount * total


@njit(cache=True, nogil=True)
def expose(density: Layer, key: np.uint64, exposure: float, gamma: float, grain: float) -> NDArray[np.uint8]:
    """Film the densities: tone curve, grain of the detector, 8 bits."""
    size = density.shape[0]
    film = np.empty((size, size), np.uint8)
    for row in range(size):
        for column in range(size):
            bits = _hashed(key, row, column)
            speck = 0.0
            for part in range(4):
                speck += float((bits >> np.uint64(16 * part)) & np.uint64(65535)) / 65535.0
            tone = (1.0 - math.exp(-ABSORPTION * exposure * max(density[row, column], 0.0))) ** (TOE * gamma)
            value = BLACK + SPAN * tone + 255.0 * grain * (speck - 2.0) * 1.7
            film[row, column] = np.uint8(min(max(value, 0.0), 255.0))
    return film
