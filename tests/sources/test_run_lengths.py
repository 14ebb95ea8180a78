"""Run lengths against pycocotools, against each other, and by hand."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from tailscope.core import DataError, decode_rle, encode_rle
from tailscope.sources.run_lengths import (
    absolute_text,
    coco_counts,
    coco_string,
    relative_text,
    rle_from_absolute,
    rle_from_coco,
    rle_from_relative,
)

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
# Four rows and columns, written down by eye; down the columns the pixels 5, 6, 9, 10 and 15 are set.
GOLDEN = np.array(
    [
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 1],
    ],
    dtype=bool,
)


def packed(mask: np.ndarray) -> dict[str, object]:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


@given(MASKS)
def test_the_letters_of_pycocotools_are_read_as_it_reads_them(mask):
    assert rle_from_coco(packed(mask)) == encode_rle(mask)
    assert np.array_equal(decode_rle(rle_from_coco(packed(mask))), mask)


@given(MASKS)
def test_our_letters_are_those_of_pycocotools(mask):
    assert coco_string(encode_rle(mask)["counts"]).encode() == packed(mask)["counts"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11, NumPy 2
@given(MASKS)
def test_a_list_of_counts_and_its_letters_are_one_mask(mask):
    rle = encode_rle(mask)
    assert rle_from_coco(rle) == rle_from_coco({"size": rle["size"], "counts": coco_string(rle["counts"])})
    assert np.array_equal(coco.decode(coco.frPyObjects(rle, *mask.shape)).astype(bool), mask)


@given(MASKS)
def test_pairs_of_either_dialect_come_back(mask):
    rle = encode_rle(mask)
    assert rle_from_relative(relative_text(rle), mask.shape) == rle
    for first in (0, 1):
        assert rle_from_absolute(absolute_text(rle, first=first), mask.shape, first=first) == rle


@given(st.lists(st.integers(0, 2**31 - 1)))
def test_counts_of_any_length_survive_the_letters(counts):
    assert coco_counts(coco_string(counts)) == counts


@given(st.lists(st.integers(0, 9), min_size=1).filter(any))
def test_empty_runs_are_joined_so_that_one_mask_has_one_form(counts):
    size = [1, sum(counts)]
    assert rle_from_coco({"size": size, "counts": counts}) == encode_rle(decode_rle({"size": size, "counts": counts}))


@given(st.text("0123456789abcdefghijklmno:;<=>?@ABC\x7f", max_size=12))
def test_letters_are_read_or_refused_and_nothing_else_happens(text):
    with contextlib.suppress(DataError):
        assert min(coco_counts(text), default=0) >= 0


def test_the_golden_mask_in_all_dialects():
    canonical = {"size": [4, 4], "counts": [5, 2, 2, 2, 4, 1]}
    assert encode_rle(GOLDEN) == canonical
    assert rle_from_coco({"size": [4, 4], "counts": [5, 2, 2, 2, 4, 1]}) == canonical
    assert rle_from_coco({"size": [4, 4], "counts": "52202O"}) == canonical  # …, 2 − 2, 4 − 2, 1 − 2
    assert rle_from_relative("5 2 2 2 4 1", (4, 4)) == canonical
    assert rle_from_absolute("6 2 10 2 16 1", (4, 4)) == canonical


def test_the_runs_go_down_the_columns():
    assert decode_rle(rle_from_relative("0 4", (4, 4)))[:, 0].all()


def test_relative_pairs_read_as_absolute_are_refused():
    with pytest.raises(DataError, match=r"run `2 2` starts before pixel 7.*relative gaps"):
        rle_from_absolute("5 2 2 2 4 1", (4, 4))


def test_absolute_pairs_read_as_relative_are_refused():
    with pytest.raises(DataError, match=r"end at pixel 37 of 4 × 4 = 16.*absolute starts"):
        rle_from_relative("6 2 10 2 16 1", (4, 4))


def test_no_pairs_are_the_empty_mask_and_one_run_the_full_one():
    assert rle_from_relative("", (4, 4)) == rle_from_absolute(" ", (4, 4)) == {"size": [4, 4], "counts": [16]}
    assert rle_from_relative("0 16", (4, 4)) == rle_from_absolute("1 16", (4, 4)) == {"size": [4, 4], "counts": [0, 16]}


def test_touching_runs_are_one_run():
    assert (
        rle_from_absolute("1 2 3 2", (2, 3)) == rle_from_relative("0 2 0 2", (2, 3)) == rle_from_relative("0 4", (2, 3))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 p", r"broken at ' '; expected COCO's letters, 0 to o"),
        ("Q", r"end within a number"),
        ("oooooooo0", r"broken at 'o'"),
        ("O", r"hold the run -1; expected 0 or more"),
        ("000O", r"hold the run -1"),
        ("é", r"broken at 'é'"),
    ],
)
def test_broken_letters_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        coco_counts(text)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [4, 4], "counts": [5, 2]}, r"add up to 7; expected 4 × 4 = 16 \(height × width\): correct `size`"),
        ({"size": [4, 4], "counts": "52"}, r"add up to 7"),
        ({"size": [4, 0], "counts": [0]}, r"`size` must be \[height, width\].*got \[4, 0\]"),
        ({"size": [4], "counts": [4]}, r"`size` must be"),
        ({"size": None, "counts": [4]}, r"`size` must be"),
        ({"size": [4.0, 4.0], "counts": [16]}, r"`size` must be"),
        ({"size": [4, 4], "counts": [17, -1]}, r"`counts` must be letters or a list of whole numbers"),
        ({"size": [4, 4], "counts": [15.5, 0.5]}, r"`counts` must be"),
        ({"size": [4, 4], "counts": 16}, r"`counts` must be .*got 16"),
        ({"counts": [16]}, r"need `size` and `counts`; got counts"),
    ],
)
def test_wrong_counts_and_sizes_are_refused(segmentation, message):
    with pytest.raises(DataError, match=message):
        rle_from_coco(segmentation)


@pytest.mark.parametrize("read", [rle_from_relative, rle_from_absolute])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", r"hold 3 numbers; expected pairs"),
        ("-1", r"hold '-1'; expected whole numbers.*leave it out"),
        ("1 2.0", r"hold '2.0'"),
        ("1 ٢", r"hold '٢'"),
        ("3 0", r"run `3 0` has no pixel"),
        ("3 99", r"of 4 × 4 = 16; expected all within it"),
        ("3 " + "9" * 5000, r"of 4 × 4 = 16"),
    ],
)
def test_wrong_pairs_are_refused(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text, (4, 4))


def test_a_siim_raster_is_decoded_without_drawing_it():
    rle = rle_from_relative("1048000 576", (1024, 1024))
    assert rle == {"size": [1024, 1024], "counts": [1048000, 576]}
    assert np.array_equal(np.argwhere(decode_rle(rle)), np.column_stack([np.arange(448, 1024), np.full(576, 1023)]))
