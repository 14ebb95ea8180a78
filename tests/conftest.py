"""Small made data sets for the tests of several rooms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

CsvFolder = Callable[..., Path]
WriteDicom = Callable[..., None]


def write_image(path: Path, number: int, size: tuple[int, int] = (8, 10)) -> None:
    """A grey PNG or JPEG whose content depends on its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)).save(path)


@pytest.fixture
def csv_folder(tmp_path: Path) -> CsvFolder:
    """Builds images/00.png … and labels.csv: 30 patients with two images each, classes `mass` and `hernia`."""

    def build(**replaced: str) -> Path:
        lines = ["image,patient,mass,hernia"]
        for number in range(60):
            write_image(tmp_path / f"images/{number:02}.png", number)
            patient = number // 2
            lines.append(f"{number:02}.png,p{patient},{patient % 2},{int(patient % 6 == 0)}")
        (tmp_path / "labels.csv").write_text("\n".join(lines))
        for name, text in replaced.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return build


@pytest.fixture
def write_dicom() -> WriteDicom:
    """Writes (H, W) uint8 pixels as a grey DICOM file; further elements of its header by keyword."""

    def write(path: Path, pixels: np.ndarray | None = None, **elements: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.array([[0, 1], [2, 255]], dtype=np.uint8) if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = SecondaryCaptureImageStorage, "1.2", path.stem
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.add_new("PixelData", "OB", pixels.tobytes())
        for name, value in elements.items():
            setattr(dataset, name, value)
        dataset.save_as(path, enforce_file_format=True)

    return write
