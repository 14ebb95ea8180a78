import re

import numpy as np
import pandas as pd
import pytest
from page_content import ARMS, build, findings, hidden
from reading import section, words
from undrawn import undrawn

from tailscope.report import ReportContent
from tailscope.report.findings import MOST_SEEN, claims_of, false_alarm_claim, headline, setting

LENSES = {"auroc": "performance", "average_precision": "performance", "mass_inside": "alignment"}


NONE = "Hidden differences: none is established, which does not show that there is none."


def finding(metric, name, verdict, *, arm="focal", difference=0.03, positives=412, **more):
    row = {
        "lens": LENSES[metric], "metric": metric, "class": name, "group": "tail", "arm": arm, "verdict": verdict,
        "primary": True, "difference": difference, "lo": difference - 0.02, "hi": difference + 0.02, "p": 0.001,
        "p_adjusted": 0.004, "mde": 0.05, "positives": positives, "seed_share": 0.2, "reason": "",
    }  # fmt: skip
    return {**row, **more}


def cell(kind, name="mass", **more):
    row = {
        "lens": "alignment", "metric": "mass_inside", "class": name, "arm": "focal", "kind": kind, "difference": 0.13,
        "lo": 0.09, "hi": 0.17, "p": 1e-6, "p_adjusted": 1e-5, "auroc_difference": 0.004, "ap_difference": 0.01,
        "positives_needed": np.nan, "reason": "",
    }  # fmt: skip
    return {**row, **more}


def content(found=(), listed=(), *, arms=("control", "focal"), seeds=(0, 1, 2), **more):
    tables = {"findings": pd.DataFrame(list(found)), "hidden": pd.DataFrame(list(listed))}
    return ReportContent(name="n", created="", version="", arms=arms, seeds=seeds, **tables, **more)


def told(*given, **named):
    return [each.text for each in headline(content(*given, **named))]


def starting(sentences, start):
    return [text for text in sentences if text.startswith(start)]


BEHIND = (
    finding("auroc", "mass", "equivalent", difference=0.004),
    finding("average_precision", "mass", "equivalent", difference=0.01),
    finding("mass_inside", "mass", "better", difference=0.13, positives=180),
)


def test_a_hidden_difference_is_told_first_with_all_its_numbers():
    assert told(BEHIND, [cell("hidden difference")])[0] == (
        "Hidden difference: focal on mass: AUROC +0.004 [−0.016, +0.024] and AP +0.010 [−0.010, +0.030] are equivalent "
        "to control's, yet its saliency lies more on what the expert drew: mass inside +0.130 "
        "[+0.090, +0.170] (Holm p < 0.001; 412 positive patients; 180 of them annotated; 3 seeds)."
    )


def test_a_real_but_small_difference_in_auroc_is_not_called_equivalent():
    found = [{**BEHIND[0], "verdict": "differs, within the margin"}, *BEHIND[1:]]
    first = told(found, [cell("hidden difference")])[0]
    assert "lie within the margin, yet" in first
    assert "equivalent" not in first


def test_a_hidden_difference_is_not_told_again_as_a_lens_difference():
    (lenses,) = starting(told(BEHIND, [cell("hidden difference")]), "Lenses")
    assert "no difference from control in a lens beyond the hidden ones is established" in lenses
    assert "1 difference from control: focal on mass" in starting(told(BEHIND), "Lenses")[0]


def test_a_candidate_is_never_called_established():
    sentences = told(BEHIND, [cell("candidate", reason="not after Holm's adjustment")])
    assert sentences[0] == NONE
    assert sentences[1].startswith("Candidates: 1 candidate for a hidden difference, not established: focal on mass")
    folded = claims_of(content(BEHIND, [cell("candidate", reason="not after Holm's adjustment")]))[1]
    assert "Candidate, not established: focal on mass" in folded.items[0]
    assert "(unadjusted p < 0.001; not after Holm's adjustment; 412 positive patients" in folded.items[0]


def test_what_an_unsound_method_saw_is_not_counted_as_found():
    sentences = told(BEHIND, [cell("not counted")])
    assert sentences[0] == NONE
    assert sentences[1] == (
        "Not counted: 1 further difference is not counted, because the attribution method failed a check."
    )
    assert "difference from control: focal" not in starting(sentences, "Lenses")[0]


def test_differences_in_performance_are_told_with_direction_amount_and_p():
    (sentence,) = starting(told([finding("auroc", "hernia", "worse", difference=-0.031)]), "AUROC and AP")
    assert sentence == (
        "AUROC and AP: 1 difference from control: focal on hernia (AUROC −0.031 [−0.051, −0.011], worse, Holm p = "
        "0.004). Of 1 comparison by class, 1 is worse."
    )


def test_the_largest_differences_are_named_and_the_others_counted():
    sizes = (0.03, -0.08, 0.05, 0.04)
    found = [finding("auroc", f"c{size}", "better" if size > 0 else "worse", difference=size) for size in sizes]
    (sentence,) = starting(told(found), "AUROC and AP")
    assert re.findall(r"focal on (\S+)", sentence) == ["c-0.08", "c0.05", "c0.04"]
    assert "; and 1 more. Of 4 comparisons" in sentence


def test_undecided_is_told_with_its_reasons_and_what_would_decide_it():
    found = [
        finding("auroc", "mass", "undecided"),
        finding("auroc", "mass", "undecided", arm="other", mde=0.07, seed_share=0.9),
        finding(
            "auroc", "hernia", "undecided (2 positive patients)", reason="2 positive patients, expected 20 or more"
        ),
        finding("auroc", "effusion", "equivalent"),
    ]
    sentences = told(found, [cell("not visible", "mass", positives_needed=900)], arms=("control", "focal", "other"))
    assert starting(sentences, "Undecided") == [
        "Undecided: 3 of 4 comparisons stay undecided, which does not mean no difference (1 for too few patients; 2 "
        "because the interval allows both a difference and none)."
    ]
    assert starting(sentences, "What would decide") == [
        "What would decide: focal on mass: about 900 positive patients, it has 412; hernia has 2 positive patients, "
        "expected 20 or more; AUROC would show differences of 0.060 or more (median) four times out of five; "
        "more seeds would help most in 1 and more patients in 1 of 2 wide intervals."
    ]


def test_where_patients_alone_would_not_decide_it_says_so():
    sentences = told([finding("auroc", "mass", "undecided")], [cell("not visible")])
    assert "focal on mass: more patients alone would not decide, more seeds may" in sentences[-1]


def test_averages_and_exploratory_metrics_are_not_counted():
    found = [
        finding("auroc", "macro", "better"),
        finding("auroc", "mass", "undecided"),
        finding("mass_inside", "mass", "undecided"),
        {**finding("mass_inside", "mass", "better", primary=False), "metric": "iou"},
    ]
    sentences = told(found)
    assert "1 of 2 comparisons" not in " ".join(sentences)
    assert "2 of 2 comparisons stay undecided" in starting(sentences, "Undecided")[0]


@pytest.mark.parametrize("number", [1, 3, 30])
def test_a_busy_reader_sees_at_most_eight_sentences(number):
    names = [f"c{n}" for n in range(number)]
    found = [
        *(finding(metric, name, "equivalent") for name in names for metric in ("auroc", "average_precision")),
        finding("auroc", "other", "undecided"),
        finding("auroc", "another", "better"),
        *(finding("mass_inside", name, "better") for name in names),
    ]
    listed = [*(cell("hidden difference", name) for name in names), cell("candidate", "other")]
    seen = headline(content(found, listed), pd.DataFrame([{**finding("auroc", "mass", "equivalent"), "kind": ""}]))
    assert len(seen) <= MOST_SEEN
    assert seen[0].text.startswith("Hidden difference: focal on c0")
    counted = sum(each.text.startswith("Hidden difference:") for each in seen)
    rest = re.search(r"(\d+) (?:further hidden difference|more below)", " ".join(each.text for each in seen))
    assert counted + (int(rest.group(1)) if rest else 0) == number


def test_one_arm_and_one_seed_are_not_compared():
    assert told(arms=("control",)) == ["Not compared: there is only one arm (control)."]
    found = [finding("auroc", "mass", "", p_adjusted=np.nan)]
    (only,) = told(found, seeds=(0,))
    assert only.startswith("Not compared: one seed per arm cannot separate a treatment from seed noise")
    assert [block.title for block in claims_of(content(found, seeds=(0,)))] == [""]


def test_two_seeds_give_candidates_and_no_difference():
    found = [finding("auroc", "mass", "candidate: worse"), finding("mass_inside", "mass", "candidate: better")]
    sentences = told(found, seeds=(0, 1))
    assert "two seeds give candidates, not verdicts" in starting(sentences, "No verdicts")[0]
    assert "1 candidate, not established: focal on mass (AUROC" in starting(sentences, "AUROC and AP")[0]
    assert "1 candidate, not established: focal on mass (mass inside" in starting(sentences, "Lenses")[0]
    assert not [text for text in sentences if re.search(r"\d difference", text)]


def test_without_annotations_no_lens_is_told_to_find_nothing():
    (sentence,) = starting(told([finding("auroc", "mass", "equivalent")]), "Lenses")
    assert sentence == ("Lenses: nothing is compared, because no comparison of a lens was handed to the report.")


def test_a_class_with_two_positives_is_undecided_and_not_equal():
    found = [
        finding("auroc", "hernia", "undecided (2 positive patients)", reason="2 positive patients, expected 20 or more")
    ]
    sentences = told(found)
    assert "no difference from control in AUROC or AP is established" in sentences[1]
    assert "hernia has 2 positive patients, expected 20 or more" in sentences[-1]


def test_arms_that_are_identical_by_construction_are_not_told():
    found = [
        finding("auroc", "mass", "undecided"),
        finding("auroc", "mass", "identical by construction", arm="same", difference=0.0),
        finding("mass_inside", "mass", "", arm="same"),
    ]
    sentences = told(found, arms=("control", "focal", "same"))
    assert "1 of 1 comparison stays undecided" in starting(sentences, "Undecided")[0]
    assert "same" not in " ".join(sentences)


def test_a_second_control_is_the_false_alarm_check():
    rows = [
        {**finding("auroc", "a", "better", arm="control again"), "kind": ""},
        {**finding("mass_inside", "a", "undecided", arm="control again"), "kind": "hidden difference"},
        {**finding("auroc", "macro", "better", arm="control again"), "kind": ""},
        {**finding("auroc", "b", "", arm="control again"), "kind": ""},
    ]
    (sentence,) = false_alarm_claim(pd.DataFrame(rows))
    assert sentence.text == (
        "False alarms: a second control on other seeds differs from it in 1 of 2 comparisons by verdict, with 1 hidden "
        "difference; all would be false."
    )
    assert false_alarm_claim(None) == []
    assert false_alarm_claim(pd.DataFrame(rows[3:])) == []


def test_the_folded_findings_go_by_arm_and_class_group():
    found = [
        finding("auroc", "effusion", "better", group="head"),
        finding("auroc", "hernia", "worse", group="tail", difference=-0.05),
        finding("auroc", "hernia", "equivalent", group="tail", arm="other"),
    ]
    folded = claims_of(content(found, arms=("control", "focal", "other")))[1]
    by_arm = {heading: [each.text for each in claims] for heading, claims in folded.groups}
    assert [text.split(":")[0] for text in by_arm["focal"]] == ["Head classes", "Tail classes", "In all"]
    assert by_arm["other"] == ["In all: 1 comparison by class, 1 is equivalent."]


@pytest.fixture(scope="module")
def page():
    return undrawn(build(gallery=()))


def test_every_sentence_leads_to_a_place_on_the_page(page):
    places = re.findall(r'\bid="([^"]*)"', page)
    assert len(places) == len(set(places))
    links = re.findall(r'href="#([^"]*)"', section(page, "found"))
    assert len(links) > 20
    assert set(links) <= set(places)


def test_a_link_leads_to_the_row_of_its_own_numbers(page):
    row = hidden().iloc[0]
    place = re.search(rf'href="#([^"]*)">{ARMS[1].replace("_", "_<wbr>")} on {row["class"]}<', page).group(1)
    line = words(re.search(rf'<tr id="{re.escape(place)}">(.*?)</tr>', page, re.DOTALL).group(1))
    assert line.startswith(f"{row['class']}{ARMS[1]}")
    assert "−0.090 [−0.130, −0.050]" in line


def test_the_page_opens_with_the_findings_and_then_what_auroc_and_ap_do_not_show(page):
    assert re.findall(r'<section id="([^"]*)"', page)[:2] == ["found", "hidden"]
    assert "<h2>What AUROC and AP do not show</h2>" in section(page, "hidden")
    assert words(section(page, "found")).index("Hidden difference") < words(section(page, "found")).index(
        "AUROC and AP"
    )


def test_the_setting_names_images_classes_seeds_and_macro_auroc():
    rows = [
        {"lens": "performance", "metric": "auroc", "class": name, "arm": arm, "value": value, "lo": lo, "hi": hi}
        for arm, value, lo, hi in (("control", 0.86, 0.84, 0.88), ("focal", 0.85, np.nan, np.nan))
        for name in ("macro", "mass")
    ]
    assert setting(content(estimates=pd.DataFrame(rows), test_images=4000)) == (
        "On 4,000 test images of 1 class with 3 seeds per arm; macro AUROC is 0.860 [0.840, 0.880] for control and "
        "0.850 for focal."
    )


def test_no_claim_is_made_that_the_tables_do_not_hold():
    """Every difference in the sentences is a row of the findings with that verdict."""
    frame = findings()
    text = " ".join(each.text for each in headline(build(hidden=None)))
    for arm, name, metric, verdict in re.findall(r"(\S+(?: γ=2)?) on (\S+) \((AUROC|AP) [^,]*, [^,]*, (\w+),", text):
        key = {"AUROC": "auroc", "AP": "average_precision"}[metric]
        rows = frame[(frame["arm"] == arm) & (frame["class"] == name) & (frame["metric"] == key)]
        assert list(rows["verdict"]) == [verdict]
    assert "better" in text
