"""Where does the classifier look?

Comes in: a module, a batch of preprocessed images and class indices. Goes out: one saliency map per image and class,
on the method's own grid; curves of deletion and insertion; networks with weights drawn anew. May import: ``core``,
``models``, torch.
"""

from tailscope.attribution.ablationcam import AblationCam
from tailscope.attribution.attention_rollout import AttentionRollout
from tailscope.attribution.deletion import Curves, DeletionInsertion
from tailscope.attribution.eigencam import EigenCam
from tailscope.attribution.extremal_perturbation import ExtremalPerturbation
from tailscope.attribution.gradcam import GradCam
from tailscope.attribution.gradcam_pp import GradCamPlusPlus
from tailscope.attribution.guided_backprop import GuidedBackprop, InsensitiveMethodWarning
from tailscope.attribution.hirescam import HiResCam
from tailscope.attribution.information_bottleneck import InformationBottleneck
from tailscope.attribution.input_gradient import GradientXInput, InputGradient
from tailscope.attribution.integrated_gradients import IntegratedGradients
from tailscope.attribution.layercam import LayerCam
from tailscope.attribution.occlusion import Occlusion
from tailscope.attribution.randomising import randomised
from tailscope.attribution.registry import ATTRIBUTIONS, Attribution
from tailscope.attribution.rise import Rise
from tailscope.attribution.scorecam import ScoreCam
from tailscope.attribution.smoothgrad import SmoothGrad
from tailscope.attribution.transformer_attribution import TransformerAttribution

__all__ = [
    "ATTRIBUTIONS",
    "AblationCam",
    "AttentionRollout",
    "Attribution",
    "Curves",
    "DeletionInsertion",
    "EigenCam",
    "ExtremalPerturbation",
    "GradCam",
    "GradCamPlusPlus",
    "GradientXInput",
    "GuidedBackprop",
    "HiResCam",
    "InformationBottleneck",
    "InputGradient",
    "InsensitiveMethodWarning",
    "IntegratedGradients",
    "LayerCam",
    "Occlusion",
    "Rise",
    "ScoreCam",
    "SmoothGrad",
    "TransformerAttribution",
    "randomised",
]
