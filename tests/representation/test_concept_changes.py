from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tailscope.core import InputError
from tailscope.representation.concept_changes import NOT_TESTED, concept_changes
from tailscope.representation.matching import UnitMatch

CLASSES = ("mass", "nodule")


def units(mass: str, nodule: str) -> pd.DataFrame:
    """One letter per unit: x is a detector."""
    rows = [
        {"class": name, "unit": unit, "detector": letter == "x", "iou_matched": 0.1 * unit + 0.01 * number}
        for number, (name, letters) in enumerate(zip(CLASSES, (mass, nodule), strict=True))
        for unit, letter in enumerate(letters)
    ]
    return pd.DataFrame(rows)


def paired(*partner: int) -> UnitMatch:
    pairs = np.array(partner)
    return UnitMatch(pairs, np.where(pairs < 0, np.nan, 0.9 - 0.1 * np.arange(len(pairs))))


def counts(table: pd.DataFrame, name: str) -> dict[str, float]:
    return table.set_index("class").loc[name].drop("reason").to_dict()


def test_a_permuted_network_keeps_every_concept() -> None:
    a, b = units("xx..", "..x."), units(".x.x", "x...")
    found = concept_changes(a, b, paired(3, 1, 0, 2))
    assert set(found.units["change"]) == {"kept"}
    assert found.classes["kept"].tolist() == [2, 1]
    assert found.classes[["lost", "gained", "moved"]].to_numpy().sum() == 0


def test_detectors_are_kept_lost_and_gained_with_their_partners() -> None:
    found = concept_changes(units("xx..", "...."), units("x.x.", "...."), paired(0, 1, 2, 3))
    rows = found.units[["class", "change", "unit_a", "unit_b"]].to_numpy().tolist()
    assert rows == [["mass", "kept", 0, 0], ["mass", "lost", 1, 1], ["mass", "gained", 2, 2]]
    np.testing.assert_allclose(found.units["correlation"], [0.9, 0.8, 0.7])
    np.testing.assert_allclose(found.units["iou_a"], [0.0, 0.1, 0.2])
    expected = {"detectors_a": 2, "detectors_b": 2, "kept": 1, "lost": 1, "gained": 1, "moved": 0}
    assert counts(found.classes, "mass") == {**expected, "unmatched_a": 0, "unmatched_b": 0}
    assert found.classes["class"].tolist() == list(CLASSES)


def test_a_unit_that_changed_its_class_is_named_on_both_sides() -> None:
    found = concept_changes(units("x.", ".."), units("..", "x."), paired(0, 1))
    rows = found.units[["class", "change", "elsewhere"]].to_numpy().tolist()
    assert rows == [["mass", "lost", "nodule"], ["nodule", "gained", "mass"]]
    assert found.classes["moved"].tolist() == [1, 0]


def test_a_unit_that_took_up_a_second_class_did_not_move() -> None:
    found = concept_changes(units("x.", ".."), units("x.", "x."), paired(0, 1))
    rows = found.units[["class", "change", "elsewhere"]].to_numpy().tolist()
    assert rows == [["mass", "kept", ""], ["nodule", "gained", "mass"]]
    assert found.classes["moved"].tolist() == [0, 0]


def test_detectors_without_partner_are_lost_or_gained_and_counted_apart() -> None:
    found = concept_changes(units("xx", ".."), units("xx", ".."), paired(1, -1))
    rows = found.units[["change", "unit_a", "unit_b"]].to_numpy().tolist()
    assert rows == [["kept", 0, 1], ["lost", 1, -1], ["gained", -1, 0]]
    assert np.isnan(found.units["correlation"].to_numpy()[1:]).all()
    assert np.isnan(found.units["iou_b"][1])
    assert np.isnan(found.units["iou_a"][2])
    assert found.classes[["unmatched_a", "unmatched_b"]].to_numpy().tolist() == [[1, 1], [0, 0]]


def test_the_sums_hold_for_any_tables() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = (units(*("".join(rng.choice(list("x."), 9)) for _ in CLASSES)) for _ in range(2))
        partner = rng.permutation(9)
        partner[rng.random(9) < 0.3] = -1
        found = concept_changes(a, b, paired(*partner.tolist())).classes
        assert (found["kept"] + found["lost"]).tolist() == found["detectors_a"].tolist()
        assert (found["kept"] + found["gained"]).tolist() == found["detectors_b"].tolist()
        assert found["detectors_a"].sum() == a["detector"].sum()


def test_the_other_way_round_lost_and_gained_change_places() -> None:
    a, b, order = units("xx..", "..x."), units(".xx.", "x..x"), np.array([2, 3, 1, 0])
    there = concept_changes(a, b, paired(*order)).classes
    back = concept_changes(b, a, paired(*np.argsort(order))).classes
    assert there[["lost", "gained", "kept"]].to_numpy().tolist() == back[["gained", "lost", "kept"]].to_numpy().tolist()
    assert there["lost"].sum() > 0


@pytest.mark.parametrize(("kind", "missing"), [(object, np.nan), (object, None), ("boolean", pd.NA)])
def test_a_class_without_test_is_not_estimable(kind: object, missing: object) -> None:
    a, b = units("xx", "x."), units("xx", "x.").astype({"detector": kind})
    b.loc[b["class"] == "mass", "detector"] = missing
    found = concept_changes(a, b, paired(0, 1))
    mass = found.classes.iloc[0]
    assert mass["reason"] == NOT_TESTED
    assert np.isnan(mass.drop(["class", "reason"]).astype(float)).all()
    assert set(found.units["class"]) == {"nodule"}


def test_the_order_of_rows_changes_nothing() -> None:
    a, b = units("xx..", "..x."), units(".xx.", "x..x")
    expected, found = (concept_changes(one, b, paired(2, 3, 1, 0)) for one in (a, a.iloc[[3, 1, 0, 2, 7, 6, 5, 4]]))
    pd.testing.assert_frame_equal(found.units, expected.units)
    other = concept_changes(a, b.iloc[::-1], paired(2, 3, 1, 0))
    pd.testing.assert_frame_equal(other.classes, expected.classes)


def test_no_detector_gives_an_empty_table_with_columns() -> None:
    found = concept_changes(units("..", ".."), units("..", ".."), paired(0, 1))
    assert found.units.empty
    assert "change" in found.units.columns
    assert found.classes["kept"].tolist() == [0, 0]


def test_tables_that_do_not_fit_are_refused() -> None:
    a = units("xx", "..")
    with pytest.raises(InputError, match="'detector'"):
        concept_changes(a.drop(columns="detector"), a, paired(0, 1))
    with pytest.raises(InputError, match="units 0 to U - 1"):
        concept_changes(a, a.iloc[:3], paired(0, 1))
    with pytest.raises(InputError, match="same classes"):
        concept_changes(a, a[a["class"] == "mass"], paired(0, 1))
    with pytest.raises(InputError, match="`match` must pair"):
        concept_changes(a, a, paired(0, 2))
    with pytest.raises(InputError, match="`match` must pair"):
        concept_changes(a, a, paired(0))
