from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tailscope.core import generator
from tailscope.dissection import AnnotatedImages, DissectionSettings, dissect
from tailscope.experiment.kept_evidence import KeptEvidence

CLASSES = ("mass", "hernia")
SETTINGS = DissectionSettings(derangements=60, crossfit_derangements=3, splits=2, fractions=(0.01, 0.1))


def scene(annotated_hernias: int = 9) -> tuple[np.ndarray, AnnotatedImages]:
    """24 images, five units; unit 0 is the mass."""
    random = generator(0, "test", "kept evidence")
    maps = random.random((24, 5, 4, 4)).astype(np.float32)
    masks = {}
    for row in range(24):
        for name in CLASSES:
            mask = np.zeros((8, 8), dtype=bool)
            y, x = random.integers(0, 4, 2)
            mask[y : y + 4, x : x + 4] = True
            masks[row, name] = mask
        if row < 9:
            maps[row, 0] += 3 * masks[row, "mass"][::2, ::2]
    targets = np.zeros((24, 2), dtype=np.float32)
    targets[:9, 0] = 1
    targets[-annotated_hernias:, 1] = 1
    pairs = np.argwhere(targets == 1)
    ids = np.array([f"i{row:02d}" for row in range(24)])
    images = AnnotatedImages(lambda row, name: masks[row, name], targets, pairs, np.arange(24), CLASSES, ids)
    return maps, images


def assert_same(one: object, other: object) -> None:
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(a):
            assert_same(a, b)
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b


@pytest.mark.parametrize("annotated_hernias", [9, 3])  # with three patients there is no cross-fit
def test_evidence_comes_back_from_the_disk_as_it_was(tmp_path, annotated_hernias):
    maps, images = scene(annotated_hernias)
    memory: dict = {}
    dissect(maps, images, SETTINGS, kept=memory)
    disk = KeptEvidence(tmp_path / "counted", CLASSES)
    disk.update(memory)
    assert list(disk) == list(CLASSES)
    assert (memory["hernia"].crossfit is None) == (annotated_hernias == 3)
    for name in CLASSES:
        assert_same(memory[name], disk[name])


def test_work_that_was_cut_off_between_two_classes_goes_on_with_the_second(tmp_path):
    maps, images = scene()
    kept = KeptEvidence(tmp_path / "counted", CLASSES)

    def stopped(row: int, name: str):
        if name == "hernia":
            raise KeyboardInterrupt
        return images.masks(row, name)

    with pytest.raises(KeyboardInterrupt):
        dissect(maps, dataclasses.replace(images, masks=stopped), SETTINGS, kept=kept)
    assert list(kept) == ["mass"]
    asked = []

    def watched(row: int, name: str):
        asked.append(name)
        return images.masks(row, name)

    resumed = dissect(maps, dataclasses.replace(images, masks=watched), SETTINGS, kept=kept)
    assert set(asked) == {"hernia"}
    whole = dissect(maps, images, SETTINGS)
    for table in ("units", "counts", "curve"):
        assert getattr(resumed, table).equals(getattr(whole, table))


def test_a_class_that_nobody_counted_is_not_there(tmp_path):
    kept = KeptEvidence(tmp_path / "counted", CLASSES)
    assert "mass" not in kept
    assert len(kept) == 0
    with pytest.raises(KeyError):
        kept["mass"]
