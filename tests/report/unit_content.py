"""The tables of units and features of a page, made up."""

import itertools

import numpy as np
import pandas as pd

from tailscope.report import RepresentationTables, UnitCardPicture

LAYER = "layer4"


def _runs(arms):
    return [{"run": f"{arm}-{seed}", "arm": arm, "seed": seed, "layer": LAYER} for arm in arms for seed in range(2)]


def unit_tables(arms, classes):
    """All of them, as fields of a report's content."""
    named = [{"class": name, "group": group, "reason": ""} for name, group, _ in classes]
    cells = [{**run, **one} for run, one in itertools.product(_runs(arms), named)]
    frame = pd.DataFrame(cells)
    fractions = pd.DataFrame([{**cell, "fraction": fraction} for cell in cells for fraction in (0.005, 0.05)])
    epochs = pd.DataFrame(
        [{**cell, "epoch": epoch, "metric": metric} for cell in cells for epoch in (1, 4) for metric in ("auroc",)]
    )
    firsts = {"seeds": 2, "found": 1, "first": 1.0, "latest": 4.0, "epoch": 4.0}
    drops = {"own_drop": 0.6, "other_drop": 0.1, "specificity": 0.5, "random_specificity": 0.1, "over_random": 0.4}
    counts = {"detectors_control": 3, "detectors_arm": 4, "kept": 2, "gained": 2, "lost": 1, "matched_share": 0.5}
    facts = {"units": 100, "dead": 3, "sparse": 5, "live": 97, "coverage": 1.0, "redundancy": 4.25}
    return {
        "detectors": frame.assign(detectors=3, position_only=1, above_rule=5),
        "unit_layers": pd.DataFrame(_runs(arms)).assign(**facts, detectors_total=9),
        "curve": fractions.assign(best_iou=0.2, attainable=0.5, above_rule=3),
        "causes": frame.assign(**drops),
        "cause_intervals": frame.assign(value=0.4, lo=0.2, hi=0.6).drop_duplicates(["arm", "class"]),
        "changes": frame[frame["arm"] != arms[0]].assign(**counts),
        "trajectory": epochs.assign(value=0.7),
        "first_epochs": frame.drop_duplicates(["arm", "class"]).assign(**firsts),
        "unit_cards": tuple(_card(arm, name) for arm in arms[:2] for name, _, _ in classes[:1]),
        "representation": _features(arms, named),
    }


def _card(arm, name):
    images = np.tile(np.arange(32, dtype=np.uint8) * 8, (2, 32, 1))
    region = np.zeros((2, 32, 32), dtype=bool)
    region[:, 8:20, 10:24] = True
    return UnitCardPicture(
        arm=arm,
        layer=LAYER,
        class_name=name,
        unit=7,
        images=images,
        regions=region,
        annotations=np.roll(region, 4, axis=1),
        concept_ious={name: 0.4},
        head_weights={name: 1.5},
        captions=("positive", "negative"),
    )


def _features(arms, named):
    runs = _runs(arms)
    pairs = [
        {"layer": LAYER, "arm_a": a["arm"], "seed_a": a["seed"], "arm_b": b["arm"], "seed_b": b["seed"],
         "value": 1.0 if a is b else 0.8}
        for a, b in itertools.combinations_with_replacement(runs, 2)
    ]  # fmt: skip
    cells = [{"arm": run["arm"], "seed": run["seed"], **one} for run, one in itertools.product(runs, named)]
    swaps = [
        {**cell, "features_of": features, "head_of": head, "auroc": 0.8}
        for cell in cells
        if cell["arm"] != arms[0]
        for features, head in itertools.product((arms[0], cell["arm"]), repeat=2)
    ]
    compared = [{**one, "arm": arm} for one, arm in itertools.product(named, arms)]
    values = {"probe_auroc": 0.8, "probe_lo": 0.7, "probe_hi": 0.9, "head_auroc": 0.8, "head_lo": 0.7, "head_hi": 0.9}
    relative = {"cka_to_control": 0.7, "control_to_control": 0.8, "difference": -0.1, "pairs": 2, "reason": ""}
    shape = {"scatter_ratio": 4.0, "classifier_cosine": 0.1, "self_duality": 0.5, "effective_rank": np.nan}
    return RepresentationTables(
        cka=pd.DataFrame(pairs),
        relative=pd.DataFrame([{"layer": LAYER, "arm": arm, **relative} for arm in arms[1:]]),
        probes=pd.DataFrame(compared).assign(**values, verdict="nothing changed", sentence="Nothing changed."),
        swap=pd.DataFrame(swaps),
        geometry=pd.DataFrame(cells).assign(**shape),
    )
