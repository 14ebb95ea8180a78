"""The reference of the treatments is complete, and every link between pages leads somewhere."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tailscope.core import ClassCounts
from tailscope.experiment import validate_config
from tailscope.treatments import TREATMENTS, batch_audit

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "treatments.md"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
# Other tests and the pages register treatments of their own; the page is about those of the room.
NAMES = [name for name in TREATMENTS.names() if TREATMENTS.find(name).__module__.startswith("tailscope.treatments.")]
REQUIRED = {"group_balanced_sampling": {"column": "view"}, "warm_up": {"treatment": "control"}}
COLUMNS = ("name", "what it does", "settings and defaults", "limit case", "source", "batch", "needs")


@cache
def rows() -> dict[str, dict[str, str]]:
    """The row of each treatment, by column."""
    found: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        name = re.fullmatch(r"`(\w+)`", cells[0])
        if name and len(cells) == len(COLUMNS):
            assert name[1] not in found, f"{name[1]} has two rows"
            found[name[1]] = dict(zip(COLUMNS, cells, strict=True))
    return found


def as_written(name: str, field: dataclasses.Field[Any]) -> str:
    if field.name in REQUIRED.get(name, {}):
        return "required"
    return {"None": "none", "False": "false"}.get(str(field.default), str(field.default))


def plan_of(name: str) -> tuple[Any, torch.Tensor]:
    labels = (np.random.default_rng(0).random((256, 3)) < [0.5, 0.3, 0.2]).astype(np.float64)
    counts = ClassCounts.from_targets(("mass", "nodule", "hernia"), labels)
    return TREATMENTS.build(name, **REQUIRED.get(name, {}))(counts), torch.tensor(labels)


def test_the_page_has_a_row_for_every_treatment_and_no_other():
    assert sorted(rows()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_states_every_setting_with_its_default_and_no_other(name):
    fields = dataclasses.fields(TREATMENTS.find(name))
    stated = dict(re.findall(r"`(\w+)`: ([^;]+)", rows()[name]["settings and defaults"]))
    assert stated == {field.name: as_written(name, field) for field in fields}


@pytest.mark.parametrize("name", NAMES)
def test_a_row_states_the_limit_case_that_the_audit_checks(name):
    assert rows()[name]["limit case"] == TREATMENTS.find(name).limit.says


@pytest.mark.parametrize("name", NAMES)
def test_a_row_states_what_the_plan_requires(name):
    plan, _ = plan_of(name)
    needed = {requirement for _, stage in plan.stages for requirement in stage.requirements}
    assert set(re.findall(r"`(\w+_\w+_\w+|loss_parameters)`", rows()[name]["needs"])) == needed


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_whether_the_loss_is_a_function_of_the_batch(name):
    plan, labels = plan_of(name)
    logits = torch.tensor(np.random.default_rng(1).normal(size=labels.shape))
    found = [batch_audit(stage.loss, logits, labels, 32)["depends"] for _, stage in plan.stages]
    depends = any(any(each.values()) for each in found)
    assert rows()[name]["batch"].split(" ")[0] == ("yes" if depends else "no")


def test_the_page_states_what_a_search_tries():
    section = PAGE.read_text().split("## What `--tune` searches")[1]
    stated = {
        name: (setting, tuple(map(float, values.split(", "))))
        for name, setting, values in re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([^|]+) \|$", section, re.MULTILINE)
    }
    mains = {name: getattr(TREATMENTS.find(name), "main", None) for name in NAMES}
    assert stated == {name: (main.name, main.values) for name, main in mains.items() if main is not None}


def treatment_blocks() -> list[tuple[str, str]]:
    """YAML blocks of the pages that state treatments, with a name for each."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
        stating = [block for block in blocks if "\ntreatments:" in f"\n{block}"]
        found += [(f"{page.name}-{number}", block) for number, block in enumerate(stating)]
    return found


@pytest.mark.parametrize("block", [pytest.param(block, id=name) for name, block in treatment_blocks()])
def test_treatments_as_the_pages_state_them_can_be_built(block):
    base = {"data": {"source": "phantom"}, "model": {"name": "test_resnet"}}
    config = validate_config({**base, **yaml.safe_load(block)})
    counts = ClassCounts(("pneumothorax", "nodule"), (50, 12), (450, 488))
    for arm in config.arms:
        assert config.treatment(arm).build()(counts).stages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)}


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
