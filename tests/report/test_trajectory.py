from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from tailscope.report.blocks import Figure, Paragraph, Table
from tailscope.report.drawing import look
from tailscope.report.page_order import PageOrder
from tailscope.report.trajectory import TRAJECTORY_COLUMNS, trajectory_blocks, trajectory_chart

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))


def trajectory(classes=("hernia", "mass"), seeds=(0, 1), epochs=(1, 2, 5), metrics=("auroc", "best_iou_matched")):
    return pd.DataFrame(
        [
            {"run": f"{arm}-s{seed}", "arm": arm, "seed": seed, "epoch": epoch, "class": name, "metric": metric,
             "value": 0.5 + 0.01 * epoch + 0.001 * seed, "reason": ""}
            for arm in ("focal", "control") for seed in seeds for epoch in epochs for name in classes
            for metric in metrics
        ]
    )  # fmt: skip


def first(**changes):
    row = {"arm": "control", "class": "mass", "seeds": 3, "found": 2, "first": 2.0, "latest": 5.0, "epoch": 5.0,
           "reason": ""}  # fmt: skip
    return pd.DataFrame([row | changes])


def small():
    return trajectory(classes=("mass",), seeds=(0,), epochs=(1, 2), metrics=("auroc",))


def chart(table, metrics=("auroc",)):
    return trajectory_chart(ORDER.rows(table, TRAJECTORY_COLUMNS), metrics, ORDER)


def lines_in(drawn: str, colour: str) -> list[float]:
    """Widths of the lines of a colour, thin ones first; the legend's are not among them."""
    found = re.findall(rf'<path d="M[^"]*L[^"]*" stroke="{colour}" stroke-width="([0-9.]+)"', drawn)
    return sorted(map(float, found))


def dots_in(drawn: str, colour: str) -> int:
    return len(re.findall(rf'd="M2,0A[^"]*" fill="{colour}"', drawn))


def cells(table, **wanted):
    (row,) = table.rows
    return dict(zip(table.columns, row, strict=True))


def test_the_figure_shows_score_and_auroc_and_the_table_the_first_epochs():
    figure, table = trajectory_blocks(trajectory(), first(), ORDER)
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert "best unit, cross-fitted IoU above its null" in figure.picture
    assert ">AUROC<" in figure.picture


def test_classes_run_from_head_to_tail():
    drawn = chart(trajectory())
    assert 0 < drawn.index(">mass<") < drawn.index(">hernia<")


def test_every_seed_has_a_thin_line_and_every_arm_a_thick_one():
    drawn = chart(trajectory(classes=("mass",), seeds=(0, 1, 2)))
    for number in range(2):
        assert lines_in(drawn, look(number)[0]) == [0.6, 0.6, 0.6, 1.8]


def test_the_mean_stands_only_where_all_seeds_have_kept_the_epoch():
    table = trajectory(classes=("mass",), epochs=(1, 2))
    alone = table[(table["run"] == "focal-s0") & (table["epoch"] == 2)].assign(epoch=7)
    drawn = chart(pd.concat([table, alone]))
    assert [dots_in(drawn, look(number)[0]) for number in range(2)] == [2, 2]
    third = trajectory(classes=("mass",), epochs=(7,))
    assert dots_in(chart(pd.concat([table, third])), look(1)[0]) == 3


def test_what_is_not_finite_is_not_drawn():
    table = trajectory(classes=("mass",))
    missing = trajectory(classes=("hernia",)).assign(value=math.nan, reason="no annotated test image")
    assert chart(pd.concat([table, missing])) == chart(table)


def test_a_metric_without_any_value_is_left_out():
    table = trajectory()
    table.loc[table["metric"] == "best_iou_matched", "value"] = np.nan
    figure = trajectory_blocks(table, first(), ORDER)[0]
    assert "best unit" not in figure.picture


def test_one_kept_epoch_can_be_drawn():
    assert ">mass<" in chart(trajectory(epochs=(1,)))


def test_a_name_is_escaped():
    drawn = trajectory_chart(
        PageOrder(("<i>",), ("control",)).rows(trajectory(classes=("<i>",)), TRAJECTORY_COLUMNS), ("auroc",), ORDER
    )
    assert "<i>" not in drawn
    assert "&lt;i&gt;" in drawn


def test_the_first_epoch_has_its_range_and_its_seeds():
    line = cells(trajectory_blocks(small(), first(), ORDER)[1])
    assert (line["first epoch"].text, line["first epoch"].detail) == ("5", "2 to 5")
    assert line["seeds with a detector"].text == "2 of 3"


def test_a_class_without_a_lasting_detector_is_not_given_an_epoch():
    never = first(found=1, first=2.0, latest=2.0, epoch=math.nan)
    table = trajectory_blocks(small(), never, ORDER)[1]
    line = cells(table)
    assert line["first epoch"].text == "–"
    assert line["seeds with a detector"].text == "1 of 3"
    assert table.notes == (("a", "no detector at the last kept epoch in half of the seeds or more"),)


def test_a_class_that_cannot_be_tested_says_why_and_counts_no_seed():
    unknown = first(found=0, first=math.nan, latest=math.nan, epoch=math.nan, reason="no annotated test image")
    table = trajectory_blocks(small(), unknown, ORDER)[1]
    assert [cell.text for cell in table.rows[0][2:]] == ["–", "–"]
    assert table.notes == (("a", "no annotated test image"),)


@pytest.mark.parametrize("table", [None, trajectory().head(0)], ids=["none", "empty"])
def test_a_training_that_kept_no_epoch_says_how_to_keep_some(table):
    (block,) = trajectory_blocks(table, None, ORDER)
    assert isinstance(block, Paragraph)
    assert "`training.keep_checkpoints`" in block.text


def test_an_untested_layer_leaves_the_figure():
    figure, told = trajectory_blocks(small(), None, ORDER)
    assert isinstance(figure, Figure)
    assert told.is_empty_notice
