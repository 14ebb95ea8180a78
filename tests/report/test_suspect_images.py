"""The page of images that may be one."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tailscope.report.suspect_images import SuspectImage, SuspectPage, SuspectRow, render_suspects, write_suspects

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)


def image(name, where="p1, in train", pixels=PIXELS):
    return SuspectImage(name, where, pixels)


@pytest.fixture
def page():
    pair = SuspectRow((image("a.png"), image("<b>.png", "p2, in test")), 0.9871, True, ("mass: positive / negative",))
    group = SuspectRow((image("c.png"), image("d.png"), image("and 4 more", "", None)), 1.0, False, ())
    return SuspectPage("set & co", 1234, 0.95, (group,), (pair,), (0, 3))


def test_ids_splits_likeness_threshold_and_differing_labels_stand_there(page):
    html = render_suspects(page)
    assert "1,234 images · 1 group with the same content · 4 pairs that look alike (likeness 0.95 or more)" in html
    for text in ("a.png", "p2, in test", "0.987", "mass: positive / negative", "3 more are not shown", "and 4 more"):
        assert text in html
    assert html.count("<img ") == 4


def test_names_are_escaped(page):
    html = render_suspects(page)
    assert "<b>&lt;b&gt;.png</b>" in html
    assert "set &amp; co: images that may be one" in html


def test_it_is_one_file_that_loads_nothing(page):
    html = render_suspects(page)
    assert set(re.findall(r'(?:src|href)="([^"]{0,11})', html)) <= {"data:image/", "#alike", "#identical"}
    assert "<script" not in html
    assert "default-src 'none'" in html


def test_pictures_are_at_least_64_pixels_wide_and_carry_no_metadata(page):
    html = render_suspects(page)
    assert "width: 168px" in html
    assert b"tEXt" not in html.encode()


def test_where_nothing_is_suspected_that_is_said():
    html = render_suspects(SuspectPage("set", 5, 0.95, (), ()))
    assert html.count("None was found.") == 2


def test_equal_contents_give_equal_files(page, tmp_path):
    write_suspects(tmp_path / "1.html", page)
    write_suspects(tmp_path / "2.html", page)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()
