import numpy as np
import pandas as pd
from block_reading import lines, notes, texts, told

from tailscope.report.concept_changes import change_blocks
from tailscope.report.page_order import PageOrder

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))
SUMS, CLASSES = "Concepts gained and lost", "Concepts gained and lost by class"


def changes(arms=("focal",)):
    return pd.DataFrame(
        [
            {
                "arm": arm, "seed": seed, "layer": "layer4", "class": name, "detectors_control": 4,
                "detectors_arm": 3 + seed, "kept": 2, "gained": 1 + seed, "lost": 2, "matched_share": 0.5 + 0.1 * seed,
            }
            for arm in arms
            for seed in range(2)
            for name in ("hernia", "mass")
        ]
    )  # fmt: skip


def test_the_classes_are_summed_within_a_seed_before_the_mean_over_seeds():
    row = texts(lines(change_blocks(changes(), ORDER), SUMS)[0])
    assert (row["detectors, control"], row["kept"], row["gained"], row["lost"]) == ("8", "4", "3 2 to 4", "4")
    assert row["matched"] == "55 % 50 % to 60 %"


def test_every_class_has_its_line_head_first():
    rows = [texts(row) for row in lines(change_blocks(changes(), ORDER), CLASSES)]
    assert [row["class"] for row in rows] == ["mass", "hernia"]
    assert rows[0]["gained"] == "1.5 1 to 2"


def test_control_against_itself_is_named_as_what_changes_without_a_treatment():
    assert "so much changes without any treatment" in told(change_blocks(changes(("focal", "control")), ORDER))
    assert "so much changes without any treatment" not in told(change_blocks(changes(), ORDER))


def test_a_class_that_could_not_be_tested_is_a_dash_with_its_reason():
    counts = dict.fromkeys(("detectors_control", "detectors_arm", "kept", "gained", "lost"), np.nan)
    frame = changes().assign(reason="", **{name: changes()[name].astype(float) for name in counts})
    frame.loc[frame["class"] == "hernia", [*counts]] = np.nan
    frame.loc[frame["class"] == "hernia", "reason"] = "no annotated image"
    blocks = change_blocks(frame, ORDER)
    assert texts(lines(blocks, CLASSES)[1])["kept"] == "–"
    assert notes(blocks, CLASSES) == ["no annotated image"]
    assert texts(lines(blocks, SUMS)[0])["kept"] == "2"


def test_without_matching_the_page_says_so():
    for frame in (None, changes().iloc[:0]):
        (block,) = change_blocks(frame, ORDER)
        assert "were not matched" in block.text
