"""What the lens can be told."""

from __future__ import annotations

from dataclasses import dataclass

from tailscope.core import InputError


@dataclass(frozen=True)
class DissectionSettings:
    """What the lens can be told; written into the experiment's record.

    Args:
        top_fraction: Share of the grid values above the fixed-fraction threshold, in (0, 1).
        seed: Root seed of the draws of negatives, splits and derangements, the same for all runs.
        splits: Splits of the patients for the cross-fitted best.
        derangements: Derangements behind the detectors' p values; METHODS asks for 1,000 or more.
        crossfit_derangements: Derangements behind the cross-fitted best's subtracted null, the first of those above.
        fractions: Fractions of the curve, each in (0, 1).

    Raises:
        InputError: A setting is out of range.
    """

    top_fraction: float = 0.005
    seed: int = 0
    splits: int = 20
    derangements: int = 1000
    crossfit_derangements: int = 20
    fractions: tuple[float, ...] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1)

    def __post_init__(self) -> None:
        if not 0 < self.top_fraction < 1:
            raise InputError(f"`top_fraction` must be in (0, 1); got {self.top_fraction}")
        for name in ("splits", "derangements", "crossfit_derangements"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be 1 or more; got {getattr(self, name)}")
        if any(not 0 < fraction < 1 for fraction in self.fractions):
            raise InputError(f"`fractions` must all be in (0, 1); got {self.fractions}")

    @property
    def all_fractions(self) -> tuple[float, ...]:
        """F fractions to be counted, rising: the curve's and ``top_fraction``."""
        return tuple(sorted({*self.fractions, self.top_fraction}))
