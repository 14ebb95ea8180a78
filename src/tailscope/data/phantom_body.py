"""One made-up chest: the numbers that its picture follows from.

Lengths are shares of the image side; x runs to the image's right (the patient's left) from the spine, y down from the
top edge. The heart stands mostly at positive x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tailscope.core.seeding import child_seed, uniforms


class Body(NamedTuple):
    """Pose, organs and exposure of one image; all floats."""

    shift_x: float
    shift_y: float
    tilt: float  # radians, clockwise
    scale: float
    lung_width: float
    apex: float
    base: float  # top of the right diaphragm dome
    base_step: float  # how much lower the left dome stands
    dome: float
    hilum: float  # height of both hila
    heart: float
    heart_x: float
    heart_y: float
    heart_tilt: float
    mediastinum: float  # half-width
    knob: float  # radius of the aortic knob
    rib_pitch: float
    rib_phase: float
    rib_slope: float
    rib_density: float
    clavicle: float
    clavicle_slope: float
    flank: float  # half-width of the trunk
    tissue: float
    breast: float
    gas: float  # radius of the stomach bubble
    vessels: float
    exposure: float
    gamma: float
    grain: float


_RANGES = {
    "shift_x": (-0.025, 0.025),
    "shift_y": (-0.03, 0.03),
    "tilt": (-0.06, 0.06),
    "scale": (0.93, 1.07),
    "lung_width": (0.285, 0.345),
    "apex": (0.085, 0.135),
    "base": (0.66, 0.75),
    "base_step": (0.015, 0.035),
    "dome": (0.16, 0.30),
    "hilum": (0.40, 0.45),
    "heart": (0.112, 0.138),
    "heart_x": (0.040, 0.060),
    "heart_y": (-0.125, -0.095),  # from the left dome
    "heart_tilt": (0.45, 0.85),
    "mediastinum": (0.042, 0.060),
    "knob": (0.028, 0.042),
    "rib_pitch": (0.070, 0.084),
    "rib_phase": (0.0, 1.0),
    "rib_slope": (0.8, 1.25),
    "rib_density": (0.055, 0.11),
    "clavicle": (0.13, 0.18),
    "clavicle_slope": (0.05, 0.20),
    "flank": (0.415, 0.50),
    "tissue": (0.62, 0.76),
    "breast": (-0.06, 0.10),
    "gas": (0.02, 0.055),
    "vessels": (0.07, 0.13),
    "exposure": (0.85, 1.15),
    "gamma": (0.85, 1.2),
    "grain": (0.008, 0.020),
}


def draw_body(seed: int, index: int) -> Body:
    """The chest of image ``index``, a function of (seed, index) alone.

    >>> draw_body(0, 5) == draw_body(0, 5), draw_body(0, 5) == draw_body(1, 5)
    (True, False)
    """
    draws = uniforms(child_seed(seed, "phantom", "body"), np.array([index]), len(_RANGES))[0]
    values = {name: float(lo + (hi - lo) * draw) for (name, (lo, hi)), draw in zip(_RANGES.items(), draws, strict=True)}
    return Body(**values)
