"""Killed at any moment and started again, an experiment ends with the same numbers."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from experiment_content import small_content


def start(configuration: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tailscope", "run", str(configuration), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(configuration: Path, out: Path) -> float:
    begin = time.perf_counter()
    process = start(configuration, out)
    output = process.communicate()[0].decode()
    assert process.returncode == 0, output
    return time.perf_counter() - begin


@pytest.mark.slow
def test_five_kills_at_random_moments_change_no_finding(tmp_path):
    configuration = tmp_path / "small.yaml"
    content = small_content(treatments=["control", "weighted_sampling", "uncertainty"])
    content["training"]["epochs"] = 3
    configuration.write_text(yaml.safe_dump(content))
    whole = finish(configuration, tmp_path / "whole")
    moments = random.Random(time.time_ns())  # other moments each time; no finding may depend on them
    killed = 0
    while killed < 5:
        # After the imports, which write nothing; progress adds up, so later kills meet later stages.
        process = start(configuration, tmp_path / "killed")
        try:
            process.wait(timeout=moments.uniform(0.3, 0.8) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break  # so far along that nothing is left to kill
    assert killed >= 1
    finish(configuration, tmp_path / "killed")
    for name in ("findings", "hidden_differences", "estimates", "shortcuts", "soundness"):
        one, other = (pd.read_parquet(tmp_path / place / f"{name}.parquet") for place in ("whole", "killed"))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not list((tmp_path / "killed").rglob("*scratch*"))
