from __future__ import annotations

import numpy as np
import pytest

from tailscope.core import resize_bilinear
from tailscope.dissection import AnnotatedImages, DissectionSettings, activation_thresholds, dissect
from tailscope.dissection.curve import pooled_activation
from tailscope.dissection.thresholds import fraction_thresholds

SIZE, IMAGES = 16, 24
FRACTIONS = (0.002, 0.02, 0.1)


def world() -> tuple[np.ndarray, np.ndarray, AnnotatedImages]:
    rng = np.random.default_rng(0)
    masks = np.zeros((IMAGES, SIZE, SIZE), dtype=bool)
    for mask in masks[:12]:
        y, x = rng.integers(0, SIZE - 6, 2)
        mask[y : y + 5, x : x + 4] = True
    maps = rng.random((IMAGES, 4, 4, 4)).astype(np.float32)
    maps[:, 2] += resize_bilinear(masks[:, None].astype(np.float32), (4, 4))[:, 0]
    targets = np.zeros((IMAGES, 2))
    targets[:12, 0] = 1
    annotated = np.stack([np.arange(12), np.zeros(12, dtype=int)], axis=1)
    ids = np.array([f"i{n:02d}" for n in range(IMAGES)])
    images = AnnotatedImages(lambda row, name: masks[row], targets, annotated, np.arange(IMAGES), ("mass", "scar"), ids)
    return maps, masks, images


def settings(fractions: tuple[float, ...] = FRACTIONS, top_fraction: float = 0.005) -> DissectionSettings:
    return DissectionSettings(top_fraction, splits=1, derangements=19, crossfit_derangements=1, fractions=fractions)


def test_each_point_is_the_best_unit_when_every_pixel_is_counted_at_that_fraction() -> None:
    maps, masks, images = world()
    curve = dissect(maps, images, settings()).curve
    mass = curve[curve["class"] == "mass"]
    assert mass["fraction"].tolist() == list(FRACTIONS)
    for (_, point), fraction in zip(mass.iterrows(), FRACTIONS, strict=True):
        thresholds = activation_thresholds(maps, fraction)
        active = resize_bilinear(maps, (SIZE, SIZE)) > thresholds[:, None, None]
        both = (active & masks[:, None]).sum(axis=(0, 2, 3))
        iou = both / (active | masks[:, None]).sum(axis=(0, 2, 3))
        share = masks.mean()
        assert point["best"] == pytest.approx(iou.max(), rel=1e-12)
        assert point["unit"] == iou.argmax()
        assert point["attainable"] == pytest.approx(min(share, fraction) / max(share, fraction))
        if point["attainable"] >= 0.2:
            assert point["above_rule"] == (iou > 0.04).sum()


def test_a_fraction_far_from_the_concept_says_so_instead_of_counting_units() -> None:
    maps, _, images = world()
    curve = dissect(maps, images, settings()).curve.set_index(["class", "fraction"])
    assert curve.loc[("mass", 0.002), "reason"] == "not attainable"
    assert np.isnan(curve.loc[("mass", 0.002), "above_rule"])
    assert curve.loc[("mass", 0.1), "reason"] == ""


def test_a_class_without_annotation_has_a_reason_at_every_fraction() -> None:
    maps, _, images = world()
    curve = dissect(maps, images, settings()).curve
    scar = curve[curve["class"] == "scar"]
    assert len(scar) == 3
    assert scar[["best", "unit", "attainable", "above_rule"]].isna().all(axis=None)
    assert set(scar["reason"]) == {"no annotated test image"}


def test_the_curve_does_not_move_the_fraction_that_the_layer_is_reported_at() -> None:
    maps, _, images = world()
    with_curve, without = dissect(maps, images, settings()), dissect(maps, images, settings(fractions=()))
    assert with_curve.units["value"].equals(without.units["value"])
    assert with_curve.counts.equals(without.counts)
    assert list(without.curve.columns) == list(with_curve.curve.columns)
    assert len(without.curve) == 0
    point = dissect(maps, images, settings(fractions=(0.1, 0.005))).curve.set_index(["class", "fraction"])
    best = with_curve.units[with_curve.units["class"] == "mass"]["value"].max()
    assert point.loc[("mass", 0.005), "best"] == best


@pytest.mark.parametrize("most_bytes", [0, 2**28])
def test_thresholds_of_all_fractions_are_those_of_each(most_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailscope.dissection.thresholds.MOST_BYTES", most_bytes)
    maps = world()[0]
    maps[:, 1] = np.maximum(maps[:, 1] - 0.95, 0)
    maps[:, 3] = -np.round(maps[:, 3] * 3)
    expected = [activation_thresholds(maps, fraction).tolist() for fraction in FRACTIONS]
    assert fraction_thresholds(maps, FRACTIONS).tolist() == expected


def test_activation_is_pooled_over_each_classs_images_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = world()[0]
    pools = np.random.default_rng(1).random((IMAGES, 2)) < 0.5
    thresholds = fraction_thresholds(maps, FRACTIONS)
    active = resize_bilinear(maps, (SIZE, SIZE))[None] > thresholds[:, None, :, None, None]
    expected = np.einsum("fnuyx,nk->fuk", active.astype(np.int64), pools.astype(np.int64))
    for limit in (1, 2**25):
        monkeypatch.setattr("tailscope.dissection.thresholds._CHUNK_BYTES", limit)
        assert pooled_activation(maps, thresholds, pools, (SIZE, SIZE)).tolist() == expected.tolist()
