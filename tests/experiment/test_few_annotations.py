"""Data without annotations, or with very few: the whole way still ends with a report that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from experiment_content import small_content
from PIL import Image

from tailscope.experiment import run

COUNT = 60


@pytest.fixture
def folder(tmp_path) -> Path:
    """60 images of 30 patients, two classes."""
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = ["image,patient,mass,hernia"]
    for number in range(COUNT):
        pixels = random.integers(0, 256, (64, 64)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{number:02d}.png")
        rows.append(f"{number:02d}.png,p{number // 2},{int(number % 3 == 0)},{int(number % 4 == 0)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def content(folder: Path, annotated: list[int]) -> dict:
    boxes = ["image,class,x0,y0,x1,y1", *(f"{number:02d}.png,mass,5,5,20,20" for number in annotated)]
    (folder / "boxes.csv").write_text("\n".join(boxes) + "\n")
    args = {"patient_column": "patient", **({"annotations": "boxes.csv"} if annotated else {})}
    data = {"source": "csv", "root": str(folder), "image_size": 64, "args": args, "split": {"test": 0.3, "val": 0.2}}
    return small_content(data=data, training={"epochs": 1, "batch_size": 8})


def test_without_annotations_only_performance_and_features_are_compared(folder, tmp_path):
    result = run(content(folder, []), tmp_path / "out")
    page = result.report.read_text()
    assert "no positive test image is annotated, so alignment and dissection have nothing to look at" in page
    assert set(result.findings["lens"]) >= {"performance", "representation"}
    assert not (tmp_path / "out" / "soundness").exists()  # no map to compare, so nothing is trained on permuted labels
    needs_annotations = ~result.findings["lens"].isin(["performance", "representation"])
    needs_annotations &= ~result.findings["metric"].str.startswith(("on_", "removal_of_"))
    assert result.findings.loc[needs_annotations, "difference"].isna().all()


@pytest.mark.parametrize("annotated", [[0], list(range(0, COUNT, 6))])
def test_few_annotations_give_values_without_verdicts(folder, tmp_path, annotated):
    result = run(content(folder, annotated), tmp_path / "out")
    lenses = result.findings[result.findings["lens"] != "performance"]
    assert not lenses["verdict"].isin(["better", "worse", "equivalent"]).any()
    assert (lenses["reason"] != "").all()
