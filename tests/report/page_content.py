"""A report's content with everything in it, made of generated tables."""

import dataclasses

import numpy as np
import pandas as pd
from further_content import ensembles, performance, statistics
from unit_content import unit_tables

from tailscope.core import generator
from tailscope.report import GalleryCase, GalleryView, ReportContent

ARMS = ("control", "weighted_sampling", "focal γ=2")
CLASSES = (("effusion", "head", 900), ("mass", "medium", 210), ("<b>x</b>", "medium", 120), ("hernia", "tail", 12))


def class_table():
    rows = [
        {
            "class": name,
            "group": group,
            "train_positives": n,
            "train_negatives": 6000 - n,
            "val_positives": n // 5,
            "test_positives": n // 3,
            "test_negatives": 2000 - n // 3,
            "unknown": 0,
            "annotated_test": n // 6,
            "prevalence": n / 6000,
        }
        for name, group, n in CLASSES
    ]
    return pd.DataFrame(rows[::-1])


def estimates(arms=ARMS):
    random = generator(0, "estimates")
    rows = []
    for metric, start in (("auroc", 0.82), ("average_precision", 0.41), ("expected_calibration_error", 0.05)):
        for name in ("macro", "head", "tail", *(name for name, _, _ in CLASSES)):
            for arm in arms:
                value, half = start + 0.03 * random.standard_normal(), 0.02 + 0.03 * random.random()
                rows.append(("performance", metric, name, arm, value, value - half, value + half, 2000, ""))
        rows[-1] = ("performance", metric, "hernia", arms[-1], np.nan, np.nan, np.nan, 2000, "no positive test image")
    return pd.DataFrame(rows, columns=["lens", "metric", "class", "arm", "value", "lo", "hi", "n", "reason"])


def findings(arms=ARMS):
    random = generator(0, "findings")
    verdicts = ("equivalent", "undecided", "better", "undecided (4 positive patients)", "differs, within the margin")
    rows = []
    for lens, metric in (
        ("performance", "auroc"),
        ("performance", "average_precision"),
        ("alignment", "mass_inside"),
        ("dissection", "best_iou_matched"),
    ):
        for name, group, n in CLASSES:
            for arm in arms[1:]:
                difference, se = 0.04 * random.standard_normal(), 0.005 + 0.02 * random.random()
                rows.append(
                    {
                        "lens": lens, "metric": metric, "class": name, "group": group, "arm": arm, "control": "control",
                        "n": 2000, "patients": n // 3, "difference": difference, "lo": difference - 2 * se,
                        "hi": difference + 2 * se, "se": se, "p": 0.03, "p_adjusted": 0.2, "seed_noise": se / 2,
                        "mde": 3 * se, "verdict": verdicts[len(rows) % 5], "reason": "",
                        "primary": lens != "performance",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def hidden():
    kinds = ("hidden difference", "candidate", "not visible")
    return pd.DataFrame(
        [
            {
                "class": name, "arm": ARMS[1], "lens": "alignment", "metric": "mass_inside", "kind": kind,
                "difference": -0.09, "lo": -0.13, "hi": -0.05, "p": 0.001, "p_adjusted": 0.02,
                "auroc_difference": 0.004, "ap_difference": -0.003,
                "positives_needed": 140 if kind == "not visible" else np.nan,
            }
            for kind, name in zip(kinds, ("mass", "effusion", "hernia"), strict=True)
        ]
    )  # fmt: skip


def alignment(arms=ARMS):
    random = generator(0, "alignment")
    rows = []
    for metric in ("pointing_game", "mass_inside"):
        for name, group, n in CLASSES:
            for arm in arms:
                excess = 0.15 + 0.1 * random.standard_normal()
                rows.append(
                    {
                        "class": name, "group": group, "arm": arm, "method": "gradcam", "metric": metric,
                        "value": excess + 0.08, "reference": 0.08, "excess": excess, "lo": excess - 0.05,
                        "hi": excess + 0.05, "n": n // 6, "patients": n // 7, "degenerate": 0.02, "attainable": 0.71,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def references(arms=ARMS):
    return pd.DataFrame(
        [
            {"class": name, "arm": arm, "method": "gradcam", "reference": reference, "excess": 0.05 + 0.01 * number}
            for name in ("macro", "mass", "hernia")
            for arm in arms
            for number, reference in enumerate(("untrained", "edge", "class_mean_annotation"))
        ]
    )


def views(arms=ARMS):
    return pd.DataFrame(
        [
            {"class": name, "arm": arm, "method": "gradcam", "view": view, "excess": 0.2, "n": 30}
            for name in ("macro", "mass")
            for arm in arms
            for view in ("all pairs", "true positives")
        ]
    )


def sizes(arms=ARMS):
    return pd.DataFrame(
        [
            {
                "arm": arm, "method": "gradcam", "size": size, "area": area, "value": area + 0.1, "reference": area,
                "excess": 0.1, "n": 40,
            }
            for size, area in (("large", 0.2), ("medium", 0.05), ("small", 0.01))
            for arm in arms
        ]
    )  # fmt: skip


def localization(arms=ARMS):
    return pd.DataFrame(
        [
            {
                "class": name, "arm": arm, "method": "gradcam", "overlap": overlap, "at": at, "value": 0.9 - at,
                "reference": 0.4 - 0.4 * at,
            }
            for name in ("macro", "mass")
            for arm in arms
            for overlap, limits in (("iou", (0.1, 0.3, 0.5, 0.7)), ("iobb", (0.1, 0.25, 0.5, 0.75, 0.9)))
            for at in limits
        ]
    )  # fmt: skip


def shortcuts(arms=ARMS):
    rows = []
    for confounder in ("chest_tube", "outside_body"):
        for name, _, n in CLASSES:
            for arm in arms:
                is_shortcut = (confounder, name, arm) == ("chest_tube", "mass", arms[1])
                removal = {"removal": 0.8 if is_shortcut else 0.01, "removal_lo": 0.0, "removal_hi": 0.9}
                if confounder == "outside_body":
                    removal = dict.fromkeys(removal, np.nan)
                rows.append(
                    {
                        "class": name, "confounder": confounder, "arm": arm, "share": 0.4 if is_shortcut else 0.05,
                        "chance": 0.04, "excess": 0.36 if is_shortcut else 0.01, "lo": 0.0, "hi": 0.4, **removal,
                        "verdict": "shortcut" if is_shortcut else "none found", "n": n // 6,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def soundness(arms=ARMS):
    checks = (("class discriminative", 0.9), ("parameters randomised", 0.5))
    return pd.DataFrame(
        [
            {
                "method": method, "check": check, "arm": arm, "value": value, "lo": value - 0.1, "hi": value + 0.1,
                "limit": limit, "n": 24, "verdict": "fails" if value > limit else "sound", "sentence": "said so",
            }
            for method, value in (("gradcam", 0.2), ("eigencam", 1.0))
            for check, limit in checks
            for arm in arms
        ]
    )  # fmt: skip


def stages(arms=ARMS):
    found = (("cascading: fc", 0.6), ("all weights", 0.2), ("independent: layer1", 0.4))
    rows = [
        {"method": "gradcam", "arm": arm, "stage": stage, "value": value, "n": 24}
        for arm in arms
        for stage, value in found
    ]
    return pd.DataFrame(rows).assign(lo=lambda frame: frame["value"] - 0.1, hi=lambda frame: frame["value"] + 0.1)


def units(arms=ARMS):
    rows = [
        {
            "class": name, "group": group, "arm": arm, "crossfit": 0.2 + 0.04 * (n % 3), "lo": 0.1, "hi": 0.3,
            "best_iou_fixed": 0.06,
            "attainable_fixed": 0.31, "units_per_100": 1.25, "n": n // 6, "patients": n // 7, "reason": "",
        }
        for name, group, n in CLASSES
        for arm in arms
    ]  # fmt: skip
    rows[-1] |= {"crossfit": np.nan, "lo": np.nan, "hi": np.nan, "reason": "fewer than 7 annotated patients"}
    return pd.DataFrame(rows)


def layers(arms=ARMS):
    return pd.DataFrame(
        [{"arm": arm, "layer": "layer4", "units": 512, "dead": 3, "live": 509, "grid": "18 × 24"} for arm in arms]
    )


def history(arms=ARMS):
    return pd.DataFrame(
        [
            {
                "run": f"{arm}-s{seed}", "arm": arm, "seed": seed, "epoch": epoch,
                "train_loss": 0.6 / epoch + 0.05 * seed, "val_auroc": 0.8 - 0.2 / epoch + 0.01 * seed,
            }
            for arm in arms
            for seed in range(3)
            for epoch in range(1, 9)
        ]
    )  # fmt: skip


def audit(arms=ARMS):
    runs = []
    for arm in arms:
        for seed in range(3):
            verdict = "failed" if arm == ARMS[1] and seed == 2 else "ok"
            runs.append(
                {
                    "arm": arm, "seed": seed, "verdict": verdict, "sentence": f"{verdict} in seed {seed}",
                    "problems": [{"check": "repetition", "verdict": "failed", "sentence": "9 of 160 images are seen"}]
                    if verdict == "failed" else [],
                    "allowed": True, "weights_from": "", "images": 160, "images_drawn": 100 + seed,
                    "images_drawn_expected": 101.5, "loss_ratio": 0.25, "gradient_norm_ratio": 0.5,
                    "trained_norm_ratio": 0.0625, "lr": 0.003, "selected_epoch": 2,
                }
            )  # fmt: skip
    adjusted = {**runs[0], "arm": "prior_shift", "weights_from": "control"}
    return pd.DataFrame([*runs, adjusted])


def gradient_shares(arms=ARMS):
    return pd.DataFrame(
        [
            {"arm": arm, "moment": moment, "group": group, "share": share + 0.01 * number, "share_control": share}
            for number, arm in enumerate(arms)
            for moment in ("start", "end")
            for group, share in (("head", 0.6), ("medium", 0.3), ("tail", 0.05))
        ]
    )


def draws(arms=ARMS):
    factors = (1, 3) + (1,) * len(arms)
    return pd.DataFrame(
        [
            {
                "arm": arm, "class": name, "prevalence": n / 6000, "expected": factor * n / 6000,
                "realised": 1.1 * factor * n / 6000,
            }
            for arm, factor in zip(arms, factors, strict=False)
            for name, _, n in CLASSES
        ]
    )  # fmt: skip


def balance():
    shares = {"positives": 0.9, "positives_drawn": 0.25, "negatives": 0.08, "negatives_drawn": 0.25}
    rows = [
        {"arm": ARMS[1], "column": "chest_tube", "class": name, "group": group}
        | {key: share if group == "True" else 1 - share for key, share in shares.items()}
        for name in ("hernia", "mass")
        for group in ("False", "True")
    ]
    return pd.DataFrame(rows)


def tuning(arms=ARMS):
    rows = []
    for arm in arms:
        for trial, lr in enumerate((0.001, 0.003, 0.01)):
            is_chosen = trial == 2
            rows.append(
                {
                    "arm": arm, "trial": trial, "lr": lr, "parameter": "gamma" if arm.startswith("focal") else "",
                    "value": 2.0 if arm.startswith("focal") else np.nan, "score": 0.7 + 0.01 * trial, "epoch": 4,
                    "selected": is_chosen, "reason": "",
                    "at_edge": "the best learning rate may lie beyond 0.01" if is_chosen and arm == ARMS[2] else "",
                }
            )  # fmt: skip
    rows[0] |= {"score": np.nan, "epoch": np.nan, "reason": "the loss became nan"}
    return pd.DataFrame(rows)


def gallery(arms=ARMS):
    cases = []
    rows, columns = np.mgrid[0:96, 0:128]
    for number, (name, group, _) in enumerate(CLASSES):
        random = generator(number, "gallery")
        centre = (30 + 10 * number, 40 + 12 * number)
        distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        image = 90 + 60 * np.sin(columns / 20) + 60 * np.exp(-distance / 200) + 6 * random.standard_normal((96, 128))
        saliency = np.exp(-distance / 300)[::8, ::8]
        maps = (saliency, saliency[::-1], np.zeros((12, 16)))
        views = tuple(GalleryView(arm, maps[place % 3], 0.83, 0.41) for place, arm in enumerate(arms))
        cases.append(
            GalleryCase(f"image-{number:03d}", name, group, image.clip(0, 255).astype(np.uint8), distance < 150, views)
        )
    return tuple(cases)


def build(**changes):
    content = ReportContent(
        name="phantom demo",
        created="2026-11-24T02:00:00Z",
        version="0.1.0",
        arms=ARMS,
        seeds=(0, 1, 2),
        notes=("Blank labels count as negative.", "Two files were unreadable & left out."),
        settings_yaml="name: demo\nseeds: [0, 1, 2]\n",
        provenance={"versions": {"python": "3.12", "numpy": "2.3"}, "timings_s": {"train": 812.25}, "seeds": [0, 1, 2]},
        test_images=2000,
        gallery_note="Grad-CAM of seed 0.",
        class_table=class_table(),
        estimates=estimates(),
        findings=findings(),
        hidden=hidden(),
        statistics=statistics(ARMS, CLASSES),
        performance=performance(ARMS, CLASSES),
        alignment=alignment(),
        references=references(),
        views=views(),
        sizes=sizes(),
        localization=localization(),
        shortcuts=shortcuts(),
        soundness=soundness(),
        stages=stages(),
        units=units(),
        layers=layers(),
        **unit_tables(ARMS, CLASSES),
        history=history(),
        audit=audit(),
        gradient_shares=gradient_shares(),
        draws=draws(),
        balance=balance(),
        identical={"focal γ=2": "its loss is control's", "prior_shift": "monotone per class"},
        calibrated_only=("prior_shift",),
        ensembles=ensembles(),
        tuning=tuning(),
        gallery=gallery(),
    )
    return dataclasses.replace(content, **changes)


TWELVE = ("control", "weighted_sampling", *(f"class_balanced_focal (beta=0.99{n})" for n in range(10)))


def twelve_arms():
    """The same with twelve arms of long names."""
    return build(
        arms=TWELVE,
        estimates=estimates(TWELVE),
        findings=findings(TWELVE),
        statistics=statistics(TWELVE, CLASSES),
        performance=performance(TWELVE, CLASSES),
        alignment=alignment(TWELVE),
        units=units(TWELVE),
        layers=layers(TWELVE),
        history=history(TWELVE),
        audit=audit(TWELVE),
        gradient_shares=gradient_shares(TWELVE),
        draws=draws(TWELVE),
        tuning=tuning(TWELVE),
        gallery=gallery(TWELVE),
    )


EMPTY = ReportContent(name="nothing", created="2026-11-24", version="0.1.0", arms=("control",), seeds=(0,))
