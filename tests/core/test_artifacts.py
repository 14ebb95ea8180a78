from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tailscope.core import (
    LockedError,
    atomic_write,
    canonical_json,
    digest,
    folder_lock,
    read_json,
    write_array,
    write_json,
    write_table,
    write_text,
)


def test_equal_values_have_equal_text():
    assert canonical_json({"b": np.float64(1), "a": (1, np.int64(2))}) == canonical_json({"a": [1, 2], "b": 1.0})


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        canonical_json(object())


def test_arrays_are_hashed_by_type_shape_and_content():
    base = np.arange(6)
    assert digest(base) == digest(base.copy())
    assert len({digest(base), digest(base.reshape(2, 3)), digest(base.astype(float)), digest(base + 1)}) == 4


def test_strings_in_object_arrays_are_hashed_by_content():
    assert digest(np.array(["a", "b"], dtype=object)) == digest(np.array(["a", "b"]))


def test_parts_do_not_run_together():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")


def test_a_path_is_hashed_by_its_content(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_tables_and_arrays_come_back(tmp_path):
    write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.arange(2), "p": Path("a/b")})
    assert read_json(tmp_path / "a.json") == {"n": 3, "x": [0, 1], "p": "a/b"}
    write_table(tmp_path / "t.parquet", pd.DataFrame({"a": [1, 2]}))
    assert pd.read_parquet(tmp_path / "t.parquet")["a"].tolist() == [1, 2]
    write_array(tmp_path / "m.npy", np.eye(2))
    assert (np.load(tmp_path / "m.npy") == np.eye(2)).all()


_HOLD = """
import sys
from pathlib import Path
from tailscope.core import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_is_held_by_one_process_and_freed_at_its_end(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"in use by process {other.pid}"), folder_lock(tmp_path):
            pass
        other.kill()
    with folder_lock(tmp_path):
        pass
