"""The registry of imbalance treatments."""

from __future__ import annotations

from tailscope.core.registry import Registry
from tailscope.treatments.plan import ImbalanceTreatment

TREATMENTS: Registry[ImbalanceTreatment] = Registry("treatment")
