"""What is done about the imbalance?

Losses and samplers, and the audit that proves they do it. Comes in: the class counts of the training split. Goes out: a
:class:`TreatmentPlan` for training. May import: core, torch.
"""

from tailscope.treatments.asymmetric import Asymmetric
from tailscope.treatments.audit import check_audit, gradient_audit, sampling_audit
from tailscope.treatments.cells import CellLoss
from tailscope.treatments.cross_entropy import Control, InterWeighted, IntraWeighted
from tailscope.treatments.focal import ClassBalancedFocal, Focal
from tailscope.treatments.plan import ImbalanceTreatment, TreatmentPlan, Variant
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.uncertainty import Uncertainty

__all__ = [
    "TREATMENTS",
    "Asymmetric",
    "CellLoss",
    "ClassBalancedFocal",
    "Control",
    "Focal",
    "ImbalanceTreatment",
    "InterWeighted",
    "IntraWeighted",
    "TreatmentPlan",
    "Uncertainty",
    "Variant",
    "WeightedSampling",
    "check_audit",
    "gradient_audit",
    "sampling_audit",
]
