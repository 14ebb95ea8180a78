"""Is reading ever the bottleneck? Building the cache and one epoch from it, against plain PIL (pydicom) + DataLoader.

Both sides in one run, from the same files, to batches of 32 grey images of 224 × 224: tailscope hashes and decodes
every file once on all cores, and then reads its memory map; the plain loader decodes with two workers in every epoch.
Also: what a second thread brings, for each kind of file.

Run: ``python benchmarks/reading.py [IMAGES]``
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from scipy.ndimage import gaussian_filter
from torch.utils.data import DataLoader, Dataset

from tailscope.data import DataSettings
from tailscope.data.cache import PixelCache, ReadingPlan, open_pixels
from tailscope.data.cache_building import cores
from tailscope.data.files import FileContent, ImageFiles

SIDE, FRAME, BATCH, WORKERS = 1024, 224, 32, 2
KINDS = ("png", "jpg", "dcm")


def picture(number: int) -> np.ndarray:
    """Wide structures and fine noise, as a radiograph has them; (1024, 1024) uint8."""
    rng = np.random.default_rng(number)
    wide = gaussian_filter(rng.standard_normal((SIDE // 8, SIDE // 8)), 6)
    wide = np.kron((wide - wide.min()) / np.ptp(wide), np.ones((8, 8)))
    return (wide * 220 + rng.normal(0, 3, (SIDE, SIDE)) + 15).clip(0, 255).astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    if path.suffix != ".dcm":
        Image.fromarray(pixels).save(path)
        return
    file = pydicom.Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID, file.PatientID = SecondaryCaptureImageStorage, "1.2", "phantom"
    file.Rows, file.Columns = pixels.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.add_new("PixelData", "OW", (pixels.astype(np.uint16) * 16).tobytes())
    file.save_as(path, enforce_file_format=True)


class Plain(Dataset):  # type: ignore[type-arg]
    """What is usually written."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        path = self.paths[row]
        if path.suffix == ".dcm":
            image = Image.fromarray((pydicom.dcmread(path).pixel_array / 4095 * 255).astype(np.uint8))
        else:
            image = Image.open(path).convert("L")
        image = image.resize((FRAME, FRAME), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)[None])


def plain_epoch(paths: list[Path]) -> Iterator[torch.Tensor]:
    yield from DataLoader(Plain(paths), batch_size=BATCH, shuffle=True, num_workers=WORKERS)


def cached(paths: list[Path], folder: Path, threads: int | None = None) -> PixelCache:
    files = ImageFiles(paths[0].parent, tuple(path.name for path in paths), grey=True)
    settings = DataSettings(image_size=(FRAME, FRAME), channels=1)
    return open_pixels(files, FileContent(files).remembered(folder), settings, folder, ReadingPlan(threads=threads))


def cached_epoch(cache: PixelCache) -> Iterator[torch.Tensor]:
    order = np.random.default_rng(0).permutation(len(cache.pixels))
    for start in range(0, len(order), BATCH):
        yield torch.from_numpy(cache.pixels[order[start : start + BATCH]]).permute(0, 3, 1, 2)


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def count(epoch: Iterator[torch.Tensor]) -> int:
    return sum(len(batch) for batch in epoch)


def main(images: int) -> None:
    print(f"{images} images of {SIDE} × {SIDE} to {FRAME} × {FRAME}; {cores()} cores, plain loader: {WORKERS} workers")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as place:
            data = Path(place, "data")
            data.mkdir()
            paths = [data / f"{number:05}.{kind}" for number in range(images)]
            for number, path in enumerate(paths):
                write(path, picture(number))
            cached(paths[:4], Path(place, "warm"))
            count(plain_epoch(paths[:4]))
            alone = seconds(lambda: cached(paths, Path(place, "one"), 1))  # noqa: B023 - called at once
            building = seconds(lambda: cached(paths, Path(place, "all")))  # noqa: B023
            opening = seconds(lambda: cached(paths, Path(place, "all")))  # noqa: B023
            cache = cached(paths, Path(place, "all"))
            reading = seconds(lambda: count(cached_epoch(cache)))  # noqa: B023
            plain = seconds(lambda: count(plain_epoch(paths)))  # noqa: B023
        print(
            f"{kind}: built in {building:.2f} s ({images / building:.0f} images/s; 1 thread {alone:.2f} s, ratio "
            f"{alone / building:.2f}), opened in {opening:.3f} s, epoch {reading:.3f} s; plain epoch {plain:.2f} s: "
            f"first epoch with building {plain / (building + reading):.2f} times as fast, every further one "
            f"{plain / reading:.0f} times"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
