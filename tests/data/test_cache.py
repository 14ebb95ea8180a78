"""The cache of decoded pixels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tailscope.core import DataError, Placement
from tailscope.data.cache import ReadingPlan, open_pixels
from tailscope.data.frames import fit
from tailscope.data.settings import DataSettings

IMAGES = [np.random.default_rng(number).integers(0, 256, (12, 16), dtype=np.uint8) for number in range(70)]
CONTENT = [f"{number}" for number in range(70)]
SETTINGS = DataSettings(image_size=(6, 8))


def read(row: int) -> np.ndarray:
    return IMAGES[row]


def refuse(row: int) -> np.ndarray:
    raise AssertionError(f"row {row} was decoded again")


def test_pixels_have_their_shape_and_stay_on_disk(tmp_path):
    cache = open_pixels(read, CONTENT, SETTINGS, tmp_path)
    assert cache.pixels.shape == (70, 6, 8, 1)
    assert cache.pixels.dtype == np.uint8
    assert isinstance(cache.pixels, np.memmap)
    assert not cache.pixels.flags.writeable
    assert cache.sizes.tolist() == [[12, 16]] * 70
    assert np.array_equal(cache.pixels[69, ..., 0], fit(IMAGES[69], (6, 8), "stretch"))


def test_a_second_opening_decodes_nothing(tmp_path):
    first = open_pixels(read, CONTENT, SETTINGS, tmp_path)
    second = open_pixels(refuse, CONTENT, SETTINGS, tmp_path)
    assert np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("changed", [{"image_size": (8, 6)}, {"resize": "pad"}, {"channels": 3}])
def test_other_settings_have_another_key(tmp_path, changed):
    other = DataSettings(**{"image_size": (6, 8), **changed})
    keys = {open_pixels(read, CONTENT, settings, tmp_path).key for settings in (SETTINGS, other)}
    assert len(keys) == 2


def test_other_content_has_another_key(tmp_path):
    keys = {open_pixels(read, content, SETTINGS, tmp_path).key for content in (CONTENT, [*CONTENT[:-1], "new"])}
    assert len(keys) == 2


def test_concurrent_writers_leave_one_whole_file(tmp_path):
    script = """
import sys, numpy as np
from pathlib import Path
from tailscope.core import digest
from tailscope.data import DataSettings
from tailscope.data.cache import open_pixels
read = lambda row: np.random.default_rng(row).integers(0, 256, (12, 16), dtype=np.uint8)
cache = open_pixels(read, list(map(str, range(300))), DataSettings(image_size=(6, 8)), Path(sys.argv[1]))
print(digest(cache.pixels))
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [writer.communicate(timeout=120)[0] for writer in writers]
    assert len(set(results)) == 1
    assert len(results[0].strip()) == 64
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["checksums", "pixels", "sizes"]


def test_every_broken_image_is_named_and_nothing_is_left(tmp_path):
    def broken(row: int) -> np.ndarray:
        if row in (3, 66):
            raise DataError(f"image {row} is broken")
        return IMAGES[row]

    with pytest.raises(DataError, match=r"(?s)image 3 is broken.*image 66 is broken"):
        open_pixels(broken, CONTENT, SETTINGS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_colour_image_makes_three_channels(tmp_path):
    colour = np.dstack([IMAGES[0], IMAGES[1], IMAGES[2]])
    cache = open_pixels(lambda row: colour if row == 69 else IMAGES[row], CONTENT, SETTINGS, tmp_path)
    assert cache.pixels.shape == (70, 6, 8, 3)
    assert (cache.pixels[0] == cache.pixels[0][..., :1]).all()
    assert not (cache.pixels[69] == cache.pixels[69][..., :1]).all()


def test_progress_never_goes_back(tmp_path):
    colour = np.dstack([IMAGES[0], IMAGES[1], IMAGES[2]])
    seen: list[int] = []
    open_pixels(
        lambda row: colour if row == 50 else IMAGES[row],
        CONTENT,
        SETTINGS,
        tmp_path,
        ReadingPlan(progress=lambda done, _: seen.append(done)),
    )
    assert seen == list(range(1, 71))


def test_one_channel_can_be_asked_for(tmp_path):
    colour = np.dstack([IMAGES[0], IMAGES[1], IMAGES[2]])
    cache = open_pixels(lambda _: colour, CONTENT, DataSettings(image_size=(6, 8), channels=1), tmp_path)
    assert cache.pixels.shape == (70, 6, 8, 1)


def test_progress_counts_every_image(tmp_path):
    seen: list[tuple[int, int]] = []
    open_pixels(read, CONTENT, SETTINGS, tmp_path, ReadingPlan(progress=lambda *done: seen.append(done)))
    assert seen == [(number, 70) for number in range(1, 71)]


def test_an_image_of_the_frames_size_stays_as_it_is():
    assert fit(IMAGES[0], (12, 16), "pad") is IMAGES[0]


def test_reduction_averages_over_area():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 200
    reduced = fit(checks.astype(np.uint8), (8, 8), "stretch")
    assert np.abs(reduced.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (9, 13), (33, 100)])
def test_a_bright_box_lands_where_the_placement_says(resize, size):
    height, width = size
    pixels = np.zeros(size, dtype=np.uint8)
    y0, y1, x0, x1 = height // 4, 3 * height // 4, width // 3, 2 * width // 3
    pixels[y0:y1, x0:x1] = 200
    fitted = fit(pixels, (30, 30), resize).astype(float)
    place = Placement.of(size, (30, 30), resize)
    rows, columns = np.indices((30, 30)) + 0.5
    centre = np.array([(fitted * columns).sum(), (fitted * rows).sum()]) / fitted.sum()
    assert centre == pytest.approx(place.forward(np.array([(x0 + x1) / 2, (y0 + y1) / 2])), abs=0.05)
    area = (x1 - x0) * (y1 - y0) * place.scale_x * place.scale_y
    assert fitted.sum() / 200 == pytest.approx(area, rel=0.05)
