import pandas as pd
import pytest

from tailscope.report import three_sentences
from tailscope.report.summary import VERDICT_KINDS, verdict_kind

ARMS = ("control", "focal", "sampling")


def finding(lens, metric, name, verdict, *, arm="focal", primary=True):
    return {
        "lens": lens, "metric": metric, "class": name, "arm": arm, "verdict": verdict, "primary": primary,
        "difference": 0.03,
    }  # fmt: skip


def cell(kind, name="mass"):
    row = {"lens": "alignment", "metric": "mass_inside", "arm": "focal", "difference": -0.1}
    return {"kind": kind, "class": name, **row}


def macro(**values):
    return pd.DataFrame(
        [
            {"lens": "performance", "metric": "auroc", "class": name, "arm": arm, "value": value}
            for arm, value in values.items()
            for name in ("macro", "mass")
        ]
    )


def sentences(findings=(), hidden=(), estimates=None, *, seeds=(0, 1, 2), test_images=0):
    found, listed = pd.DataFrame(list(findings)), pd.DataFrame(list(hidden))
    return three_sentences(found, listed, estimates, arms=ARMS, seeds=seeds, test_images=test_images)


def test_a_difference_in_performance_is_named_with_class_and_direction():
    found = [finding("performance", "auroc", "hernia", "better"), finding("performance", "ap", "mass", "equivalent")]
    first, _, _ = sentences(found, test_images=4000, estimates=macro(control=0.86, focal=0.85, sampling=0.87))
    assert first == (
        "On 4,000 test images of 1 class with 3 seeds per arm, AUROC or AP differs from control beyond seed noise for "
        "focal on hernia (AUROC better); macro AUROC is 0.860 for control against 0.850 to 0.870 for the treatments; "
        "of 2 comparisons by class, 1 is better and 1 is equivalent."
    )


def test_equivalent_and_undecided_are_never_added_up():
    verdicts = ("equivalent", "equivalent", "undecided", "undecided (4 positive patients)")
    first, _, third = sentences([finding("performance", "auroc", str(n), v) for n, v in enumerate(verdicts)])
    assert "no difference from control in AUROC or AP is established" in first
    assert "2 are equivalent and 2 stay undecided" in first
    assert third == (
        "No hidden difference is established; 2 comparisons stay undecided, which does not mean no difference "
        "(1 for too few patients; 1 because the interval allows both a difference and none)."
    )


def test_averages_over_classes_are_not_counted_as_classes():
    found = [finding("performance", "auroc", name, "undecided") for name in ("macro", "tail", "mass")]
    assert "of 1 comparison by class, 1 stays undecided" in sentences(found)[0]


def test_two_seeds_give_candidates_and_say_so():
    verdicts = (("mass", "candidate: worse"), ("hernia", "undecided"))
    found = [finding("alignment", "mass_inside", name, verdict) for name, verdict in verdicts]
    _, _, third = sentences(found, [cell("candidate")], seeds=(0, 1))
    assert third.startswith(
        "No hidden difference is established; 1 candidate to confirm: focal on mass (alignment mass inside lower); "
    )
    assert "two seeds give candidates, not verdicts" in third


def test_one_seed_is_compared_with_nothing():
    first, second, third = sentences(seeds=(0,), estimates=macro(control=0.86, focal=0.85))
    assert first == (
        "Performance: nothing is compared, because one seed per arm cannot separate a treatment from seed noise (a "
        "verdict needs 3 seeds); macro AUROC is 0.860 for control against 0.850 for focal."
    )
    assert "one seed per arm" in second
    assert "one seed per arm" in third


def test_a_hidden_difference_is_named_with_its_lens():
    _, _, third = sentences(hidden=[cell("hidden difference"), cell("not visible", "hernia")])
    assert third == (
        "1 hidden difference found: focal on mass (alignment mass inside lower); 1 cell differs in a lens while AUROC "
        "or AP is undecided (not visible, not hidden)."
    )


def test_lenses_are_told_by_their_primary_metric():
    found = [
        finding("alignment", "mass_inside", "mass", "better"),
        finding("alignment", "iou", "mass", "worse", primary=False),
        finding("dissection", "best_iou_matched", "mass", "undecided"),
    ]
    assert sentences(found)[1] == (
        "Inside the models, alignment (mass inside): of 1 comparison by class, 1 is better (focal on mass); "
        "dissection (best unit, cross-fitted): of 1 comparison by class, 1 stays undecided."
    )


def test_arms_identical_by_construction_are_neither_counted_nor_without_verdict():
    found = [
        finding("performance", "auroc", "mass", "undecided"),
        finding("performance", "auroc", "mass", "identical by construction", arm="sampling"),
        finding("alignment", "mass_inside", "mass", "identical by construction", arm="sampling", primary=False),
    ]
    first, second, _ = sentences(found, estimates=macro(control=0.86, focal=0.85, sampling=0.9))
    assert "of 1 comparison by class, 1 stays undecided." in first
    assert "0.860 for control against 0.850 for focal;" in first
    assert "no lens handed a comparison" in second


def test_nothing_at_all_is_three_sentences_with_reasons():
    found = sentences()
    assert len(found) == 3
    assert all(text.endswith(".") and text.count(". ") == 0 for text in found)
    assert "no comparison of AUROC or AP" in found[0]


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("better", "different"),
        ("lower", "different"),
        ("differs, within the margin", "within"),
        ("equivalent", "equivalent"),
        ("candidate: better", "candidate"),
        ("undecided", "undecided"),
        ("undecided (3 positive patients)", "undecided"),
        ("identical by construction", "identical"),
        ("", "none"),
        (None, "none"),
    ],
)
def test_every_verdict_has_its_kind(verdict, kind):
    assert verdict_kind(verdict) == kind
    assert kind in VERDICT_KINDS
