"""From files to 8-bit pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError
from tailscope.data.decoding import decode, raster_size, raw_values

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
COLOUR = np.stack([GREY, GREY[::-1], GREY], axis=-1)


def test_a_grey_file_is_two_dimensional(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), GREY)


def test_a_colour_file_keeps_its_channels(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), COLOUR)


def test_equal_channels_are_grey(tmp_path):
    Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), GREY)


def test_grey_can_be_asked_for(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png", grey=True), np.asarray(Image.fromarray(COLOUR).convert("L")))


def test_transparency_is_dropped(tmp_path):
    Image.fromarray(np.dstack([COLOUR, np.zeros_like(GREY)])).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), COLOUR)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").tolist() == [[0, 1, 128, 255]]


def test_a_black_and_white_file_is_0_and_255(tmp_path):
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").tolist() == [[0, 255]]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_read_in_either_byte_order(tmp_path, order):
    values = np.array([[0, 257, 32896, 65535]], dtype=order)
    Image.frombytes("I;16B" if order == ">u2" else "I;16", (4, 1), values.tobytes()).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == ("I;16B" if order == ">u2" else "I;16")
    assert decode(tmp_path / "a.tif").tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(("kind", "expected"), [(np.uint16, [255, 254, 127, 0]), (np.uint8, [255, 254, 127, 0])])
def test_a_tiff_whose_zero_is_white_is_read_as_it_shows(tmp_path, kind, expected):
    values = (np.array([[0, 1, 128, 255]]) * (257 if kind == np.uint16 else 1)).astype(kind)
    Image.fromarray(values).save(tmp_path / "a.tif")
    black_is_zero = b"\x06\x01\x03\x00\x01\x00\x00\x00\x01"  # tag 262, one short: 1
    data = (tmp_path / "a.tif").read_bytes()
    assert data.count(black_is_zero) == 1
    (tmp_path / "a.tif").write_bytes(data.replace(black_is_zero, black_is_zero[:-1] + b"\x00"))
    assert decode(tmp_path / "a.tif").tolist() == [expected]


def test_sixteen_bit_colours_keep_their_upper_bits(tmp_path):
    """Written by hand, since Pillow writes none."""
    row = np.array([[0, 0x1234, 0xFFFF], [0xABCD, 0, 1]], dtype=">u2")
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pieces = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row.tobytes())), (b"IEND", b"")]
    coded = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in pieces
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    assert decode(tmp_path / "a.png").tolist() == [[[0, 0x12, 0xFF], [0xAB, 0, 0]]]


def test_transparency_of_grey_and_of_palettes_is_dropped(tmp_path):
    Image.fromarray(np.dstack([GREY, np.zeros_like(GREY)])).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), GREY)
    image = Image.new("P", (2, 1))
    image.putdata([0, 1])
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "b.png", transparency=0)
    assert decode(tmp_path / "b.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (1, 1), (255, 0, 0, 51)).save(tmp_path / "a.tif")
    assert decode(tmp_path / "a.tif").tolist() == [[[0, 204, 204]]]


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif holds floating-point pixels"):
        decode(tmp_path / "a.tif")


def test_values_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.array([[70000, -1]], dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="has values from -1 to 70000; expected 8 or 16 bits"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.8])
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=rf"a\.{suffix} cannot be read as an image"):
        decode(path)


def test_a_file_that_is_no_image_is_refused_by_name(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image"):
        decode(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image"):
        raster_size(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"mask .*a\.png cannot be read"):
        raw_values(tmp_path / "a.png")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"a\.png is missing"):
        decode(tmp_path / "a.png")


def test_the_header_tells_height_and_width(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert raster_size(tmp_path / "a.png") == (4, 5)


def test_palette_masks_give_their_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode=None)
    image = image.convert("P")
    image.putdata([0, 1])
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "a.png")
    assert raw_values(tmp_path / "a.png").tolist() == [[0, 1]]


def test_colour_masks_are_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a colour image; expected one channel"):
        raw_values(tmp_path / "a.png")


def test_a_palette_of_black_and_white_is_read_as_it_shows_and_another_by_its_numbers(tmp_path):
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 1])
    for palette, expected in (
        ([255, 255, 255, 0, 0, 0], [[255, 0, 0]]),
        ([0, 0, 0, 255, 255, 255], [[0, 255, 255]]),
        ([0, 0, 0, 128, 0, 0], [[0, 1, 1]]),
    ):
        image.putpalette(palette)
        image.save(tmp_path / "a.png")
        assert raw_values(tmp_path / "a.png").tolist() == expected
