"""Which way up a picture stands."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tailscope.core import digest
from tailscope.data.decoding import decode, raster_size, raw_values
from tailscope.data.files import FileContent, ImageFiles
from tailscope.data.orientation import orientation_of, turned, turned_size

PIXELS = np.array([[0, 40, 80], [120, 160, 200]], dtype=np.uint8)
# where Exif 2.32 (4.6.4 A) puts the stored rows, turned by hand
BY_HAND = {
    1: [[0, 40, 80], [120, 160, 200]],
    2: [[80, 40, 0], [200, 160, 120]],
    3: [[200, 160, 120], [80, 40, 0]],
    4: [[120, 160, 200], [0, 40, 80]],
    5: [[0, 120], [40, 160], [80, 200]],
    6: [[120, 0], [160, 40], [200, 80]],
    7: [[200, 80], [160, 40], [120, 0]],
    8: [[80, 200], [40, 160], [0, 120]],
}
EACH = pytest.mark.parametrize("orientation", BY_HAND)


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture
def save(tmp_path):
    """Writes an image with an orientation, and gives its path."""

    def write(pixels: np.ndarray, orientation: int, name: str = "a.png", **settings: object):
        Image.fromarray(pixels).save(tmp_path / name, exif=tagged(orientation), **settings)
        return tmp_path / name

    return write


@EACH
def test_pixels_are_turned_as_the_standard_says(orientation):
    assert turned(PIXELS, orientation).tolist() == BY_HAND[orientation]
    assert turned_size(PIXELS.shape, orientation) == np.shape(BY_HAND[orientation])


@EACH
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_a_file_is_read_as_it_is_shown(save, orientation, name):
    path = save(PIXELS, orientation, name, **({"lossless": True} if name == "a.webp" else {}))
    assert decode(path, grey=True).tolist() == BY_HAND[orientation]
    assert raster_size(path) == np.shape(BY_HAND[orientation])


@EACH
def test_jpeg_files_are_turned(save, orientation):
    blocks = np.kron(PIXELS, np.ones((16, 16), dtype=np.uint8))
    path = save(blocks, orientation, "a.jpg", quality=95)
    assert np.abs(decode(path)[8::16, 8::16].astype(int) - BY_HAND[orientation]).max() <= 2
    assert raster_size(path) == decode(path).shape


@EACH
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_and_colours_are_turned_too(save, orientation, name):
    expected = np.array(BY_HAND[orientation])
    assert decode(save(PIXELS.astype(np.uint16) * 257, orientation, name)).tolist() == expected.tolist()
    colour = decode(save(np.dstack([PIXELS, 255 - PIXELS, PIXELS]), orientation, name))
    assert np.array_equal(colour, np.dstack([expected, 255 - expected, expected]))


@EACH
def test_masks_are_turned_as_their_images(save, orientation):
    assert raw_values(save(PIXELS, orientation)).tolist() == BY_HAND[orientation]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_exif_data_behind_the_pixels_of_a_png_count(tmp_path):
    plain = io.BytesIO()
    Image.fromarray(PIXELS).save(plain, "PNG")
    end = chunk(b"IEND", b"")
    data = plain.getvalue().removesuffix(end) + chunk(b"eXIf", tagged(6).tobytes().removeprefix(b"Exif\0\0")) + end
    (tmp_path / "a.png").write_bytes(data)
    assert decode(tmp_path / "a.png").tolist() == BY_HAND[6]
    assert raster_size(tmp_path / "a.png") == (3, 2)


def test_the_header_of_a_png_is_read_without_its_pixels(save, monkeypatch):
    path = save(PIXELS, 6)
    Image.fromarray(PIXELS).save(path.with_name("b.png"))
    monkeypatch.setattr(Image.Image, "load", None)
    assert raster_size(path) == (3, 2)
    assert raster_size(path.with_name("b.png")) == (2, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_number_that_is_no_orientation_turns_nothing(save, orientation):
    assert np.array_equal(decode(save(PIXELS, orientation)), PIXELS)


def test_exif_data_that_are_broken_turn_nothing(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"Exif\0\0no EXIF data")
    assert np.array_equal(decode(tmp_path / "a.png"), PIXELS)


def test_the_stream_stands_where_it_stood(save):
    path = save(PIXELS, 1)
    Image.fromarray(PIXELS).save(path)
    with path.open("rb") as stream, Image.open(stream) as image:
        before = stream.tell()
        assert orientation_of(image, stream) == 1
        assert stream.tell() == before


def test_a_lying_file_has_a_digest_of_its_own_and_all_others_keep_theirs(save, tmp_path):
    save(PIXELS, 6)
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    save(PIXELS, 6, "c.tif")  # Pillow always turned TIFF
    files = ImageFiles(tmp_path, ("a.png", "b.png", "c.tif"))
    by_bytes = [digest("stored", digest_of(tmp_path / name)) for name in files.paths]
    found = FileContent(files)()
    assert found[1:] == by_bytes[1:]
    assert found[0] == digest("stored turned 6", digest_of(tmp_path / "a.png"))
    assert FileContent(files).remembered(tmp_path / "memo") == FileContent(files).remembered(tmp_path / "memo") == found


def digest_of(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
