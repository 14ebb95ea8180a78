"""What every attribution checks of its question and of the network's answer, and the state in which it asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tailscope.core import InputError
from tailscope.models import frozen_eval


@contextmanager
def asking(model: nn.Module, *, gradients: bool) -> Iterator[None]:
    """Eval mode, no parameter gradients, autograd on or off as asked; all is as before after it, also after an error.

    torch's random state is put back as well, for networks that draw in eval mode.
    """
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with (
        torch.random.fork_rng(devices=devices),
        torch.inference_mode(False),
        torch.set_grad_enabled(gradients),
        frozen_eval(model),
    ):
        yield


def require_images(images: Tensor) -> None:
    """Pass if ``images`` are (B, C, H, W), floating, finite, one at least.

    Raises:
        InputError: They are not.
    """
    if images.ndim != 4 or not len(images) or not images.is_floating_point():
        raise InputError(
            f"images must be floating (B, C, H, W), B at least 1; got {tuple(images.shape)} {images.dtype}; preprocess "
            "them as the network wants them"
        )
    if not bool(torch.isfinite(images).all()):
        bad = _numbers(~torch.isfinite(images).flatten(1).all(dim=1))
        raise InputError(f"images must be finite; got NaN or infinity in image {bad} of the batch; mend the input")


def require_logits(logits: Tensor, classes: Sequence[int]) -> None:
    """Pass if ``logits`` are (B, K), finite, and hold every class of the question.

    Raises:
        InputError: They are not, or do not.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the model must give logits (B, K); got {shape}; wrap it so that it does")
    if stray := [index for index in classes if not 0 <= index < logits.shape[1]]:
        raise InputError(f"`classes` must lie in 0 … {logits.shape[1] - 1}; got {stray}")
    if not bool(torch.isfinite(logits).all()):
        bad = _numbers(~torch.isfinite(logits).all(dim=1))
        raise InputError(
            f"logits must be finite; got NaN or infinity for image {bad} of the batch; a network that diverged in "
            "training cannot be explained"
        )


def require_gradients(logits: Tensor, what: str) -> None:
    """Pass if autograd recorded how the logits follow from ``what``.

    Raises:
        InputError: It did not: the network detaches, or runs without autograd inside.
    """
    if not logits.requires_grad:
        raise InputError(
            f"no logit depends on {what} as far as autograd can see; choose a layer on the way to the logits, or, for "
            "a network that gives no gradients, a method that needs none (occlusion, rise, scorecam, ablationcam)"
        )


def _numbers(chosen: Tensor) -> str:
    return ", ".join(map(str, chosen.nonzero().flatten().tolist()[:5]))
