"""The device side of a training: precision, reproducibility, and Lightning's chatter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]


def chosen_accelerator(accelerator: str) -> str:
    """Lightning's name of the accelerator; ``auto`` is CUDA where it is there, else the CPU.

    Apple's GPUs have no float64, in which losses keep their weights.

    >>> chosen_accelerator("cpu")
    'cpu'
    """
    if accelerator != "auto":
        return accelerator
    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_precision(precision: Precision | Literal["auto"], accelerator: str) -> Precision:
    """Lightning's precision string; ``auto`` is bfloat16 only where it pays (CUDA devices that have it).

    >>> chosen_precision("auto", "cpu")
    '32-true'
    """
    if precision != "auto":
        return precision
    on_cuda = accelerator in {"auto", "cuda", "gpu"} and torch.cuda.is_available()
    return "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported() else "32-true"


@contextmanager
def reproducible() -> Iterator[None]:
    """Ask cuDNN for the same bits each time; torch's generator and cuDNN's flags are put back afterwards."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    state = torch.get_rng_state()
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
        torch.set_rng_state(state)


@contextmanager
def quiet_fabric() -> Iterator[None]:
    """Keep Lightning's advice on precision and loaders from a user who did not choose Lightning."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning_fabric")
            yield
    finally:
        logger.setLevel(level)
