from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tailscope.core import InputError
from tailscope.dissection import AnnotatedImages, DissectionSettings, dissect, unit_concept_counts
from tailscope.dissection.cards import CardSettings, best_units, unit_cards

CLASSES = ("mass", "nodule")


def world() -> tuple[NDArray[np.float32], AnnotatedImages, pd.DataFrame]:
    """Six images of four patients, three units of 2 × 2; unit 2 is dead."""
    maps = np.zeros((6, 3, 2, 2), dtype=np.float32)
    maps[:, 0, 0, 0] = [1, 5, 4, 3, 3, 0]
    maps[:, 1, 1, 1] = [0, 0, 0, 9, 0, 8]
    masks = np.zeros((6, 4, 4), dtype=bool)
    masks[1, :2, :2] = True
    images = AnnotatedImages(
        masks=lambda row, name: masks[row] if (row, name) == (1, "mass") else None,
        targets=np.ones((6, 2)),
        annotated=np.array([[1, 0]]),
        patients=np.array(["p", "q", "q", "r", "s", "s"]),
        classes=CLASSES,
        image_ids=np.array(["f", "e", "d", "c", "b", "a"]),
    )
    units = pd.DataFrame(
        {
            "class": ["mass"] * 3 + ["nodule"] * 3,
            "unit": [0, 1, 2] * 2,
            "value": [0.3, 0.1, 0.0, 0.2, 0.25, 0.0],
            "iou_matched": [0.6, 0.2, 0.0, np.nan, np.nan, np.nan],
            "threshold": [2.0, 8.5, 0.0] * 2,
            "matched_threshold": [3.5, 1.0, 0.0, np.nan, np.nan, np.nan],
        }
    )
    return maps, images, units


def test_the_strongest_images_come_first_one_per_patient_and_ties_by_id() -> None:
    maps, images, units = world()
    (card,) = unit_cards(maps, images, units, [("mass", 0)], CardSettings((4, 4), threshold="fixed"))
    assert card.rows.tolist() == [1, 4, 3]  # 2 is of the patient of 1; "b" comes before "c"
    assert card.maxima.tolist() == [5, 3, 3]


def test_no_more_images_are_shown_than_asked_for() -> None:
    maps, images, units = world()
    (card,) = unit_cards(maps, images, units, [("mass", 0)], CardSettings((4, 4), 2, "fixed"))
    assert card.rows.tolist() == [1, 4]


def test_the_threshold_is_the_layers_or_the_classes() -> None:
    maps, images, units = world()
    for threshold, value, rows in (("fixed", 8.5, [3]), ("matched", 1.0, [3, 5])):
        (card,) = unit_cards(maps, images, units, [("mass", 1)], CardSettings((4, 4), threshold=threshold))
        assert (card.threshold, card.rows.tolist()) == (value, rows)


def test_region_and_peak_lie_where_the_map_is_large_on_the_mask_grid() -> None:
    maps, images, units = world()
    (card,) = unit_cards(maps, images, units, [("mass", 0)], CardSettings((4, 4)))
    # Along each side the corner's value is continued over one pixel, then falls to 3/4, 1/4 and 0 of it.
    expected = np.zeros((4, 4), dtype=bool)
    expected[0, :2] = expected[1, 0] = True  # 5 and 5 · 3/4 = 3.75 are above 3.5; 5 · 9/16 is not
    assert card.regions[0].tolist() == expected.tolist()
    assert card.peaks[0].tolist() == [0, 0]
    (other,) = unit_cards(maps, images, units, [("mass", 1)], CardSettings((4, 4)))
    assert other.peaks.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize(("grid", "size"), [((3, 5), (11, 8)), ((7, 7), (56, 56)), ((1, 1), (4, 3)), ((6, 6), (4, 4))])
def test_a_region_has_the_pixels_that_the_counts_count(grid: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((8, 2, *grid)).astype(np.float32)
    row = {"class": "mass", "value": 0.1, "iou_matched": 0.1, "matched_threshold": 0.2, "threshold": 0.2}
    units = pd.DataFrame([row | {"unit": 0}, row | {"unit": 1}])
    ids = np.array(list("abcdefgh"))
    images = AnnotatedImages(lambda *_: None, np.ones((8, 1)), np.empty((0, 2), int), ids, ("mass",), ids)
    for card in unit_cards(maps, images, units, [("mass", 0), ("mass", 1)], CardSettings(size, 8)):
        shown = maps[card.rows][:, [card.unit]]
        nothing = np.zeros((len(shown), 1, *size), dtype=bool)
        counted = unit_concept_counts(shown, np.array([0.2]), nothing).activated
        assert counted.tolist() == [card.regions.sum()]


def test_agreement_with_all_classes_and_head_weights_stand_in_the_order_of_the_classes() -> None:
    maps, images, units = world()
    head = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    (card,) = unit_cards(maps, images, units[::-1], [("mass", 1)], CardSettings((4, 4)), head)
    assert card.iou_fixed.tolist() == [0.1, 0.25]
    np.testing.assert_array_equal(card.iou_matched, [0.2, np.nan])
    assert card.weights is not None
    assert card.weights.tolist() == [2.0, 5.0]


def test_a_layer_that_does_not_feed_the_head_has_no_weights() -> None:
    maps, images, units = world()
    assert unit_cards(maps, images, units, [("mass", 1)], CardSettings((4, 4)))[0].weights is None


def test_the_classes_annotation_stands_beside_the_region() -> None:
    maps, images, units = world()
    (card,) = unit_cards(maps, images, units, [("mass", 0)], CardSettings((4, 4), threshold="fixed"))
    assert card.annotations.sum(axis=(1, 2)).tolist() == [4, 0, 0]
    assert card.annotations[0, :2, :2].all()


def test_a_dead_unit_has_a_card_without_images() -> None:
    maps, images, units = world()
    (card,) = unit_cards(maps, images, units, [("mass", 2)], CardSettings((4, 4)))
    assert (card.rows.shape, card.regions.shape, card.peaks.shape) == ((0,), (0, 4, 4), (0, 2))


def test_the_order_of_the_images_changes_nothing() -> None:
    maps, images, units = world()
    order = np.array([3, 5, 0, 4, 2, 1])
    moved = AnnotatedImages(
        lambda row, name: images.masks(int(order[row]), name),
        images.targets,
        np.array([[5, 0]]),
        images.patients[order],
        CLASSES,
        images.image_ids[order],
    )
    settings = CardSettings((4, 4), threshold="fixed")
    (there,) = unit_cards(maps, images, units, [("mass", 0)], settings)
    (here,) = unit_cards(maps[order], moved, units, [("mass", 0)], settings)
    assert order[here.rows].tolist() == there.rows.tolist()
    assert here.regions.tolist() == there.regions.tolist()
    assert here.annotations.tolist() == there.annotations.tolist()


def test_the_best_units_of_each_class_by_matched_iou_the_lower_number_first() -> None:
    table = pd.DataFrame(
        {
            "class": ["nodule"] * 4 + ["mass"] * 4,
            "unit": [3, 2, 1, 0] * 2,
            "iou_matched": [0.2, 0.5, 0.5, 0.1, 0.0, np.nan, 0.3, 0.0],
        }
    )
    assert best_units(table, 2) == [("nodule", 1), ("nodule", 2), ("mass", 1)]


def test_cards_are_made_from_the_tables_of_the_lens() -> None:
    maps, images, _ = world()
    found = dissect(maps, images, DissectionSettings(top_fraction=0.1, splits=1, derangements=1))
    choices = best_units(found.units, 1)
    cards = unit_cards(maps, images, found.units, choices, CardSettings((4, 4)))
    assert [(card.concept, card.unit) for card in cards] == choices == [("mass", 0)]
    assert cards[0].rows[0] == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"choices": [("mass", 7)]}, "must be pairs of `units`"),
        ({"head": np.zeros((2, 5))}, "classes by units"),
        ({"settings": CardSettings((4, 5))}, "that of the masks"),
        ({"activations": np.zeros((5, 3, 2, 2))}, "one row per image, 6"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, object], message: str) -> None:
    maps, images, units = world()
    given = {"activations": maps, "choices": [("mass", 0)], "settings": CardSettings((4, 4))} | changed
    with pytest.raises(InputError, match=message):
        unit_cards(images=images, units=units, **given)


@pytest.mark.parametrize("settings", [{"images": 0}, {"threshold": "other"}, {"size": (0, 4)}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="must be"):
        CardSettings(**({"size": (4, 4)} | settings))


def test_less_than_one_unit_per_class_is_refused() -> None:
    with pytest.raises(InputError, match="`per_class`"):
        best_units(world()[2], 0)
