"""A page's content with a whole configuration and provenance, and ways to change single facts of them."""

import copy
import dataclasses
import functools

import page_content
import yaml

_page = functools.cache(page_content.build)  # its tables are shared: a test changes copies

SETTINGS = {
    "name": "demo",
    "data": {
        "source": "nih_chestxray14",
        "image_size": [96, 128],
        "resize": "pad",
        "labels": "multi_label",
        "uncertain": "ignore",
        "unmentioned": "negative",
        "readers": "union",
    },
    "model": {"source": "timm", "name": "resnet18", "args": {"output_stride": 8}},
    "treatments": [
        {"name": "control", "label": None, "lr": None},
        {"name": "weighted_sampling", "label": None, "lr": None},
        {"name": "focal", "label": "focal γ=2", "lr": 0.0007, "gamma": 2.5, "alpha": 0.25},
    ],
    "seeds": [0, 1, 2],
    "training": {
        "epochs": 11,
        "batch_size": 48,
        "optimizer": "adam",
        "lr": 0.003,
        "weight_decay": 1e-6,
        "schedule": "cosine",
        "warmup_fraction": 0.05,
        "early_stop": None,
        "augment": {
            "rotation_deg": 7.0,
            "translation": 0.04,
            "scale": 0.06,
            "brightness": 0.1,
            "contrast": 0.0,
            "flips": "auto",
        },
    },
    "lenses": {
        "performance": {},
        "alignment": {"attributions": [{"name": "gradcam"}], "layer": "layer4", "shortcuts": {"images": 170}},
        "dissection": {
            "layer": ["layer3", "layer4"],
            "top_fraction": 0.005,
            "derangements": 1300,
            "fractions": [0.002, 0.04],
            "causes": {"top": 6, "splits": 21},
        },
        "representation": {"layer": "layer4", "minibatch": 72},
    },
    "compare": {
        "control": "control",
        "second_control": False,
        "equivalence_margin": 0.02,
        "lens_margin": 0.02,
        "resamples": 1900,
        "seed": 0,
    },
    "tune": {"seed": 1001},
}
PLAN = {
    "hash": "c0ffee1234",
    "statistics": {
        "ratio_limits": [0.8, 1.25],
        "alpha": 0.05,
        "primary": ["mass_inside", "best_iou_matched", "probe_auroc"],
        "min_seeds": 3,
        "min_patients": 20,
        "min_patients_equivalent": 50,
    },
}
PROVENANCE = {
    "versions": {"python": "3.11.7", "tailscope": "0.1.0", "torch": "2.14.1", "scipy": "1.17.1", "timm": "1.0.31"},
    "hardware": {"machine": "x86_64", "cores": 6, "accelerators": []},
    "data": {
        "source": "nih_chestxray14",
        "fingerprint": "8e96d482f4e84f4c",
        "images": 8600,
        "patients": 3100,
        "patients_known": True,
        "notes": ["split as published", "37 uncertain labels became ignore"],
    },
    "analysis_plan": PLAN,
    "plan_history": [{"hash": "c0ffee1234", "date": "2026-01-02T03:04:05+00:00", "predicted": 0, "changed": []}],
    "fair_comparison": {
        "initial_weights": {"seed 0": {"control": "aa", "weighted_sampling": "aa", "focal γ=2": "aa"}},
        "batch_order": {"seed 0": {"control": "bb", "weighted_sampling": "cc", "focal γ=2": "bb"}},
    },
}


def changed(facts, **changes):
    """Nested facts with some values replaced; dots are written as double underscores."""
    facts = copy.deepcopy(facts)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = facts
        for key in above:
            place = place[key]
        place[last] = value
    return facts


def content(settings=None, provenance=None, **changes):
    """The whole page's content, with changes of the configuration, the provenance and the fields."""
    settings, provenance = changed(SETTINGS, **settings or {}), changed(PROVENANCE, **provenance or {})
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    return dataclasses.replace(_page(), settings_yaml=text, provenance=provenance, **changes)
