import re

import numpy as np
import pandas as pd
import pytest
from block_reading import is_static, lines, notes, picture, texts, told

from tailscope.report.page_order import PageOrder
from tailscope.report.probes import probe_blocks
from tailscope.report.representation import (
    RepresentationTables,
    geometry_blocks,
    representation_blocks,
    similarity_blocks,
    swap_blocks,
)

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))


def cka(layers=("layer3",)):
    runs = [(arm, seed) for arm in ("focal", "control") for seed in (1, 0)]
    return pd.DataFrame(
        [
            {
                "layer": layer, "arm_a": a, "seed_a": s, "arm_b": b, "seed_b": t,
                "value": 1.0 if (a, s) == (b, t) else 0.62 if a == b else 0.41,
            }
            for layer in layers
            for place, (a, s) in enumerate(runs)
            for b, t in runs[place:]
        ]
    )  # fmt: skip


def relative():
    numbers = {"cka_to_control": 0.41, "control_to_control": 0.62, "difference": -0.21, "pairs": 2}
    return pd.DataFrame([{"layer": "layer3", "arm": "focal", **numbers}])


def probes():
    rows = []
    for arm in ("focal", "control"):
        for name, group in (("hernia", "tail"), ("mass", "head"), ("tail", "tail")):
            row = {"arm": arm, "class": name, "group": group, "probe_auroc": 0.8, "probe_lo": 0.7, "probe_hi": 0.9}
            row |= {"head_auroc": 0.7, "head_lo": 0.6, "head_hi": 0.8}
            if arm == "focal":
                verdict = "undecided" if name == "mass" else "only the head"
                row |= {"verdict": verdict, "sentence": f"{name}: {verdict} under focal."}
            rows.append(row)
    return pd.DataFrame(rows)


def swap():
    value = {("control", "control"): 0.7, ("control", "focal"): 0.8, ("focal", "control"): 0.6, ("focal", "focal"): 0.9}
    return pd.DataFrame(
        [
            {"arm": "focal", "seed": s, "class": "mass", "features_of": f, "head_of": h, "auroc": auroc + 0.01 * s}
            for s in (0, 1)
            for (f, h), auroc in value.items()
        ]
    )


def geometry():
    rows = [
        {"arm": arm, "seed": seed, "class": "mass", "group": "head", "scatter_ratio": 2.0, "classifier_cosine": 0.1}
        for arm in ("focal", "control")
        for seed in (0, 1)
    ]
    rows += [{"arm": "control", "seed": seed, "class": "", "group": "", "effective_rank": 20 + seed} for seed in (0, 1)]
    return pd.DataFrame(rows)


def test_a_pair_given_once_fills_both_halves_of_the_heat_map():
    drawn = picture(similarity_blocks(cka(), None, ORDER))
    assert drawn.count(">1.00</text>") == 4
    assert drawn.count(">.62</text>") == 4
    assert drawn.count(">.41</text>") == 8


def test_each_layer_has_a_panel_and_each_arm_one_name_per_side():
    drawn = picture(similarity_blocks(cka(("layer3", "layer4", "layer1")), None, ORDER))
    assert re.findall(r">(layer\d)</text>", drawn) == ["layer3", "layer4", "layer1"]
    assert drawn.count(">control</text>") == 6
    assert drawn.index(">control</text>") < drawn.index(">focal</text>")


def test_many_runs_have_no_numbers_in_their_cells():
    frame = pd.DataFrame(
        [
            {"layer": "l", "arm_a": "control", "seed_a": a, "arm_b": "control", "seed_b": b, "value": 0.5}
            for a in range(20)
            for b in range(a, 20)
        ]
    )
    assert ">.50</text>" not in picture(similarity_blocks(frame, None, ORDER))


def test_one_run_alone_can_be_drawn():
    one = cka().query("arm_a == 'control' and arm_b == 'control' and seed_a == 0 and seed_b == 0")
    assert picture(similarity_blocks(one, None, ORDER)).count(">1.00</text>") == 1


def test_similarity_to_control_stands_beside_that_of_controls_own_seeds():
    row = texts(lines(similarity_blocks(None, relative(), ORDER), "CKA to control, beyond the seeds")[0])
    assert (row["arm to control"], row["control to control"], row["difference"]) == ("0.410", "0.620", "−0.210")


def test_the_verdict_of_each_class_stands_below_its_treatment():
    rows = [texts(row) for row in lines(probe_blocks(probes(), ORDER), "Features, or only the head")]
    assert [(row["class"], row["focal"]) for row in rows] == [
        ("tail (average)", "only the head"), ("mass", "undecided"), ("hernia", "only the head"),
    ]  # fmt: skip
    assert "control" not in rows[0]


def test_the_sentences_of_the_groups_come_first():
    blocks = probe_blocks(probes(), ORDER)
    assert blocks[0].items == ("tail: only the head under focal.",)


def test_probe_and_head_stand_side_by_side_with_their_intervals():
    rows = [texts(row) for row in lines(probe_blocks(probes(), ORDER), "Probes and heads")]
    assert rows[0]["probe"] == "0.800 [0.700, 0.900]"
    assert rows[0]["head"] == "0.700 [0.600, 0.800]"
    assert "Δ probe" not in rows[0]
    changed = probes().assign(probe_difference=0.02, probe_difference_lo=-0.01, probe_difference_hi=0.05)
    assert texts(lines(probe_blocks(changed, ORDER), "Probes and heads")[0])["Δ probe"] == "+0.020 [−0.010, +0.050]"


def test_the_swap_is_two_by_two_with_the_seeds_beside_each_mean():
    row = texts(lines(swap_blocks(swap(), ORDER), "Heads and features swapped")[0])
    assert row == {
        "class": "mass",
        "arm": "focal",
        "control's both": "0.705 0.700 to 0.710",
        "control's features, arm's head": "0.805 0.800 to 0.810",
        "arm's features, control's head": "0.605 0.600 to 0.610",
        "arm's both": "0.905 0.900 to 0.910",
    }


def test_geometry_leaves_out_what_was_not_measured_and_names_what_belongs_to_all_classes():
    rows = [texts(row) for row in lines(geometry_blocks(geometry(), ORDER), "Geometry of the classes")]
    assert "head row with class mean" not in rows[0]
    assert (rows[0]["class"], rows[0]["arm"], rows[0]["within / between"]) == ("mass", "control", "2.00")
    assert (rows[-1]["class"], rows[-1]["effective rank"]) == ("all classes", "20.5 20.0 to 21.0")


def test_a_missing_number_carries_its_reason():
    frame = swap().assign(auroc=np.nan, reason="no positive test image")
    assert notes(swap_blocks(frame, ORDER), "Heads and features swapped") == ["no positive test image"]


def test_everything_stands_in_order():
    blocks = representation_blocks(RepresentationTables(cka(), relative(), probes(), swap(), geometry()), ORDER)
    titles = [block.title for block in blocks if block.kind == "table"]
    assert titles == [
        "Features, or only the head", "Probes and heads", "Heads and features swapped",
        "CKA to control, beyond the seeds", "Geometry of the classes",
    ]  # fmt: skip


def test_without_any_table_one_sentence_says_why():
    for tables in (RepresentationTables(), RepresentationTables(cka=cka().iloc[:0])):
        (block,) = representation_blocks(tables, ORDER)
        assert "the lens was not asked for" in block.text


@pytest.mark.parametrize(
    ("tables", "missing"),
    [
        (RepresentationTables(cka=cka()), ("no probe was fitted", "not swapped", "geometry of the classes was not")),
        (RepresentationTables(swap=swap()), ("no probe was fitted", "layers of the runs were not compared")),
    ],
    ids=["similarity only", "swap only"],
)
def test_each_part_that_is_missing_is_named(tables, missing):
    shown = told(representation_blocks(tables, ORDER))
    assert all(part in shown for part in missing)


def test_the_heat_map_is_escaped_and_static():
    drawn = picture(similarity_blocks(cka().replace("focal", "it's <i>"), None, ORDER))
    assert is_static(drawn)
    assert ">it's &lt;i&gt;</text>" in drawn
