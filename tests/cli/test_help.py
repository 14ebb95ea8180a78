from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tailscope.cli import app

_HEAVY = ("torch", "torchvision", "timm", "numba", "pandas", "numpy", "duckdb", "lightning_fabric", "altair")

_COMMANDS = ("demo", "init", "run", "report", "sql", "doctor", "schema", "data")


def _loaded_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after a statement."""
    program = (
        f"import json, sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_tailscope_loads_no_heavy_package():
    loaded = _loaded_after("import tailscope")
    assert "tailscope" in loaded
    assert loaded.isdisjoint(_HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["data", "inspect", "--help"]])
def test_help_loads_no_heavy_package(arguments):
    loaded = _loaded_after(f"from tailscope.cli import app; app({arguments!r})")
    assert "tailscope.cli.app" in loaded
    assert loaded.isdisjoint(_HEAVY)


def test_help_names_every_command_and_what_it_does():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "what an imbalance treatment really taught" in result.output
    for name in _COMMANDS:
        assert f" {name} " in result.output


def test_no_command_shows_the_help():
    result = CliRunner().invoke(app, [])
    assert "Usage: tailscope" in result.output
    assert result.exit_code == 2


def test_a_misspelt_command_proposes_the_right_one():
    result = CliRunner().invoke(app, ["rnu"])
    assert result.exit_code == 2
    assert "No such command 'rnu'" in result.output
    assert "Did you mean 'run'?" in result.output


def test_an_unknown_option_is_named():
    result = CliRunner().invoke(app, ["run", "x.yaml", "--outt", "y"])
    assert result.exit_code == 2
    assert "No such option: --outt" in result.output
