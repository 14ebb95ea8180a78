"""The foreground of mask files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError
from tailscope.sources.mask_rasters import read_foreground

DRAWN = np.zeros((4, 6), dtype=bool)
DRAWN[1, 2:5] = True


def palette(drawn: np.ndarray) -> Image.Image:
    image = Image.fromarray(drawn.astype(np.uint8), mode=None).convert("P")
    image.putdata(drawn.astype(np.uint8).ravel().tolist())
    image.putpalette([0, 0, 0, 200, 0, 0])
    return image


FORMS = {
    "0/1": lambda: Image.fromarray(DRAWN.astype(np.uint8)),
    "0/255": lambda: Image.fromarray(DRAWN.astype(np.uint8) * 255),
    "one bit": lambda: Image.fromarray(DRAWN),
    "16 bits": lambda: Image.fromarray(DRAWN.astype(np.uint16) * 65535),
    "palette": lambda: palette(DRAWN),
    "grey as RGB": lambda: Image.fromarray(np.repeat(DRAWN[..., None] * np.uint8(255), 3, axis=2)),
    "red on black": lambda: Image.fromarray(DRAWN[..., None] * np.array([120, 0, 0], dtype=np.uint8)),
    "red on black, opaque": lambda: Image.fromarray(
        np.dstack([DRAWN[..., None] * np.array([120, 0, 0], np.uint8), np.full(DRAWN.shape, 255, np.uint8)])
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_foreground(tmp_path, form):
    FORMS[form]().save(tmp_path / "mask.png")
    assert np.array_equal(read_foreground(tmp_path / "mask.png", DRAWN.shape), DRAWN)


def test_smoothed_edges_are_cut_at_the_half(tmp_path):
    Image.fromarray(np.array([[0, 127, 128, 255]], dtype=np.uint8)).save(tmp_path / "mask.png")
    assert read_foreground(tmp_path / "mask.png", (1, 4)).tolist() == [[False, False, True, True]]


def test_an_empty_mask_has_no_foreground(tmp_path):
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save(tmp_path / "mask.png")
    assert not read_foreground(tmp_path / "mask.png", (4, 6)).any()


def test_another_size_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 6), dtype=np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask mask\.png has \(4, 6\) pixels .*expected \(6, 4\)"):
        read_foreground(tmp_path / "mask.png", (6, 4))


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path: Path = tmp_path / "mask.png"
    path.write_text("no image")
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_foreground(path, (4, 6))
