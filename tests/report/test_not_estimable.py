import numpy as np
import page_content
from block_reading import lines, told
from methods_content import content

from tailscope.report.not_estimable import not_estimable, not_estimable_block


def test_arms_with_the_same_reason_are_one_row_and_others_their_own():
    table = page_content.estimates()
    chosen = (table["class"] == "hernia") & (table["metric"] == "auroc")
    table.loc[chosen, ["value", "reason"]] = [np.nan, "no positive test image"]
    table.loc[chosen & (table["arm"] == "control"), "reason"] = "a run has no value"
    found = [cell for cell in not_estimable(content(estimates=table)) if cell.metric == "auroc"]
    assert [(cell.reason, cell.values) for cell in found] == [
        ("a run has no value", 1),
        ("no positive test image", 2),
    ]


def test_differences_are_counted_beside_values():
    findings = page_content.findings()
    findings.loc[findings["class"] == "mass", "difference"] = np.nan
    known = page_content.estimates().dropna(subset=["value"])
    found = not_estimable(content(findings=findings, estimates=known))
    assert {cell.class_name for cell in found} == {"mass"}
    assert [(cell.lens, cell.values, cell.differences) for cell in found] == [
        ("performance", 0, 2), ("performance", 0, 2), ("alignment", 0, 2), ("dissection", 0, 2)
    ]  # fmt: skip
    assert {cell.reason for cell in found} == {"no reason is on record"}


def test_the_table_says_how_many_of_how_many():
    block = not_estimable_block(content())
    row = lines([block], "What was not estimable")[0]
    assert row["class"].text == "hernia"
    assert row["reason"].text == "no positive test image"
    assert "3 of 63 values" in block.caption


def test_where_all_is_there_a_sentence_says_so():
    known = page_content.estimates().dropna(subset=["value"])
    block = not_estimable_block(content(estimates=known))
    assert told([block]) == f"Every one of {len(known)} values was estimable."


def test_without_estimates_nothing_is_claimed():
    assert "nothing is known" in not_estimable_block(page_content.EMPTY).text
