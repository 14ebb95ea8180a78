"""What an attribution method of the configuration is on one network: its settings, and its name in the findings."""

from __future__ import annotations

from typing import Any

from tailscope.attribution import ATTRIBUTIONS
from tailscope.experiment.lens_config import AttributionSection


def method_settings(method: AttributionSection, layer: str) -> dict[str, Any]:
    """The method's settings; one that looks at a layer gets the lens's, unless it names its own.

    >>> method_settings(AttributionSection(name="gradcam"), "layer4")
    {'layer': 'layer4'}
    """
    shared = {"layer": layer} if "layer" in ATTRIBUTIONS.settings(method.name) else {}
    return {**shared, **method.settings}


def metric_name(method: object, metric: object) -> str:
    """The metric's name in the findings; Grad-CAM, the primary method, goes without saying.

    >>> metric_name("gradcam", "mass_inside"), metric_name("smoothgrad", "mass_inside")
    ('mass_inside', 'smoothgrad.mass_inside')
    """
    return str(metric) if method in ("", "gradcam") else f"{method}.{metric}"
