"""A configuration that takes seconds, for the tests of this folder."""

from __future__ import annotations

from typing import Any

ARGS = {"train": 96, "val": 48, "test": 96, "prevalence": {"effusion": 0.3, "mass": 0.2}, "minimum_positives": 8}


def small_content(**changes: Any) -> dict[str, Any]:
    """Two classes, two arms, one seed, one epoch; ``changes`` replace whole sections."""
    return {
        "name": "small",
        "data": {"source": "phantom", "image_size": 64, "args": dict(ARGS)},
        "model": {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}},
        "treatments": ["control", "weighted_sampling"],
        "seeds": [0],
        "training": {"epochs": 1, "batch_size": 32, "lr": 3e-3},
        "lenses": {"alignment": {"soundness": {"pairs": 4}, "shortcuts": {"images": 10}}},
        "compare": {"resamples": 100},
        **changes,
    }
