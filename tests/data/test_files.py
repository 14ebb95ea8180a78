"""Names, indices and digests of files."""

from __future__ import annotations

import pytest

from tailscope.core import DataError
from tailscope.data import files as files_module
from tailscope.data.files import FileContent, ImageFiles, index_by_name, walk_images


@pytest.fixture
def content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    return FileContent(ImageFiles(tmp_path, ("a.png", "b.png")))


def test_digests_depend_on_bytes_and_not_on_place(content, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "x.png").write_bytes(b"a")
    assert FileContent(ImageFiles(other, ("x.png",)))() == content()[:1]


def test_the_same_bytes_read_as_grey_are_other_content(content, tmp_path):
    grey = FileContent(ImageFiles(tmp_path, ("a.png", "b.png"), grey=True))
    assert not set(grey()) & set(content())


def test_unchanged_files_are_not_read_again(content, tmp_path, monkeypatch):
    memo = tmp_path / "memo"
    first = content.remembered(memo)
    monkeypatch.setattr(files_module.hashlib, "file_digest", None)
    assert content.remembered(memo) == first


def test_a_changed_file_is_read_again(content, tmp_path):
    memo = tmp_path / "memo"
    first = content.remembered(memo)
    (tmp_path / "a.png").write_bytes(b"changed")
    assert content.remembered(memo)[0] != first[0]
    assert content.remembered(memo)[1] == first[1]


def test_every_missing_file_is_named(content, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError) as caught:
        content()
    assert [problem.split()[0] for problem in caught.value.problems] == ["a.png", "b.png"]


def test_hidden_files_are_no_images(tmp_path):
    for name in ("b.png", "a.JPG", ".DS_Store", ".hidden.png", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in walk_images(tmp_path)] == ["a.JPG", "b.png"]


def test_linked_folders_are_walked(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/a.png").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").symlink_to(tmp_path / "disk")
    assert index_by_name(tmp_path / "data", tmp_path / "data") == {"a.png": "images/a.png"}
