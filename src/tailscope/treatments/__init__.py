"""What is done about the imbalance?

Losses, samplers, schedules and steps after training, and the audit that proves they do it. Comes in: the class counts
of the training split. Goes out: a :class:`TreatmentPlan` for training. May import: core, torch.
"""

from tailscope.treatments.adjustment import AffineLogits, AfterTraining, FittedOn
from tailscope.treatments.asymmetric import Asymmetric
from tailscope.treatments.attributes import missing_attributes
from tailscope.treatments.auc_margin import AucMargin
from tailscope.treatments.balance_audit import balance_audit
from tailscope.treatments.balanced_mixup import BalancedMixup
from tailscope.treatments.batch_audit import batch_audit
from tailscope.treatments.cells import CellLoss
from tailscope.treatments.class_aware import ClassAwareSampling
from tailscope.treatments.combined import Combined
from tailscope.treatments.cross_entropy import Control, InterWeighted, IntraWeighted
from tailscope.treatments.decoupled import Decoupled
from tailscope.treatments.distribution_balanced import DistributionBalanced
from tailscope.treatments.draws import are_weights, draws_of
from tailscope.treatments.drw import Drw
from tailscope.treatments.effective_number import EffectiveNumber
from tailscope.treatments.ensemble import Ensemble
from tailscope.treatments.fed_audit import labels_audit, mixing_audit
from tailscope.treatments.focal import ClassBalancedFocal, Focal
from tailscope.treatments.generalized_cross_entropy import GeneralizedCrossEntropy
from tailscope.treatments.gradient_audit import gradient_audit
from tailscope.treatments.group_balanced import GroupBalancedSampling
from tailscope.treatments.inputs_audit import counts_audit, rebuilt_audit, weights_audit
from tailscope.treatments.label_smoothing import LabelSmoothing
from tailscope.treatments.ldam import LDAM
from tailscope.treatments.limit_checks import check_limit
from tailscope.treatments.limits import LimitCase, MainParameter
from tailscope.treatments.logit_adjusted import LogitAdjusted
from tailscope.treatments.masked import MaskedLoss
from tailscope.treatments.moved_thresholds import MovedThresholds
from tailscope.treatments.parts import Part
from tailscope.treatments.plan import ImbalanceTreatment, Mixing, TreatmentPlan, Variant, weights_of
from tailscope.treatments.pos_weighted import PosWeighted
from tailscope.treatments.prior_shift import PriorShift
from tailscope.treatments.registry import TREATMENTS
from tailscope.treatments.repeat_factor import RepeatFactorSampling
from tailscope.treatments.requirements import TrainingFacts, unmet_requirements
from tailscope.treatments.sampling import WeightedSampling
from tailscope.treatments.sampling_audit import Meant, sampling_audit
from tailscope.treatments.soft_labels import Labels, soft_problem
from tailscope.treatments.softmax import SoftmaxLoss, softmax_log_odds
from tailscope.treatments.temperature import Temperature
from tailscope.treatments.two_way import TwoWay
from tailscope.treatments.uncertainty import Uncertainty
from tailscope.treatments.undersampling import RandomUndersampling
from tailscope.treatments.verdicts import judge, problems_of
from tailscope.treatments.warm_up import WarmUp

__all__ = [
    "LDAM",
    "TREATMENTS",
    "AffineLogits",
    "AfterTraining",
    "Asymmetric",
    "AucMargin",
    "BalancedMixup",
    "CellLoss",
    "ClassAwareSampling",
    "ClassBalancedFocal",
    "Combined",
    "Control",
    "Decoupled",
    "DistributionBalanced",
    "Drw",
    "EffectiveNumber",
    "Ensemble",
    "FittedOn",
    "Focal",
    "GeneralizedCrossEntropy",
    "GroupBalancedSampling",
    "ImbalanceTreatment",
    "InterWeighted",
    "IntraWeighted",
    "LabelSmoothing",
    "Labels",
    "LimitCase",
    "LogitAdjusted",
    "MainParameter",
    "MaskedLoss",
    "Meant",
    "Mixing",
    "MovedThresholds",
    "Part",
    "PosWeighted",
    "PriorShift",
    "RandomUndersampling",
    "RepeatFactorSampling",
    "SoftmaxLoss",
    "Temperature",
    "TrainingFacts",
    "TreatmentPlan",
    "TwoWay",
    "Uncertainty",
    "Variant",
    "WarmUp",
    "WeightedSampling",
    "are_weights",
    "balance_audit",
    "batch_audit",
    "check_limit",
    "counts_audit",
    "draws_of",
    "gradient_audit",
    "judge",
    "labels_audit",
    "missing_attributes",
    "mixing_audit",
    "problems_of",
    "rebuilt_audit",
    "sampling_audit",
    "soft_problem",
    "softmax_log_odds",
    "unmet_requirements",
    "weights_audit",
    "weights_of",
]
