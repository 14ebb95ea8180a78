"""Where does the classifier look?

Comes in: a module, a batch of preprocessed images and class indices. Goes out: one saliency map per image and class,
on the method's own grid. May import: ``core``, ``models``, torch.
"""

from tailscope.attribution.gradcam import GradCam
from tailscope.attribution.registry import ATTRIBUTIONS, Attribution

__all__ = ["ATTRIBUTIONS", "Attribution", "GradCam"]
