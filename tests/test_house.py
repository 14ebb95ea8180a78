"""The house stands as the design draws it."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tailscope"
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
MOST_LINES = 400
KERNELS_MOST_LINES = 500  # compiled functions are one concept, and mypy's exemption goes by the module's name


def test_every_room_stands_in_the_layers_contract_and_no_other():
    layers = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    named = sorted(room.strip() for layer in layers for room in layer.split("|"))
    assert named == ROOMS


def test_the_contracts_hold():
    from importlinter.application.use_cases import SUCCESS, lint_imports
    from importlinter.configuration import configure

    configure()
    assert (
        lint_imports(config_filename=str(ROOT / "pyproject.toml"), is_debug_mode=False, show_timings=False) == SUCCESS
    )


def test_no_contract_has_an_exception():
    assert not [contract for contract in CONTRACTS if "ignore_imports" in contract]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_states_its_question_and_what_it_may_import(room):
    text = importlib.import_module(f"tailscope.{room}").__doc__
    assert text.split("\n", 1)[0].endswith("?") or room == "cli"
    for words in ("Comes in", "Goes out", "May import", "may import"):
        assert words.lower() in text.lower()


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_exactly_those_that_the_room_exports(room):
    module = importlib.import_module(f"tailscope.{room}")
    tree = ast.parse((SOURCE / room / "__init__.py").read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    lazy = set(getattr(module, "_LAZY", ()))
    assert set(module.__all__) == {name for name in imported | defined | lazy if not name.startswith("_")}


def test_a_room_is_one_folder_deep():
    assert not list(SOURCE.glob("*/*/*.py"))


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_stay_small_and_well_named(path):
    most = KERNELS_MOST_LINES if path.name == "_kernels.py" else MOST_LINES
    assert len(path.read_text().splitlines()) <= most
    assert not re.search(r"utils|helpers|common|misc|manager", path.stem)


def test_the_changelog_names_the_version():
    version = PROJECT["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_no_path_of_a_machine_and_no_package_host_is_in_the_repository():
    # Built from parts, so that this file does not name what it forbids.
    forbidden = ["/" + "home/", "/" + "work/", "pypi" + ".org", "files.python" + "hosted"]
    places = [SOURCE, ROOT / "tests", ROOT / "docs", ROOT / "examples", ROOT / "benchmarks", ROOT / ".ci"]
    files = [
        path for place in places for path in place.rglob("*") if path.suffix in {".py", ".md", ".yaml", ".toml", ""}
    ]
    files += [ROOT / name for name in ("README.md", "Makefile", "pyproject.toml", "CHANGELOG.md")]
    found = [
        (path.name, word)
        for path in files
        if path.is_file()
        for word in forbidden
        if word in path.read_text(errors="ignore")
    ]
    assert found == []
