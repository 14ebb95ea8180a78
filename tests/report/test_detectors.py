import re

import numpy as np
import pandas as pd
import pytest
from block_reading import is_static, lines, notes, picture, texts, told

from tailscope.report.detectors import detector_blocks
from tailscope.report.fraction_curves import curve_blocks
from tailscope.report.page_order import PageOrder

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))
WHY = "3 annotated patients; 7 are needed"


def detectors(tube=False):
    rows = []
    for arm, start in (("focal", 10), ("control", 4)):
        for seed in range(3):
            for layer in ("layer3", "layer4"):
                one = {"run": f"{arm}-{seed}", "arm": arm, "seed": seed, "layer": layer}
                mass = {
                    "class": "mass",
                    "group": "head",
                    "detectors": start + seed,
                    "position_only": 2,
                    "above_rule": 7,
                }
                rare = {"class": "hernia", "group": "tail", "detectors": np.nan, "reason": WHY}
                rows += [{**one, **rare}, {**one, **mass}]
                rows += [{**one, **mass, "class": "chest_tube", "group": ""}] if tube else []
    return pd.DataFrame(rows)


def layers():
    frame = detectors()[["run", "arm", "seed", "layer"]].drop_duplicates()
    facts = {"units": 200, "dead": 3, "sparse": 5, "live": 197, "coverage": 1.0, "redundancy": 4.25}
    return frame.assign(**facts, detectors_total=frame["seed"] + 4)


@pytest.fixture(scope="module")
def blocks():
    return detector_blocks(detectors(tube=True), layers(), ORDER)


def test_the_range_of_the_seeds_stands_beside_every_mean(blocks):
    first = texts(lines(blocks, "Detectors by class")[0])
    assert (first["class"], first["layer"], first["arm"], first["detectors"]) == (
        "mass",
        "layer3",
        "control",
        "5 4 to 6",
    )


def test_a_number_that_all_seeds_share_has_no_range(blocks):
    assert texts(lines(blocks, "Detectors by class")[0])["position-only"] == "2"


def test_groups_are_summed_over_the_classes_that_could_be_tested(blocks):
    rows = lines(blocks, "Detectors by layer and arm")
    assert [texts(row)["head"] for row in rows[:2]] == ["5 4 to 6", "11 10 to 12"]
    assert {texts(row)["tail"] for row in rows} == {"–"}
    assert notes(blocks, "Detectors by layer and arm") == [WHY]


def test_a_layer_has_one_line_per_arm_and_control_stands_first(blocks):
    rows = [texts(row) for row in lines(blocks, "Detectors by layer and arm")]
    assert [(row["layer"], row["arm"]) for row in rows] == [
        ("layer3", "control"), ("layer3", "focal"), ("layer4", "control"), ("layer4", "focal"),
    ]  # fmt: skip
    assert (rows[0]["units"], rows[0]["coverage"], rows[0]["redundancy"]) == ("200", "100 %", "4.2")


def test_a_class_that_cannot_be_tested_is_named_with_its_reason(blocks):
    assert f"Not testable: hernia ({WHY})." in told(blocks)
    assert ">no number<" in picture(blocks)


def test_position_only_is_explained(blocks):
    assert "they mark where such findings usually lie, not where this one lies" in told(blocks)


def test_a_confounder_is_a_concept_below_the_classes(blocks):
    assert [texts(row)["class"] for row in lines(blocks, "Detectors by class")][-1] == "chest_tube"
    assert ">chest_tube</text>" in picture(blocks)


def points(drawn, colour):
    return len(re.findall(rf'<path[^>]*fill="{colour}"', drawn))


def test_the_chart_has_a_dot_per_seed_and_a_mark_per_mean():
    one = detectors().query("layer == 'layer4'")
    every = picture(detector_blocks(one, layers(), ORDER))
    without = picture(detector_blocks(one[one["seed"] < 2], layers(), ORDER))
    assert points(every, "#0072B2") - points(without, "#0072B2") == 1
    assert "layer4: detectors per 100 units" in every


def test_a_run_whose_units_are_unknown_is_not_drawn_as_zero():
    drawn = detector_blocks(detectors(), layers().assign(units=np.nan), ORDER)
    assert picture(drawn).count(">no number<") == 4


@pytest.mark.parametrize("frame", [None, pd.DataFrame()], ids=["none", "empty"])
def test_without_detectors_the_page_says_why(frame):
    (block,) = detector_blocks(frame, frame, ORDER)
    assert block.is_empty_notice
    assert "no unit was tested" in block.text


def test_layers_alone_are_shown_without_a_chart():
    blocks = detector_blocks(None, layers(), ORDER)
    assert [block.kind for block in blocks] == ["paragraph", "table"]


def test_nothing_but_untested_classes_gives_no_chart():
    blocks = detector_blocks(detectors().query("`class` == 'hernia'"), layers(), ORDER)
    assert "figure" not in {block.kind for block in blocks}


def curve():
    return pd.DataFrame(
        [
            {
                "run": f"{arm}-{seed}", "arm": arm, "layer": layer, "class": name, "fraction": fraction,
                "best_iou": 0.1 + 0.01 * seed if name == "mass" else np.nan, "attainable": 0.5,
                "above_rule": 3 + seed if fraction > 0.01 else np.nan, "reason": "" if name == "mass" else WHY,
            }
            for arm in ("control", "focal")
            for seed in range(3)
            for layer in ("layer3", "layer4")
            for name in ("hernia", "mass")
            for fraction in (0.005, 0.05)
        ]
    )  # fmt: skip


def test_a_curve_is_a_mean_over_seeds_with_the_units_above_the_rule_below_it():
    blocks = curve_blocks(curve(), ORDER)
    first = texts(lines(blocks, "Best IoU by fraction")[0])
    assert (first["class"], first["0.005"], first["0.05"]) == ("mass", "0.110", "0.110 3 to 5 units")
    assert notes(blocks, "Best IoU by fraction") == [WHY]


def test_the_last_layer_is_shown_and_the_others_fold():
    blocks = curve_blocks(curve(), ORDER)
    drawn = picture(blocks)
    assert drawn.count("<svg") == 2
    assert drawn.count("<details><summary>The same in layer3</summary>") == 1
    assert blocks[0].caption.startswith("layer4.")


def test_the_attainable_value_is_a_dashed_line_and_the_reader_is_told_why():
    blocks = curve_blocks(curve(), ORDER)
    without = curve_blocks(curve().assign(attainable=np.nan), ORDER)
    assert picture(blocks).count('stroke-dasharray="5,3"') == 2
    assert picture(without).count('stroke-dasharray="5,3"') == 0
    assert "only what holds along the whole curve" in told(blocks)


def test_without_a_curve_the_page_says_why():
    (block,) = curve_blocks(None, ORDER)
    assert block.text == "Not shown: the fixed fraction was not varied."


def test_a_curve_without_any_value_has_no_figure():
    blocks = curve_blocks(curve().assign(best_iou=np.nan), ORDER)
    assert [block.kind for block in blocks] == ["table"]


def test_charts_are_escaped_and_static():
    order = PageOrder(("<i>",), ("control", "focal"))
    charts = (
        detector_blocks(detectors().replace("mass", "<i>"), layers(), order),
        curve_blocks(curve().replace("mass", "<i>"), order),
    )
    for drawn in map(picture, charts):
        assert is_static(drawn)
        assert "&lt;i&gt;" in drawn
        assert "<i>" not in drawn
