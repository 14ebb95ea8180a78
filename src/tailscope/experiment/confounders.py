"""What stands in a picture without being a finding, and the test images on which it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tailscope.alignment import outside_body
from tailscope.core import ExperimentData, InputError, child_seed, nearest
from tailscope.experiment.lens_config import ShortcutSection

OUTSIDE_BODY = "outside_body"
_TRIED = 20  # test images among which one must show air around a body


@dataclass(frozen=True, eq=False)
class Confounder:
    """One confounder on the test images that are looked at.

    Args:
        name: Of an extra mask of the data set, or ``outside_body``.
        rows: (n,) image rows that have it, ascending.
        masks: (n, H, W) bool.
    """

    name: str
    rows: NDArray[np.int64]
    masks: NDArray[np.bool_]

    @property
    def can_be_removed(self) -> bool:
        """Whether there is something to fill its place from; air is what is left where nothing is."""
        return self.name != OUTSIDE_BODY


def confounders_of(data: ExperimentData, section: ShortcutSection) -> tuple[str, ...]:
    """Names of the confounders that are looked at, in the order of the data set or as asked for.

    Left to itself, that is every extra mask that stands on an image, and ``outside_body`` where one of the first 20
    test images shows air around a body.

    Args:
        data: The experiment's data.
        section: What was asked for.

    Raises:
        InputError: A name that the data set does not have; lists what there is.
    """
    masks = extra_masks(data)
    if section.confounders is None:
        return masks + ((OUTSIDE_BODY,) if _shows_air(data) else ())
    known = (*masks, OUTSIDE_BODY)
    if strangers := [name for name in section.confounders if name not in known]:
        raise InputError(
            f"`shortcuts.confounders` names {strangers[0]!r}, which is no extra mask of this data set"
            f"{nearest(strangers[0], known)}"
        )
    return tuple(dict.fromkeys(section.confounders))


def extra_masks(data: ExperimentData) -> tuple[str, ...]:
    """Names of the extra masks of the data set that stand on an image."""
    return tuple(name for name in data.attributes if data.is_mask(name))


def found_on_test(data: ExperimentData, name: str, images: int) -> Confounder:
    """A confounder on up to ``images`` test images that have it, the same for every run.

    Which ones follows from a hash of their ids, so that neither the order of the files nor the label decides.

    Args:
        data: The experiment's data.
        name: One of :func:`confounders_of`.
        images: Most images.
    """
    found = dict(islice(_masks(data, name), images))
    rows = np.array(sorted(found), dtype=np.int64)
    shape = (rows.size, *data.pixels.shape[1:3])
    masks = np.array([found[row] for row in rows.tolist()], dtype=bool).reshape(shape)
    return Confounder(name, rows, masks)


def _masks(data: ExperimentData, name: str) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Row and mask of the test images that have the confounder, in the order of the hash."""
    for row in _hashed_rows(data):
        if name == OUTSIDE_BODY:
            mask = outside_body(np.asarray(data.pixels[row]))
        elif data.attributes[name][row]:
            mask = data.mask(row, name)
        else:
            continue
        if mask.any():
            yield row, mask


def _hashed_rows(data: ExperimentData) -> list[int]:
    rows = data.rows("test").tolist()
    return sorted(rows, key=lambda row: child_seed(0, "images of the shortcut audit", str(data.image_ids[row])))


def _shows_air(data: ExperimentData) -> bool:
    return any(outside_body(np.asarray(data.pixels[row])).any() for row in _hashed_rows(data)[:_TRIED])
