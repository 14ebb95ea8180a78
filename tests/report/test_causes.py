import numpy as np
import pandas as pd
import pytest
from block_reading import lines, notes, picture, texts, told

from tailscope.report.causes import cause_blocks
from tailscope.report.page_order import PageOrder

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))
TITLE = "Causes by class"


def causes(layers=("layer4",)):
    rows = []
    for arm in ("focal", "control"):
        for seed in range(3):
            for layer in layers:
                one = {"arm": arm, "seed": seed, "layer": layer}
                drops = {"own_drop": 0.6 + 0.1 * seed, "other_drop": 0.1, "specificity": 0.5 + 0.1 * seed}
                rest = {"random_specificity": 0.02, "over_random": 0.48 + 0.1 * seed, "reason": ""}
                rows += [{**one, "class": "hernia", "reason": "no detector"}, {**one, "class": "mass", **drops, **rest}]
    return pd.DataFrame(rows)


def intervals(lo=0.3):
    return pd.DataFrame([{"arm": arm, "class": "mass", "value": 0.58, "lo": lo, "hi": 0.9} for arm in ORDER.arms])


def test_the_mean_has_its_seeds_beside_it_and_the_last_number_its_interval():
    row = lines(cause_blocks(causes(), intervals(), ORDER), TITLE)[0]
    shown = texts(row)
    assert (shown["class"], shown["arm"], shown["own logit"]) == ("mass", "control", "+0.70 +0.60 to +0.80")
    assert shown["other logits"] == "+0.10"
    assert shown["above random"] == "+0.58 [+0.300, +0.900]"
    assert 'class="whisker"' in row[""].picture


def test_without_an_interval_the_range_of_the_seeds_stands_there():
    row = lines(cause_blocks(causes(), None, ORDER), TITLE)[0]
    assert texts(row)["above random"] == "+0.58 +0.48 to +0.68"


@pytest.mark.parametrize(("lo", "sentence"), [(0.3, "1 of 1 classes lose"), (-0.1, "0 of 1 classes lose")])
def test_a_class_depends_on_its_detectors_only_if_the_interval_lies_above_zero(lo, sentence):
    shown = told(cause_blocks(causes(), intervals(lo), ORDER))
    assert f"control: {sentence} more without their detectors than without random units" in shown
    assert (": mass." in shown) == (lo > 0)


def test_without_intervals_nothing_is_claimed():
    assert "listing" not in {block.kind for block in cause_blocks(causes(), None, ORDER)}
    bare = intervals().drop(columns=["lo", "hi"])
    assert "listing" not in {block.kind for block in cause_blocks(causes(), bare, ORDER)}


def test_a_class_without_detectors_is_a_dash_with_its_reason():
    blocks = cause_blocks(causes(), intervals(), ORDER)
    assert texts(lines(blocks, TITLE)[-1])["above random"] == "–"
    assert notes(blocks, TITLE) == ["no detector"]
    assert picture(blocks).count(">no number<") == 2


def test_every_layer_has_its_chart_and_an_interval_without_a_layer_belongs_to_none_of_several():
    blocks = cause_blocks(causes(("layer3", "layer4")), intervals(), ORDER)
    assert [block.kind for block in blocks].count("figure") == 2
    assert "[" not in texts(lines(blocks, TITLE)[0])["above random"]
    assert "listing" not in {block.kind for block in blocks}
    named = cause_blocks(causes(("layer3", "layer4")), intervals().assign(layer="layer4"), ORDER)
    assert "control, layer4: 1 of 1" in told(named)


def test_without_causes_the_page_says_so():
    for frame in (None, causes().iloc[:0]):
        (block,) = cause_blocks(frame, intervals(), ORDER)
        assert block.text == "Not shown: no unit was ablated, so nothing is said of causes."


def test_numbers_that_are_all_missing_give_a_table_and_no_chart():
    blocks = cause_blocks(causes().assign(over_random=np.nan), None, ORDER)
    assert [block.kind for block in blocks] == ["table"]
