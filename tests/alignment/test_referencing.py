from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from tailscope.alignment import METRICS, REFERENCE_MAPS, referencing
from tailscope.alignment.masking import PackedMasks
from tailscope.alignment.reference_maps import ReferenceScene
from tailscope.alignment.referencing import reference_scores
from tailscope.core import InputError

ALL = {name: REFERENCE_MAPS.build(name) for name in REFERENCE_MAPS.names()}
SOME = {name: METRICS.build(name) for name in ("mass_inside", "iou", "pointing_game", "iou_at_area")}


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.random((5, 6, 7)).astype(np.float32)


def test_each_reference_map_is_scored_on_each_pair_by_each_metric(masks, images, rng):
    training = rng.random((6, 7))
    table = reference_scores(ALL, PackedMasks.of(masks), SOME, lambda pair: images[pair], training)
    scene = ReferenceScene((6, 7), images, training)
    for name, reference in ALL.items():
        saliency = np.broadcast_to(reference(scene), (5, 6, 7)).astype(np.float32)
        for metric in SOME:
            rows = table[(table["reference"] == name) & (table["metric"] == metric)]
            assert rows["pair"].tolist() == [0, 1, 2, 3, 4]
            np.testing.assert_allclose(rows["value"], SOME[metric](saliency, masks), rtol=1e-12)
    assert list(table.columns) == ["pair", "metric", "reference", "value", "reason"]
    assert len(table) == 5 * 4 * 5
    assert set(table.loc[table["reference"] != "uniform", "reason"]) == {""}
    assert set(table.loc[table["reference"] == "uniform", "reason"]) == {"degenerate map"}


def test_a_map_that_cannot_be_made_is_nan_with_its_reason(masks):
    table = reference_scores(ALL, PackedMasks.of(masks), SOME)
    reasons = table.groupby("reference")["reason"].unique().map(list).to_dict()
    assert reasons["edge"] == ["no images"]
    assert reasons["class_mean_annotation"] == ["no annotations"]
    assert table["value"].isna().eq(table["reason"].str.startswith("no ")).all()


def test_an_empty_annotation_is_nan_with_its_reason(masks, images):
    masks[3] = False
    table = reference_scores(ALL, PackedMasks.of(masks), SOME, lambda pair: images[pair], masks.mean(axis=0))
    empty = table[table["pair"] == 3]
    assert set(empty["reason"]) == {"empty annotation"}
    assert empty["value"].isna().all()
    assert table[table["pair"] != 3]["value"].notna().all()


def test_an_image_without_an_edge_counts_as_uniform(masks, images):
    images[2] = 0.4
    table = reference_scores(
        {"edge": ALL["edge"]}, PackedMasks.of(masks), {"mass": SOME["mass_inside"]}, lambda pair: images[pair]
    )
    assert table["reason"].tolist() == ["", "", "degenerate map", "", ""]
    assert table["value"][2] == pytest.approx(masks[2].mean())


def test_chunks_of_images_do_not_change_the_numbers(masks, images, monkeypatch):
    whole = reference_scores(ALL, PackedMasks.of(masks), SOME, lambda pair: images[pair])
    monkeypatch.setattr(referencing, "_CHUNK_IMAGES", 2)
    parts = reference_scores(ALL, PackedMasks.of(masks), SOME, lambda pair: images[pair])
    pd.testing.assert_frame_equal(parts, whole, check_exact=True)


def test_no_reference_gives_an_empty_table_with_its_columns(masks):
    table = reference_scores({}, PackedMasks.of(masks), SOME)
    assert len(table) == 0
    assert list(table.columns) == ["pair", "metric", "reference", "value", "reason"]


def test_a_map_of_another_size_is_refused(masks):
    @dataclass(frozen=True)
    class Narrow:
        needs: ClassVar[str] = "frame"

        def __call__(self, scene):
            return np.ones((2, 2))

    with pytest.raises(InputError, match=r"must give a map \(6, 7\), or one for each of 5 pairs; got \(2, 2\)"):
        reference_scores({"narrow": Narrow()}, PackedMasks.of(masks), SOME)
