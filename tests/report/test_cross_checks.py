import numpy as np
import pandas as pd
import pytest
from block_reading import lines, notes, texts, told

from tailscope.report.cross_checks import cross_check_blocks
from tailscope.report.page_order import PageOrder

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))
TITLE = "AUROC by other methods"


def row(name="mass", **changes):
    errors = {"bootstrap_se": 0.0103, "formula": "DeLong", "formula_se": 0.01, "se_ratio": 1.03}
    tests = {"permutation_p": 0.001, "p_adjusted": 0.02, "p_bh": 0.01, "percentile_lo": 0.02, "percentile_hi": 0.06}
    about = {"class": name, "arm": "focal", "positives": 60, "difference": 0.04, "verdict": "better", "reason": ""}
    return {**about, **errors, **tests, **changes}


def undecided(name="hernia", **changes):
    nothing = {"permutation_p": 0.3, "p_adjusted": 1.0, "p_bh": 0.6, "percentile_lo": -0.01, "verdict": "undecided"}
    return row(name, **{**nothing, "se_ratio": 0.995, **changes})


def said(*rows):
    return told(cross_check_blocks(pd.DataFrame(rows), ORDER)[:1])


@pytest.mark.parametrize(("ratio", "words"), [(1.03, "within 3 %"), (0.958, "within 5 %"), (1.0001, "within 1 %")])
def test_the_largest_disagreement_of_the_standard_errors_is_rounded_up(ratio, words):
    text = said(row(se_ratio=ratio), undecided())
    what = "the standard errors of the AUROC difference by patient bootstrap and by DeLong's formula agree"
    assert f"In 2 cells {what} {words}." in text


def test_a_large_disagreement_is_named_with_its_patients():
    text = said(row(), undecided(se_ratio=1.314, positives=12.0))
    assert "In 1 of 2 cells" in text
    assert "the largest disagreement is × 1.31 for hernia under focal (12 positive patients)" in text


def test_both_formulas_are_named_where_both_were_used():
    assert "by DeLong's or Obuchowski's formula" in said(row(), undecided(formula="Obuchowski"))


def test_no_verdict_is_reversed_where_all_checks_bear_it_out():
    text = said(row(), row("hernia", verdict="differs, within the margin"))
    found = "the permutation test reverses none and the percentile interval none."
    assert f"Of 2 verdicts that an arm differs in AUROC, {found}" in text


@pytest.mark.parametrize("p", [0.05, 0.2, np.nan])
def test_a_verdict_that_the_permutation_test_does_not_bear_out_is_named(p):
    text = said(row(permutation_p=p), undecided())
    assert "Of the only verdict that" in text
    assert "the permutation test reverses 1 (mass under focal) and the percentile interval none" in text


@pytest.mark.parametrize(("lo", "hi"), [(-0.001, 0.06), (0.0, 0.06), (np.nan, np.nan)])
def test_a_verdict_whose_percentile_interval_holds_zero_is_named(lo, hi):
    assert "percentile interval 1 (mass under focal)" in said(row(percentile_lo=lo, percentile_hi=hi))


def test_a_worse_arm_has_its_whole_interval_below_zero():
    assert "percentile interval none" in said(row(verdict="worse", percentile_lo=-0.06, percentile_hi=-0.02))


def test_a_small_permutation_p_beside_an_undecided_verdict_is_no_contradiction():
    text = said(undecided(permutation_p=0.001))
    assert "No verdict on AUROC says that an arm differs, so there is none to reverse." in text


def test_the_milder_adjustment_is_told_beside_holms():
    text = said(row(), undecided(p_bh=0.04))
    assert "Benjamini–Hochberg instead of Holm, 2 differences would have p below 0.05; by Holm 1 has." in text
    assert "Benjamini" not in said(row(p_adjusted=np.nan, p_bh=np.nan))


def test_the_table_is_folded_and_shows_both_errors_and_all_tests():
    blocks = cross_check_blocks(pd.DataFrame([undecided(), row()]), ORDER)
    assert not blocks[1].is_open
    first, second = (texts(line) for line in lines(blocks, TITLE))
    assert (first["class"], second["class"]) == ("mass", "hernia")
    assert first["difference"] == "+0.040 [+0.020, +0.060]"
    assert (first["SE, bootstrap"], first["SE, formula"], first["ratio"]) == ("0.0103", "0.0100", "× 1.03")
    assert (first["p, permutation"], first["p, Holm"], first["p, BH"]) == ("0.001", "0.020", "0.010")
    assert (first["verdict"], second["verdict"]) == ("better", "undecided")


def test_a_missing_number_is_a_dash_with_its_reason_and_takes_no_part_in_the_sentence():
    few = undecided(formula_se=np.nan, se_ratio=np.nan, reason="too few patients")
    blocks = cross_check_blocks(pd.DataFrame([row(), few]), ORDER)
    assert texts(lines(blocks, TITLE)[1])["SE, formula"] == "–"
    assert notes(blocks, TITLE) == ["too few patients"]
    assert told(blocks).startswith("In 1 cell ")
    assert told(cross_check_blocks(pd.DataFrame([few]), ORDER)).startswith("In no cell could the standard error")


def test_without_checks_the_page_says_so():
    for frame in (None, pd.DataFrame([row()]).iloc[:0]):
        (block,) = cross_check_blocks(frame, ORDER)
        assert block.text == "Not shown: no difference in AUROC was checked by another method."
