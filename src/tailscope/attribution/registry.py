"""The attribution methods, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from tailscope.core import Registry


class Attribution(Protocol):
    """One way to ask where a classifier looks: a registered frozen dataclass with this one call.

    Contract:
        - the maps explain logits, never probabilities;
        - they are finite float32 on the method's own grid, not rescaled;
        - a batch gives what its images give one by one (to float rounding), for any order of images and classes;
        - a class may be asked for twice, and no class gives maps of shape (B, 0, h, w);
        - no hook is left on the module, after success or an error;
        - mode, ``requires_grad``, ``.grad`` and torch's random state are as before, and the images are not changed;
        - it works under ``torch.no_grad`` as well;
        - a method that draws random numbers takes a ``seed``; equal seeds give equal maps, and the numbers of an image
          do not depend on the batch in which it stands.
    """

    @property
    def shares_passes(self) -> bool:
        """Whether all classes of an image come at about the cost of one; otherwise ask only for what is needed."""
        ...

    def __call__(self, model: nn.Module, images: Tensor, classes: Sequence[int]) -> Tensor:
        """Explain the logits of the classes.

        Args:
            model: (B, C, H, W) to logits (B, K).
            images: (B, C, H, W) floating, preprocessed, on the model's device.
            classes: Indices in [0, K).

        Returns:
            (B, len(classes), h, w) float32, on the device of ``images``.
        """
        ...


ATTRIBUTIONS: Registry[Attribution] = Registry("attribution")
"""Methods by name; others come through the entry-point group ``tailscope.attribution``.

CAMs: ``gradcam``, ``gradcam_pp``, ``hirescam``, ``layercam``, ``eigencam``, ``scorecam``, ``ablationcam``. Gradients:
``input_gradient``, ``gradient_x_input``, ``smoothgrad``, ``integrated_gradients``, ``guided_backprop``. Masks:
``occlusion``, ``rise``, ``extremal_perturbation``, ``information_bottleneck``. Attention: ``attention_rollout``,
``transformer_attribution``.
"""
