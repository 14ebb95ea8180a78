"""What images that may be one say of themselves."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tailscope.data import inspect_dataset
from tailscope.data.suspicions import suspicions
from tailscope.sources import CsvTables


def read(folder):
    return CsvTables(patient_column="patient")(folder)


def test_labels_that_differ_are_told_in_the_order_of_the_rows(csv_folder):
    table = "image,patient,mass,hernia\n00.png,a,1,0\n01.png,b,0,0\n02.png,c,,0\n"
    pair, group = suspicions(read(csv_folder(labels=table)), [(0, 1, 2)], [(1, 0, 0.97)])
    assert (pair.likeness, pair.identical, pair.differing) == (0.97, False, ("mass: negative / positive",))
    assert (group.likeness, group.identical) == (1.0, True)
    assert group.differing == ("mass: positive / negative / unmentioned",)


def test_an_inspection_holds_its_pairs_and_groups_by_rows(csv_folder):
    folder = csv_folder()
    pixels = np.random.default_rng(5).integers(0, 256, (90, 80), dtype=np.uint8)
    for name in (10, 20, 21):
        Image.fromarray(pixels if name > 10 else pixels // 2).save(folder / f"images/{name}.png")
    found = inspect_dataset(read(folder))
    assert {(one.rows, one.identical) for one in found.suspicions} == {
        ((10, 20), False), ((10, 21), False), ((20, 21), True)
    }  # fmt: skip
    assert found.suspicions[-1].identical
    assert [one.rows for one in found.suspicions[:2]] == [(10, 20), (10, 21)]
    assert len(found.near_duplicates) == 2
