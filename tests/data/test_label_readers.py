"""Several readers of one image: whose labels count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailscope.core import DataError, InputError, UnknownNameError
from tailscope.core.records import STATES
from tailscope.data import DataSettings, SplitSettings, inspect_dataset, prepare
from tailscope.data.derived_classes import derived_dataset
from tailscope.data.label_readers import shares, voted
from tailscope.data.states import Readings, readings_of
from tailscope.data.validation import check_dataset
from tailscope.data.views import view_labels
from tailscope.sources import CsvTables

LETTERS = {"p": "positive", "n": "negative", "u": "uncertain", "-": "unmentioned"}
# What the readers of an image say of one class, and what any, all and a majority of them say together, by hand.
CASES = [
    ("p", "p", "p", "p"),
    ("n", "n", "n", "n"),
    ("u", "u", "u", "u"),
    ("-", "-", "-", "-"),
    ("pp", "p", "p", "p"),
    ("pn", "p", "n", "u"),
    ("pu", "p", "u", "u"),
    ("p-", "p", "-", "u"),
    ("nu", "u", "n", "u"),
    ("n-", "n", "n", "n"),
    ("u-", "u", "-", "u"),
    ("--", "-", "-", "-"),
    ("ppn", "p", "n", "p"),
    ("pnn", "p", "n", "n"),
    ("pn-", "p", "n", "n"),
    ("p--", "p", "-", "-"),
    ("pun", "p", "n", "u"),
    ("ppu", "p", "u", "p"),
    ("uun", "u", "n", "u"),
    ("ppnn", "p", "n", "u"),
]


@pytest.fixture
def tables(csv_folder):
    """The data set of 60 images, with the labels replaced: every image is read as the letters say."""
    dataset = CsvTables()(csv_folder())

    def build(said, other="n"):
        rows = []
        for image, letters in zip(dataset.images["image_id"], said, strict=False):
            for number, letter in enumerate(letters):
                rows.append((image, "mass", LETTERS[letter], f"R{number}"))
                rows.append((image, "hernia", LETTERS[other], f"R{number}"))
        return replace(dataset, labels=pd.DataFrame(rows, columns=["image_id", "class", "state", "reader"]))

    return build


def together(dataset, rule, name="mass"):
    return [STATES[code] for code in voted(readings_of(dataset, (name,)), rule)[:, 0]]


@pytest.mark.parametrize(("rule", "column"), [("any", 1), ("all", 2), ("majority", 3), ("each", 3)])
def test_readers_say_together_what_the_rule_says_by_hand(tables, rule, column):
    dataset = tables([case[0] for case in CASES])
    assert together(dataset, rule)[: len(CASES)] == [LETTERS[case[column]] for case in CASES]


def test_a_class_without_a_row_of_a_reader_is_unmentioned_by_that_reader(tables):
    dataset = tables(["pp", "pp"])
    first = dataset.images["image_id"][0]
    silent = (dataset.labels["image_id"] == first) & (dataset.labels["class"] == "mass")
    silent &= dataset.labels["reader"] == "R1"
    dataset = replace(dataset, labels=dataset.labels[~silent])
    assert together(dataset, "all")[:2] == ["unmentioned", "positive"]
    assert together(dataset, "majority")[:2] == ["uncertain", "positive"]


def test_an_image_that_nobody_read_is_unmentioned_by_every_rule(tables):
    dataset = tables(["pp"])
    for rule in ("any", "all", "majority", "each"):
        assert set(together(dataset, rule)[1:]) == {"unmentioned"}


def test_the_order_of_rows_changes_nothing(tables):
    dataset = tables([case[0] for case in CASES])
    mixed = replace(dataset, labels=dataset.labels.sample(frac=1, random_state=3))
    assert np.array_equal(readings_of(mixed, ("mass",)).states, readings_of(dataset, ("mass",)).states)


def test_one_reader_alone_counts_and_the_images_of_others_are_unknown(tables):
    dataset = tables(["np", "p", "pn", "u"])
    view = view_labels(dataset, DataSettings(label_readers="R1"))
    assert view.targets[[0, 2], 0].tolist() == [1, 0]
    assert np.isnan(view.targets[[1, 3], :]).all()
    assert "58 images were not read by R1, whose labels alone count; theirs are unknown" in view.notes


def test_an_unknown_reader_is_refused_and_the_known_ones_are_named(tables):
    with pytest.raises(
        UnknownNameError, match=r"`label_readers` must be any, majority, all, each or a reader .*Known: .*R0, R1"
    ):
        view_labels(tables(["pn"]), DataSettings(label_readers="R"))
    with pytest.raises(InputError, match="`label_readers` must be any, majority, all, each or the name"):
        DataSettings(label_readers="")


def test_the_notes_count_the_labels_on_which_readers_differ(tables):
    notes = view_labels(tables(["pp", "pn", "ppu", "p"]), DataSettings(label_readers="all")).notes
    # three images have several readers and two classes each; on the mass of two of them they differ
    assert "labels of 3 readers ('R0', 'R1', 'R2'); on 2 of 6 labels that several of them gave they differ" in notes[0]
    assert notes[0].endswith("`label_readers: all` takes for positive what all readers of an image say")


def test_with_one_reader_per_image_nothing_is_noted_and_every_rule_gives_the_same(tables):
    dataset = tables(list("pnu" * 20))
    views = [view_labels(dataset, DataSettings(label_readers=rule)) for rule in ("any", "majority", "all", "each")]
    assert all(np.array_equal(view.training, views[0].targets, equal_nan=True) for view in views)
    assert not any("readers" in note for view in views for note in view.notes)


@pytest.mark.parametrize(
    ("said", "policy", "share"),
    [
        ("pn", "ignore", 1 / 2),
        ("ppn", "ignore", 2 / 3),
        ("pnu", "ignore", 1 / 2),
        ("pnu", "zeros", 1 / 3),
        ("pnu", "ones", 2 / 3),
        ("pnu", "soft(0.4)", 1.4 / 3),
        ("pp", "ignore", 1.0),
        ("uu", "ignore", np.nan),
        ("p-", "ignore", 1 / 2),
    ],
)
def test_each_reading_counts_by_its_own_target(tables, said, policy, share):
    view = view_labels(tables([said, "pn"]), DataSettings(label_readers="each", uncertain=policy))
    assert np.allclose(view.training[0, 0], share, equal_nan=True)


def test_a_reading_that_says_nothing_is_left_out_of_the_share_where_silence_is_ignored(tables):
    view = view_labels(tables(["ppn-"]), DataSettings(label_readers="each", unmentioned="ignore"))
    assert view.training[0, 0] == np.float32(2 / 3)


def test_the_share_of_an_image_without_reading_is_that_of_silence():
    dataset_states = np.full((2, 1, 1), STATES.index("unmentioned"), dtype=np.int8)
    readings = Readings(dataset_states, np.array([[None], [None]], dtype=object))
    assert shares(np.zeros((2, 1, 1), dtype=np.float32), readings).tolist() == [[0.0]]


def test_training_takes_the_share_and_validation_and_test_the_majority(tables, tmp_path):
    dataset = tables((["pp", "nn", "ppn", "pnn"] * 15)[:60])
    settings = DataSettings(image_size=(8, 10), classes=("mass",), split=SplitSettings(test=0.3, val=0.2))
    each = prepare(dataset, replace(settings, label_readers="each"), tmp_path)
    majority = prepare(dataset, replace(settings, label_readers="majority"), tmp_path)
    assert np.array_equal(each.split, majority.split)
    train = each.split == "train"
    assert np.array_equal(each.targets[~train], majority.targets[~train])
    said = np.array([1.0, 0.0, 2 / 3, 1 / 3] * 15, dtype=np.float32)[:, None]
    disputed = train[:, None] & (said > 0) & (said < 1)
    assert np.isnan(each.targets[disputed]).all()
    assert np.array_equal(each.soft[disputed], said[disputed])
    assert np.isnan(each.soft[~disputed]).all()
    assert each.fingerprint != majority.fingerprint
    assert majority.soft is None


def test_readers_may_label_the_same_image_and_one_of_them_only_once(tables):
    dataset = tables(["pn", "p"])
    check_dataset(dataset)
    twice = replace(dataset, labels=pd.concat([dataset.labels, dataset.labels.head(1)]))
    with pytest.raises(DataError, match=r"1 labels are given more than once.*one state per image, class and reader"):
        check_dataset(twice)


def test_derived_classes_are_made_reader_by_reader(tables):
    dataset = tables(["pn", "nn"], other="p")
    joined = derived_dataset(dataset, DataSettings(class_map={"finding": ("mass", "hernia")}))
    assert set(joined.labels["reader"]) == {"R0", "R1"}
    assert together(joined, "all", "finding")[:2] == ["positive", "positive"]
    closed = derived_dataset(tables(["pn", "nn"]), DataSettings(hierarchy={"hernia": ("mass",)}))
    assert together(closed, "any", "hernia")[:2] == ["positive", "negative"]
    assert together(closed, "all", "hernia")[:2] == ["negative", "negative"]
    assert "'hernia' became positive on 1 images where a class below it is" in closed.notes


def test_inspection_counts_by_the_chosen_rule(tables):
    dataset = tables((["pn", "nn"] * 30)[:60])
    for rule, number in (("any", 30), ("all", 0)):
        found = inspect_dataset(dataset, DataSettings(label_readers=rule), decode=False)
        assert found.states.set_index("class").loc["mass", "positive"] == number


def test_a_binary_label_takes_no_share():
    with pytest.raises(InputError, match=r"`labels: binary` takes no probability.*got `label_readers: each`"):
        DataSettings(labels="binary", label_readers="each")
