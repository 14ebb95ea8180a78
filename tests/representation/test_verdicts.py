from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.representation.verdicts import REPRESENTATION_VERDICT_COLUMNS, representation_verdicts
from tailscope.stats import ComparisonSettings, MetricSamples, compare

UNKNOWN = ("undecided", "undecided (12 positive patients)", "candidate: better", "")
SAME = ("equivalent", "differs, within the margin", "identical by construction")


def finding(lens: str, verdict: str, name: str = "mass", group: str = "tail", arm: str = "focal", **changes):
    metric = {"representation": "probe_auroc", "performance": "auroc"}[lens]
    numbers = {"difference": 0.03, "lo": 0.01, "hi": 0.05, "reason": ""}
    return {"lens": lens, "metric": metric, "class": name, "group": group, "arm": arm, "verdict": verdict,
            **numbers, **changes}  # fmt: skip


def judged(probe: str, head: str) -> pd.Series:
    table = pd.DataFrame([finding("representation", probe), finding("performance", head)])
    return representation_verdicts(table).iloc[0]


@pytest.mark.parametrize("probe", ["better", "worse"])
@pytest.mark.parametrize("head", ["better", "worse", *SAME, *UNKNOWN])
def test_features_changed_wherever_the_probe_differs(probe, head):
    assert judged(probe, head)["verdict"] == "features changed"


@pytest.mark.parametrize("probe", SAME)
@pytest.mark.parametrize("head", ["better", "worse"])
def test_only_the_head_changed_where_the_probe_is_equivalent_and_the_head_differs(probe, head):
    assert judged(probe, head)["verdict"] == "only the head"


@pytest.mark.parametrize("probe", SAME)
@pytest.mark.parametrize("head", SAME)
def test_nothing_changed_where_both_are_equivalent(probe, head):
    assert judged(probe, head)["verdict"] == "nothing changed"


@pytest.mark.parametrize("probe", UNKNOWN)
@pytest.mark.parametrize("head", ["better", "equivalent", "undecided"])
def test_an_undecided_probe_decides_nothing(probe, head):
    assert judged(probe, head)["verdict"] == "undecided"


@pytest.mark.parametrize("head", UNKNOWN)
def test_an_undecided_head_is_not_taken_for_a_difference(head):
    found = judged("equivalent", head)
    assert found["verdict"] == "undecided"
    assert "but the head's AUROC" in found["sentence"]


def test_a_sentence_names_both_verdicts_with_their_intervals():
    assert judged("worse", "undecided")["sentence"] == (
        "The features changed: the probe's AUROC is worse, +0.030 [+0.010, +0.050]; "
        "the head's AUROC is undecided, +0.030 [+0.010, +0.050]."
    )


def test_a_class_that_is_not_estimable_says_why():
    gone = finding("representation", "", difference=np.nan, lo=np.nan, hi=np.nan, reason="no positive training image")
    found = representation_verdicts(pd.DataFrame([gone, finding("performance", "better")])).iloc[0]
    assert found["verdict"] == "undecided"
    assert "no difference (no positive training image)" in found["sentence"]
    assert np.isnan(found["probe_difference"])


def test_a_probe_without_a_comparison_of_the_head_is_undecided():
    found = representation_verdicts(pd.DataFrame([finding("representation", "better")])).iloc[0]
    assert (found["verdict"], found["sentence"]) == ("undecided", "Undecided: the head's AUROC was not compared.")


def of_classes(**verdicts: tuple[str, str]) -> pd.DataFrame:
    """Verdicts on the tail, by the (probe, head) verdicts of its classes."""
    rows = []
    for name, (probe, head) in verdicts.items():
        rows += [finding("representation", probe, name), finding("performance", head, name)]
    mean = {"verdict": "", "difference": 0.011, "reason": "mean over classes: descriptive"}
    rows.append(finding("representation", name="tail", **mean))
    found = representation_verdicts(pd.DataFrame(rows))
    return found[found["class"] == "tail"].iloc[0]


CHANGED, HEAD, NOTHING, OPEN = ("better", "better"), ("equivalent", "worse"), ("equivalent",) * 2, ("undecided",) * 2


@pytest.mark.parametrize(
    ("classes", "verdict"),
    [
        ((NOTHING, HEAD, CHANGED, OPEN), "features changed"),
        ((NOTHING, HEAD, OPEN), "only the head"),
        ((NOTHING, NOTHING), "nothing changed"),
        ((NOTHING, OPEN), "undecided"),
    ],
)
def test_a_group_says_the_strongest_that_its_classes_bear_out(classes, verdict):
    found = of_classes(**{f"c{number}": pair for number, pair in enumerate(classes)})
    assert found["verdict"] == verdict


def test_a_group_counts_its_classes_by_verdict_and_shows_the_difference_of_the_means():
    found = of_classes(mass=CHANGED, hernia=NOTHING, nodule=CHANGED)
    assert found["sentence"] == (
        "Features changed in 2 of 3 classes (mass, nodule); nothing changed in 1 of 3 classes (hernia)."
    )
    assert found["probe_difference"] == 0.011
    assert np.isnan(found["head_difference"])


def test_names_of_classes_keep_their_capitals():
    assert "(Mass)" in of_classes(Mass=CHANGED)["sentence"]


def test_arms_and_groups_are_kept_apart():
    rows = [
        finding(lens, verdict, name, group, arm)
        for lens in ("representation", "performance")
        for name, group, arm, verdict in [
            ("mass", "tail", "focal", "better"),
            ("edema", "head", "focal", "equivalent"),
            ("mass", "tail", "cb", "equivalent"),
        ]
    ]
    found = representation_verdicts(pd.DataFrame(rows)).set_index(["arm", "class"])["verdict"].to_dict()
    assert found == {
        ("focal", "mass"): "features changed", ("focal", "edema"): "nothing changed", ("cb", "mass"): "nothing changed",
        ("focal", "tail"): "features changed", ("focal", "head"): "nothing changed",
        ("focal", "macro"): "features changed", ("cb", "tail"): "nothing changed", ("cb", "macro"): "nothing changed",
    }  # fmt: skip


def samples(lens: str, metric: str, change: float) -> MetricSamples:
    """Five seeds and 400 patients whose treatment moves the metric by ``change``, almost without noise."""
    rng = np.random.default_rng(len(metric))
    values = 0.8 + np.array([[0.0], [change]]) + rng.normal(0, 5e-4, (2, 5))
    resampled = 0.8 + np.array([[0.0], [change]]) + rng.normal(0, 5e-4, (2, 200))
    return MetricSamples(
        lens, metric, "mass", "tail", ("control", "focal"), values, resampled, n=400, patients=100,
        positive_patients=100, negative_patients=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("probe", "head", "verdict"),
    [(0.06, 0.0, "features changed"), (0.0, -0.06, "only the head"), (0.0, 0.0, "nothing changed")],
)
def test_the_table_of_findings_is_read_as_the_statistics_write_it(probe, head, verdict):
    settings = ComparisonSettings(primary=("probe_auroc",))
    cells = [samples("representation", "probe_auroc", probe), samples("performance", "auroc", head)]
    assert representation_verdicts(compare(cells, settings)).iloc[0]["verdict"] == verdict


def test_without_probes_the_table_is_empty():
    found = representation_verdicts(compare([samples("performance", "auroc", 0.1)], ComparisonSettings()))
    assert found.empty
    assert tuple(found.columns) == REPRESENTATION_VERDICT_COLUMNS
