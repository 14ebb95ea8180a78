"""Notes on what can hardly be true."""

from __future__ import annotations

import pandas as pd

from tailscope.data.doubtful import constant_note, doubtful_notes


def table(**columns):
    usual = {
        "image_id": ["a", "b", "c"],
        "patient_id": ["p", "p", "q"],
        "age": [1.0, 120.0, None],
        "sex": ["M", None, "F"],
    }
    return pd.DataFrame({**usual, **columns})


def test_a_sound_table_is_not_doubted():
    assert doubtful_notes(table()) == ()


def test_a_set_without_any_patient_is_told_elsewhere():
    assert doubtful_notes(table(patient_id=[None, None, None])) == ()


def test_impossible_ages_are_counted_and_the_first_is_shown():
    (note,) = doubtful_notes(table(age=[-1.0, 121.0, 50.0]))
    assert note.startswith("2 images state an age below 0 or above 120 years ('-1' of 'a' and 1 more)")


def test_words_for_a_sex_are_known_in_any_case():
    assert doubtful_notes(table(sex=["Female", "MALE", "u"])) == ()
    (note,) = doubtful_notes(table(sex=["F", "PA", "M"]))
    assert "('PA' of 'b')" in note


def test_no_constant_image_makes_no_note():
    assert constant_note([]) == ()
