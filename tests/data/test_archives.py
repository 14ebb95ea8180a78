"""Files inside archives."""

from __future__ import annotations

import gzip
import io
import pickle
import shutil
import subprocess
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tailscope.core import DataError, InputError
from tailscope.data import archives as archives_module
from tailscope.data.archives import open_archive
from tailscope.data.files import walk_images
from tailscope.data.places import DataPath, data_folder, image_folder
from tailscope.data.text_tables import columns_of, read_text_table

FILES = {
    "labels.csv": b"image,mass\na.png,1\n",
    "images/a.png": np.random.default_rng(0).bytes(70_000),
    "images/more/b.PNG": b"b" * 50_000,
    "images/c.txt": b"",
}
KINDS = ("zip", "tar", "tar.gz", "tgz")
EACH = pytest.mark.parametrize("kind", KINDS)


def pack(path, files, *, method=zipfile.ZIP_DEFLATED, prefix=""):
    """Write an archive of the kind that its name says."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(prefix + name, data)
    else:
        with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(prefix + name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@EACH
def test_every_file_is_read_as_it_was_packed(tmp_path, kind):
    root = DataPath(pack(tmp_path / f"set.{kind}", FILES))
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in root.members()} == FILES
    assert (root / "labels.csv").read_text() == FILES["labels.csv"].decode()
    assert {name: (root / name).stat().st_size for name in FILES} == {name: len(data) for name, data in FILES.items()}


@EACH
@pytest.mark.parametrize("prefix", ["./", "whole set/"])
def test_prefixes_of_names_are_tidied(tmp_path, kind, prefix):
    root = data_folder(pack(tmp_path / f"set.{kind}", FILES, prefix=prefix))
    assert (root / "images/a.png").read_bytes() == FILES["images/a.png"]
    assert root.name == (f"set.{kind}" if prefix == "./" else "whole set")


@EACH
def test_an_archive_is_walked_as_its_folder_would_be(tmp_path, kind):
    folder = tmp_path / "folder"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    root = DataPath(pack(tmp_path / f"set.{kind}", FILES))

    def names(paths, base):
        return sorted(path.relative_to(base).as_posix() for path in paths)

    for pattern in ("*", "*.csv", "images/*", "*/*.png", "[li]*", "images/more/?.PNG", "none/*", "labels.csv/*"):
        assert names(root.glob(pattern), root) == names(folder.glob(pattern), folder), pattern
    for pattern in ("*.png", "*", "more/*", "a.*"):
        assert names(root.rglob(pattern), root) == names(folder.rglob(pattern), folder), pattern
    for name in ("", "images", "images/more", "labels.csv", "none", "images/none"):
        here, there = root / name, folder / name
        assert here.is_dir() == there.is_dir()
        assert here.exists() == there.exists()
        assert (name == "" or here.is_file()) == (name == "" or there.is_file())
    assert names((root / "images").iterdir(), root) == names((folder / "images").iterdir(), folder)
    assert names(walk_images(root), root) == names(walk_images(folder), folder)


@EACH
def test_a_missing_file_of_an_archive_is_missing(tmp_path, kind):
    path = DataPath(pack(tmp_path / f"set.{kind}", FILES)) / "images/none.png"
    with pytest.raises(FileNotFoundError):
        path.open("rb")
    with pytest.raises(FileNotFoundError):
        path.stat()
    with pytest.raises(OSError, match="only read"):
        path.write_bytes(b"")


@EACH
def test_a_table_is_read_from_an_archive_packed_or_not(tmp_path, kind):
    files = {"a.csv": b"x,y\n1,2\n", "b.csv.gz": gzip.compress(b"x,y\n1,2\n")}
    root = DataPath(pack(tmp_path / f"set.{kind}", files))
    for name in files:
        assert read_text_table(root / name).rows == (("1", "2"),)
        assert columns_of(root / name) == ("x", "y")


@EACH
def test_threads_and_other_processes_read_the_same(tmp_path, kind):
    root = DataPath(pack(tmp_path / f"set.{kind}", FILES))
    paths = list(root.members()) * 20
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(DataPath.read_bytes, paths))
    assert found == [FILES[path.relative_to(root).as_posix()] for path in paths]
    assert pickle.loads(pickle.dumps(paths[0])).read_bytes() == found[0]


@EACH
def test_nothing_is_written_beside_an_archive(tmp_path, kind):
    root = DataPath(pack(tmp_path / f"set.{kind}", FILES))
    for path in root.members():
        path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [f"set.{kind}"]


@EACH
def test_an_archive_is_listed_once_as_long_as_it_does_not_change(tmp_path, kind, monkeypatch):
    root = DataPath(pack(tmp_path / f"set.{kind}", FILES))
    assert len(list(root.members())) == 4
    listed = []
    real = archives_module._list
    monkeypatch.setattr(archives_module, "_list", lambda path: listed.append(path) or real(path))
    assert (root / "labels.csv").is_file()
    assert not listed
    pack(tmp_path / f"set.{kind}", {"other.csv": b"12345"})
    assert not (root / "labels.csv").is_file()
    assert (root / "other.csv").is_file()
    assert len(listed) == 1


@EACH
@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "images/../../a.png", "C:/a.png"])
def test_names_that_leave_the_archive_are_refused(tmp_path, kind, name):
    path = pack(tmp_path / f"set.{kind}", {**FILES, name: b"x"})
    with pytest.raises(DataError, match=r"holds 1 names that leave it: .*a.png.*expected relative names"):
        open_archive(path)


@EACH
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_an_archive_that_ends_early_is_refused(tmp_path, kind, kept):
    path = pack(tmp_path / f"set.{kind}", FILES)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=rf"archive .*set\.{kind} cannot be listed .*download it again"):
        open_archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_broken_file_in_a_zip_is_refused_by_name(tmp_path, method):
    path = pack(tmp_path / "set.zip", FILES, method=method)
    data = bytearray(path.read_bytes())
    data[20_000] ^= 0xFF
    path.write_bytes(data)
    root = DataPath(path)
    assert (root / "labels.csv").read_bytes() == FILES["labels.csv"]
    with pytest.raises(DataError, match=r"set\.zip/images/a\.png cannot be read .*archive is damaged"):
        (root / "images/a.png").read_bytes()


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_broken_header_in_a_tar_is_not_taken_for_its_end(tmp_path, kind):
    plain = pack(tmp_path / "plain.tar", FILES).read_bytes()
    second = plain.index(b"images/a.png")
    broken = plain[: second + 150] + b"garbage" + plain[second + 157 :]
    (tmp_path / f"set.{kind}").write_bytes(gzip.compress(broken) if kind == "tar.gz" else broken)
    with pytest.raises(DataError, match="a header in the middle is broken"):
        open_archive(tmp_path / f"set.{kind}")


def test_a_damaged_gzip_is_found_by_its_checksum(tmp_path):
    path = pack(tmp_path / "set.tar.gz", FILES)
    data = path.read_bytes()
    path.write_bytes(data[:-8] + b"\1\2\3\4" + data[-4:])
    with pytest.raises(DataError, match=r"cannot be listed .*incorrect data check"):
        open_archive(path)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = pack(tmp_path / "set.zip", FILES)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1  # the flag, in the last entry of the directory
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"is encrypted: 'images/c.txt'; expected files without a password: unpack it"):
        open_archive(path)


def test_packing_that_is_not_read_is_refused(tmp_path):
    path = pack(tmp_path / "set.zip", FILES, method=zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="packed by method 14; expected stored or deflated"):
        open_archive(path)


@pytest.mark.parametrize("name", ["set.7z", "set.tar.xz", "set.rar"])
def test_other_archives_are_refused_with_those_that_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"is no archive that is read; expected \.zip, \.tar, \.tar\.gz, \.tgz: unpack it"
    ):
        data_folder(tmp_path / name)


def test_a_file_that_holds_more_than_its_zip_says_is_refused(tmp_path):
    path = pack(tmp_path / "set.zip", {"a.png": b"\0" * 10_000})
    data = path.read_bytes()
    path.write_bytes(data.replace((10_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(DataError, match="do not fit the checksum"):
        (DataPath(path) / "a.png").read_bytes()


def test_a_file_too_large_for_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives_module, "_LARGEST", 60_000)
    root = DataPath(pack(tmp_path / "set.zip", FILES))
    with pytest.raises(DataError, match=r"a\.png has .* GiB; expected at most 1 GiB for a file inside an archive"):
        (root / "images/a.png").read_bytes()


def test_hard_links_of_a_tar_are_their_targets_and_symbolic_ones_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
        for name, kind, target in (("b.png", tarfile.LNKTYPE, "a.png"), ("c.png", tarfile.SYMTYPE, "/etc/passwd")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    root = DataPath(tmp_path / "set.tar")
    assert {path.name: path.read_bytes() for path in root.members()} == {"a.png": b"abc", "b.png": b"abc"}


def test_archives_of_the_tools_that_people_use_are_read(tmp_path):
    folder = tmp_path / "set"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for kind, flags in (("tar", "-cf"), ("tar.gz", "-czf")):
        subprocess.run(["tar", flags, f"set.{kind}", "set"], cwd=tmp_path, check=True)
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set")
    for kind in ("tar", "tar.gz", "zip"):
        root = data_folder(tmp_path / f"set.{kind}")
        assert {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        } == FILES


def test_what_macos_adds_is_no_file(tmp_path):
    path = pack(tmp_path / "set.zip", {"set/a.png": b"a", "__MACOSX/set/._a.png": b"x", "set/._b.png": b"x"})
    root = data_folder(path)
    assert [one.name for one in walk_images(root)] == ["a.png"]


@EACH
def test_images_in_archives_below_a_folder_are_found(tmp_path, kind):
    pack(tmp_path / f"part_1.{kind}", {"images/a.png": b"a"})
    pack(tmp_path / f"part_2.{kind}", {"images/b.png": b"b"})
    (tmp_path / "images").mkdir()
    (tmp_path / "images/c.png").write_bytes(b"c")
    found = [path.relative_to(tmp_path).as_posix() for path in walk_images(tmp_path)]
    assert found == ["images/c.png", f"part_1.{kind}/images/a.png", f"part_2.{kind}/images/b.png"]


@EACH
def test_an_archive_that_was_unpacked_beside_itself_is_not_read(tmp_path, kind):
    pack(tmp_path / f"part_1.{kind}", {"images/a.png": b"a", "images/b.png": b"bb"})
    (tmp_path / "unpacked").mkdir()
    for name, data in (("a.png", b"a"), ("b.png", b"bb")):
        (tmp_path / "unpacked" / name).write_bytes(data)
    assert [path.name for path in walk_images(tmp_path)] == ["a.png", "b.png"]
    (tmp_path / "unpacked/a.png").write_bytes(b"another image of that name")
    assert len(list(walk_images(tmp_path))) == 4


@EACH
def test_the_folder_of_images_may_be_an_archive_beside_the_table(tmp_path, kind):
    pack(tmp_path / f"images.{kind}", {"images/a.png": b"a"})
    assert (image_folder(tmp_path, "images") / "a.png").read_bytes() == b"a"
    assert (image_folder(tmp_path, f"images.{kind}") / "a.png").read_bytes() == b"a"
    (tmp_path / "images").mkdir()
    assert image_folder(tmp_path, "images") == tmp_path / "images"
    with pytest.raises(DataError, match=r"folder .*scans does not exist; expected the images there: set `images`"):
        image_folder(tmp_path, "scans")
