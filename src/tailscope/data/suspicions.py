"""Groups of images that may be one: what each says of itself, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tailscope.core.records import STATES, Dataset
from tailscope.data.label_readers import ANY, voted
from tailscope.data.states import readings_of


@dataclass(frozen=True)
class Suspicion:
    """Images that may be one.

    Args:
        rows: Their rows, two or more.
        likeness: Correlation of their details; 1 where they have the same content.
        identical: Whether they have the same content.
        differing: Classes whose states differ among them, each with the states in the order of the rows.
    """

    rows: tuple[int, ...]
    likeness: float
    identical: bool
    differing: tuple[str, ...]


def suspicions(
    dataset: Dataset, groups: Iterable[tuple[int, ...]], pairs: Iterable[tuple[int, int, float]]
) -> tuple[Suspicion, ...]:
    """All that is suspected: pairs that look alike, as they come, then groups of the same content.

    Args:
        dataset: From a source, checked.
        groups: Rows of images with the same content.
        pairs: Two rows and their likeness.
    """
    pairs, groups = tuple(pairs), tuple(groups)
    if not pairs and not groups:
        return ()
    states = voted(readings_of(dataset, dataset.classes), ANY)

    def differing(rows: tuple[int, ...]) -> tuple[str, ...]:
        told = []
        for column, name in enumerate(dataset.classes):
            codes = states[list(rows), column].tolist()
            if len(set(codes)) > 1:
                told.append(f"{name}: {' / '.join(STATES[code] for code in codes)}")
        return tuple(told)

    alike = [Suspicion((first, second), value, False, differing((first, second))) for first, second, value in pairs]
    return (*alike, *(Suspicion(rows, 1.0, True, differing(rows)) for rows in groups))
