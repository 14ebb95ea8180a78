"""MedMNIST: small images in one file per set and size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tailscope.core.errors import DataError, InputError
from tailscope.core.records import Dataset
from tailscope.core.registry import nearest
from tailscope.data.files import require_root
from tailscope.data.registry import DATASETS, Terms
from tailscope.data.tables import annotation_table, image_table, label_table
from tailscope.data.validation import raise_problems
from tailscope.sources.medmnist_facts import FACTS, SOLID, Facts
from tailscope.sources.npz_pixels import Member, NpzContent, NpzPixels, member_of, read_labels

_SPLITS = ("test", "train", "val")  # in the order of the image ids, so that rows run forward through the file
_SIZES = (28, 64, 128, 224)
_NAME = re.compile(r"(?P<subset>[a-z0-9]+mnist(?:3d)?)(?:_(?P<size>\d+))?\.npz")


@DATASETS.register("medmnist")
@dataclass(frozen=True)
class MedMnist:
    """Twelve sets of 28, 64, 128 or 224 pixels: one ``.npz`` per set and size, with labels and a split of its own.

    Expects ``<subset>.npz`` (28 pixels) or ``<subset>_<size>.npz``. ChestMNIST has 14 labels per image; in all others
    the class of an image is positive and the others are negative, grades included. The file tells no patient, age or
    source image: every image is its own cluster, and its split is taken as it is.

    Args:
        subset: Such as ``chestmnist``; None if the folder holds one set only.
        size: Side in pixels; None if the folder holds one size only.

    Source: Yang et al. (2023), "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image
    classification", Scientific Data 10.
    """

    subset: str | None = None
    size: int | None = None
    is_format: ClassVar[bool] = False
    terms: ClassVar[Terms] = Terms(
        "CC BY 4.0; DermaMNIST CC BY-NC 4.0: no commercial use", "open: zenodo.org record 10519652"
    )

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset not in FACTS:
            raise InputError(f"`subset` is unknown; got {self.subset!r}{nearest(self.subset, tuple(FACTS))}")
        if self.size is not None and self.size not in _SIZES:
            raise InputError(f"`size` must be one of {_SIZES}; got {self.size!r}")

    @staticmethod
    def recognise(root: Path) -> str | None:
        """Files of MedMNIST's names."""
        return ", ".join(path.name for path, _, _ in _files(root)) or None

    def __call__(self, root: Path | None) -> Dataset:
        """Read labels and headers; images are read when asked for.

        Raises:
            DataError: There is no such file, several fit, or its arrays are wrong; all at once.
        """
        root = require_root(root, "medmnist")
        path, subset = self._choose(root)
        facts = FACTS[subset]
        labels = {split: read_labels(path, f"{split}_labels") for split in _SPLITS}
        members = tuple(member_of(path, f"{split}_images") for split in _SPLITS)
        problems = [
            f"{path.name}: {problem}"
            for split, member in zip(_SPLITS, members, strict=True)
            for problem in _problems(split, labels[split], member, facts)
        ]
        raise_problems(problems)
        ids = [f"{split}_{number:06}" for split in _SPLITS for number in range(len(labels[split]))]
        counts = [member.shape[0] for member in members]
        images = image_table(
            {
                "image_id": ids,
                "split": [split for split, count in zip(_SPLITS, counts, strict=True) for _ in range(count)],
                "height": [
                    member.shape[1] for member, count in zip(members, counts, strict=True) for _ in range(count)
                ],
                "width": [member.shape[2] for member, count in zip(members, counts, strict=True) for _ in range(count)],
            }
        )
        pixels = NpzPixels(root, path.name, members)
        return Dataset(
            name="medmnist",
            classes=facts.classes,
            images=images,
            labels=label_table(ids, facts.classes, _states(np.concatenate(list(labels.values())), facts), "medmnist"),
            annotations=annotation_table([], "none"),
            read_pixels=pixels,
            content=NpzContent(pixels),
            notes=(
                f"{len(ids)} images of {path.name}, {members[0].shape[1]} × {members[0].shape[2]} pixels",
                "the split is MedMNIST's; no patient is published: every image is its own cluster",
                *filter(None, [facts.note]),
            ),
            flips_allowed=facts.flips_allowed,
        )

    def _choose(self, root: Path) -> tuple[Path, str]:
        fits = [
            (path, subset)
            for path, subset, size in _files(root)
            if self.subset in (None, subset) and self.size in (None, size)
        ]
        if len(fits) != 1:
            names = ", ".join(path.name for path, _ in fits) or "none"
            raise DataError(
                f"{len(fits)} files below {root} fit subset {self.subset!r} and size {self.size!r}: {names}; expected "
                "one, such as chestmnist.npz or chestmnist_224.npz: set `subset` and `size`"
            )
        path, subset = fits[0]
        if subset in SOLID:
            raise DataError(f"{path.name} holds volumes; expected images of two dimensions: choose another `subset`")
        return path, subset


def _files(root: Path) -> list[tuple[Path, str, int]]:
    """Path, set and side in pixels of every file of a known set, sorted by name."""
    found = []
    for path in sorted(root.glob("*.npz")):
        match = _NAME.fullmatch(path.name)
        if match and (match["subset"] in FACTS or match["subset"] in SOLID):
            found.append((path, match["subset"], int(match["size"] or 28)))
    return found


def _problems(split: str, labels: NDArray[np.int64], member: Member, facts: Facts) -> list[str]:
    problems = []
    if len(labels) != member.shape[0]:
        problems.append(f"{member.shape[0]} {split} images and {len(labels)} labels; expected as many")
    columns = len(facts.classes) if facts.many_labels else 1
    if labels.shape[1] != columns:
        return [*problems, f"{split}_labels has {labels.shape[1]} columns; expected {columns}"]
    top = 1 if facts.many_labels else len(facts.classes) - 1
    if labels.size and not (labels.min() >= 0 and labels.max() <= top):
        problems.append(f"{split}_labels runs from {labels.min()} to {labels.max()}; expected 0 to {top}")
    return problems


def _states(labels: NDArray[np.int64], facts: Facts) -> NDArray[np.str_]:
    positive = labels == 1 if facts.many_labels else labels == np.arange(len(facts.classes))
    return np.where(positive, "positive", "negative")
