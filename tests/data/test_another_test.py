"""Another data set as the test split: no image is dropped, no class is confused, nothing leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tailscope.core import DataError, LeakageError
from tailscope.data import DataSettings, OtherTest, Phantom, SplitSettings, TrainingSet, prepare, prepare_test
from tailscope.data.preparation import content_digests
from tailscope.sources import CsvTables

FRAME = (64, 64)
SETTINGS = DataSettings(image_size=FRAME, split=SplitSettings(test=0.3, val=0.2))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(cache):
    return trained(phantom(seed=0), cache)


@pytest.fixture(scope="module")
def other():
    return phantom(seed=7, prevalence={"effusion": 0.5, "pneumothorax": 0.3, "mass": 0.4})


def phantom(**changes):
    given = {"train": 40, "val": 15, "test": 25, "size": 64, "minimum_positives": 2, **changes}
    return Phantom(**{"prevalence": {"mass": 0.4, "effusion": 0.4}, **given})(None)


def trained(dataset, cache, settings=SETTINGS):
    data = prepare(dataset, settings, cache)
    return TrainingSet(data, settings, content_digests(dataset, cache), is_read=bool(dataset.images["path"].any()))


def used_as_test(dataset, first, cache, *, part="test", population="all", **view):
    asked = OtherTest("elsewhere", replace(SETTINGS, **view), part, population)
    return prepare_test(dataset, asked, first, cache)


def test_training_and_validation_are_those_of_the_first_set(first, other, cache):
    data = used_as_test(other, first, cache)
    for split in ("train", "val"):
        before, now = first.data.rows(split), data.rows(split)
        assert data.image_ids[now].tolist() == first.data.image_ids[before].tolist()
        assert np.array_equal(data.targets[now], first.data.targets[before])
        assert np.array_equal(data.pixels[now], first.data.pixels[before])
    assert data.counts == first.data.counts
    assert data.trained_on == first.data.fingerprint != data.fingerprint


def test_the_test_split_is_the_other_set(first, other, cache):
    data = used_as_test(other, first, cache)
    alone = prepare(other, replace(SETTINGS, classes=("mass", "effusion")), cache)
    here, there = data.rows("test"), alone.rows("test")
    assert [name.removeprefix("elsewhere/") for name in data.image_ids[here]] == alone.image_ids[there].tolist()
    assert np.array_equal(data.pixels[here], alone.pixels[there])
    order = [alone.classes.index(name) for name in data.classes]
    assert np.array_equal(data.targets[here], alone.targets[there][:, order])


def test_masks_of_both_sets_stay_with_their_images(first, other, cache):
    data = used_as_test(other, first, cache)
    alone = prepare(other, replace(SETTINGS, classes=("mass", "effusion")), cache)
    row_of = {name: row for row, name in enumerate(alone.image_ids.tolist())}
    seen = 0
    for row, number in data.annotated.tolist():
        name = data.classes[number]
        assert data.targets[row, number] == 1
        if data.split[row] == "test":
            own = row_of[str(data.image_ids[row]).removeprefix("elsewhere/")]
            assert np.array_equal(data.mask(row, name), alone.mask(own, name))
            seen += 1
        else:
            before = first.data.image_ids.tolist().index(str(data.image_ids[row]))
            assert np.array_equal(data.mask(row, name), first.data.mask(before, name))
    assert seen > 5


def test_all_images_are_tested_on_request(first, other, cache):
    assert used_as_test(other, first, cache, part="all").rows("test").size == len(other.images)


def test_a_class_that_the_other_set_does_not_label_is_unknown_and_drops_no_image(first, cache):
    lacking = phantom(seed=9, prevalence={"mass": 0.3})
    data = used_as_test(lacking, first, cache)
    rows = data.rows("test")
    assert rows.size == 25
    assert np.isnan(data.targets[rows, data.classes.index("effusion")]).all()
    assert set(data.targets[rows, data.classes.index("mass")].tolist()) == {0.0, 1.0}
    assert any("it does not label 'effusion'" in note and "no image is dropped" in note for note in data.notes)


def test_classes_are_mapped_by_the_names_of_the_configuration(first, cache):
    renamed = phantom(seed=9, prevalence={"pneumothorax": 0.4, "hernia": 0.3})
    data = used_as_test(renamed, first, cache, class_map={"effusion": ("pneumothorax", "hernia")})
    alone = prepare(renamed, replace(SETTINGS, classes=("pneumothorax", "hernia")), cache)
    rows = data.rows("test")
    expected = alone.targets[alone.rows("test")].max(axis=1)
    assert np.array_equal(data.targets[rows, data.classes.index("effusion")], expected)
    assert any("class 'effusion' is 'pneumothorax' or 'hernia'" in note for note in data.notes)


def test_a_map_to_a_class_that_the_networks_do_not_know_is_refused(first, other, cache):
    with pytest.raises(DataError, match=r"`class_map` of test set 'elsewhere' leads to 'edema'; expected .* know"):
        used_as_test(other, first, cache, class_map={"edema": ("mass",)})


def test_sets_without_a_common_class_are_refused(first, cache):
    with pytest.raises(DataError, match=r"none of the classes .* say in `class_map` which of them is which"):
        used_as_test(phantom(seed=9, prevalence={"hernia": 0.3}), first, cache)


def test_the_published_population_keeps_images_with_a_mapped_positive_alone(first, other, cache):
    whole, kept = used_as_test(other, first, cache), used_as_test(other, first, cache, population="as_published")
    rows = whole.rows("test")
    diseased = rows[(whole.targets[rows] == 1).any(axis=1)]
    assert kept.image_ids[kept.rows("test")].tolist() == whole.image_ids[diseased].tolist()
    assert 0 < diseased.size < rows.size
    assert any("AUROC and AP are among diseased images" in note for note in kept.notes)


def test_the_same_images_in_training_and_test_are_refused(first, cache):
    with pytest.raises(LeakageError, match="have the same content and stand in the test set, the training data"):
        used_as_test(phantom(seed=0), first, cache, part="all")


def test_the_test_images_of_the_first_set_may_be_tested_again(first, cache):
    again = used_as_test(phantom(seed=0), first, cache)
    rows = first.data.rows("test")
    assert np.array_equal(again.pixels[again.rows("test")], first.data.pixels[rows])


def test_a_patient_of_two_parts_of_one_set_is_refused(csv_folder, cache):
    dataset = CsvTables(patient_column="patient")(csv_folder())
    first = trained(dataset, cache)
    kept = first.data.split == "train"
    shared = replace(first, shares_patients=True)
    images = dataset.images.assign(path=[f"{name}" for name in dataset.images["path"]])
    flipped = replace(
        dataset,
        images=images.assign(image_id="again-" + images["image_id"]),
        labels=dataset.labels.assign(image_id="again-" + dataset.labels["image_id"]),
        annotations=dataset.annotations.assign(image_id="again-" + dataset.annotations["image_id"]),
        read_pixels=lambda row: dataset.read_pixels(row)[:, ::-1],
        content=lambda: [f"flipped {row}" for row in range(len(images))],
    )
    assert kept.any()
    with pytest.raises(LeakageError, match=r"patient 'p\d+' stands in the test set, the training data"):
        used_as_test(flipped, shared, cache, near_duplicates="report")
    assert used_as_test(flipped, first, cache, near_duplicates="report").rows("test").size == len(images)


def test_images_that_look_alike_are_refused_across_sets(csv_folder, cache):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (60, 48, 48), dtype=np.uint8)
    dataset = replace(CsvTables(patient_column="patient")(csv_folder()), read_pixels=lambda row: pictures[row])
    dataset = replace(dataset, content=lambda: [f"picture {row}" for row in range(60)])
    first = trained(dataset, cache, replace(SETTINGS, image_size=(48, 48)))
    brighter = replace(
        dataset,
        read_pixels=lambda row: (255 * (pictures[row] / 255) ** 0.8).astype(np.uint8),
        content=lambda: [f"brighter {row}" for row in range(60)],
    )
    with pytest.raises(LeakageError, match="pairs of images that look alike stand in two splits"):
        used_as_test(brighter, first, cache)
    assert used_as_test(brighter, first, cache, near_duplicates="report").rows("test").size == 60


def test_what_one_set_does_not_state_of_its_images_is_missing_there(first, other, cache):
    silent = replace(first, data=replace(first.data, attributes={"hospital": np.full(80, "north", dtype=object)}))
    data = used_as_test(other, silent, cache)
    train, test = data.rows("train"), data.rows("test")
    assert data.is_mask("chest_tube")
    assert not data.attributes["chest_tube"][train].any()
    assert np.isnan(data.attributes["age"][train]).all()
    assert np.isfinite(data.attributes["age"][test]).all()
    assert set(data.attributes["hospital"][test].tolist()) == {None}
    assert set(data.attributes["hospital"][train].tolist()) == {"north"}


def test_the_fingerprint_depends_on_both_sets_and_on_the_view(first, other, cache):
    prints = {
        used_as_test(other, first, cache).fingerprint,
        used_as_test(other, first, cache, part="all").fingerprint,
        used_as_test(other, first, cache, class_map={"mass": ("effusion",)}).fingerprint,
        used_as_test(phantom(seed=8), first, cache).fingerprint,
    }
    assert len(prints) == 4
    assert used_as_test(other, first, cache).fingerprint in prints
