from __future__ import annotations

import json

import numpy as np
import pytest

from tailscope.core import ANNOTATION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, Dataset, InputError, decode_rle
from tailscope.data.phantom import Phantom
from tailscope.data.phantom_plan import PREVALENCE
from tailscope.data.registry import DATASETS
from tailscope.data.validation import check_dataset

SMALL = {"train": 200, "val": 80, "test": 120, "minimum_positives": 4}


@pytest.fixture(scope="module")
def small() -> Dataset:
    return Phantom(**SMALL)(None)


def test_the_registry_builds_it_by_name() -> None:
    assert DATASETS.build("phantom", train=50) == Phantom(train=50)


def test_its_tables_have_the_columns_of_every_source_and_pass_the_checks(small: Dataset) -> None:
    check_dataset(small)
    assert tuple(small.images.columns) == IMAGE_COLUMNS
    assert tuple(small.labels.columns) == LABEL_COLUMNS
    assert tuple(small.annotations.columns) == ANNOTATION_COLUMNS
    assert small.extra_masks is not None
    assert tuple(small.extra_masks.columns) == ANNOTATION_COLUMNS


def test_the_classes_are_those_of_the_prevalence_in_its_order(small: Dataset) -> None:
    assert small.classes == tuple(PREVALENCE)
    assert Phantom(**SMALL, prevalence={"hernia": 0.1, "mass": 0.1})(None).classes == ("hernia", "mass")


def test_an_annotation_stands_exactly_where_a_label_is_positive(small: Dataset) -> None:
    positive = small.labels[small.labels["state"] == "positive"]
    assert set(zip(positive["image_id"], positive["class"], strict=True)) == set(
        zip(small.annotations["image_id"], small.annotations["class"], strict=True)
    )


def test_every_mask_has_a_pixel(small: Dataset) -> None:
    for geometry in [*small.annotations["geometry"], *small.extra_masks["geometry"]]:
        mask = decode_rle(json.loads(geometry))
        assert mask.shape == (64, 64)
        assert mask.any()


def test_artifacts_stand_apart_from_the_classes(small: Dataset) -> None:
    assert set(small.extra_masks["class"]) == {"chest_tube", "laterality_marker", "ecg_lead"}


def test_no_patient_stands_in_two_splits(small: Dataset) -> None:
    assert small.images.groupby("patient_id")["split"].nunique().max() == 1
    assert small.images["patient_id"].str.fullmatch(r"P\d{6}").all()


def test_every_image_has_content_of_its_own_that_follows_the_settings(small: Dataset) -> None:
    content = small.content()
    assert len(set(content)) == len(small.images)
    assert content == Phantom(**SMALL)(None).content()
    assert content[0] != Phantom(**SMALL, subtlety=0.1)(None).content()[0]
    assert content[0] != Phantom(**SMALL, size=65)(None).content()[0]


def test_pixels_are_read_row_by_row_in_any_order(small: Dataset) -> None:
    first = small.read_pixels(7)
    small.read_pixels(3)
    assert first.dtype == np.uint8
    assert first.shape == (64, 64)
    np.testing.assert_array_equal(first, small.read_pixels(7))


def test_a_flip_is_not_allowed(small: Dataset) -> None:
    assert not small.flips_allowed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prevalence": {"masss": 0.1}}, "unknown class 'masss'; did you mean 'mass'"),
        ({"prevalence": {"mass": 1.2}}, "`prevalence` of mass must lie between 0 and 1; got 1.2"),
        ({"prevalence": {"mass": "rare"}}, "`prevalence` of mass must lie between 0 and 1; got 'rare'"),
        ({"prevalence": {}}, "`prevalence` is empty"),
        ({"size": 63}, "`size` must be a whole number from 64 to 512 pixels; got 63"),
        ({"size": 513}, "`size` must be .* got 513"),
        ({"subtlety": 1.5}, "`subtlety` must be from 0 .* got 1.5"),
        ({"test_subtlety": -0.1}, "`subtlety` must be from 0 .* got -0.1"),
        ({"val": 8}, "`val` has 8 images, too few for 8 positives of infiltration and one negative"),
        ({"val": 0}, "`val` must be 2 images or more; got 0"),
        ({"minimum_positives": 0}, "`minimum_positives` must be 1 or more; got 0"),
        ({"images_per_patient": (3, 1)}, "`images_per_patient` must be"),
        ({"test_shortcuts": "loose"}, "`test_shortcuts` must be free or tied; got 'loose'"),
        ({"shortcuts": {"tumour": {"artifact": "chest_tube", "strength": 1}}}, "unknown class 'tumour'"),
        ({"shortcuts": {"mass": {"artifact": "tube", "strength": 1}}}, "no artifact 'tube'"),
        ({"shortcuts": {"mass": {"artifact": "ecg_lead", "strength": 1.1}}}, "`strength` must be from 0 to 1; got 1.1"),
        ({"shortcuts": {"mass": {"artifact": "ecg_lead"}}}, "must have `artifact` and `strength`"),
        ({"shortcuts": [{"class": "mass"}]}, "`shortcuts` must map each class to its artifact and strength"),
        ({"shortcuts": {"mass": "ecg_lead"}}, "`shortcuts` must map each class to its artifact and strength"),
        (
            {"shortcuts": {name: {"artifact": "ecg_lead", "strength": 0.9} for name in ("mass", "nodule")}},
            "ties one artifact to several classes",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_its_remedy(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Phantom(**settings)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(InputError, match=r"(?s)masss.*size"):
        Phantom(prevalence={"masss": 0.1}, size=10)


def test_a_shortcut_is_seen_in_the_masks_and_told_in_the_notes() -> None:
    data = Phantom(**SMALL, shortcuts={"mass": {"artifact": "chest_tube", "strength": 1.0}})(None)
    train = set(data.images.loc[data.images["split"] == "train", "image_id"])
    masses = set(data.annotations.loc[data.annotations["class"] == "mass", "image_id"]) & train
    tubes = set(data.extra_masks.loc[data.extra_masks["class"] == "chest_tube", "image_id"]) & train
    assert masses == tubes
    assert any("chest_tube in 100% of the mass positives" in note for note in data.notes)


def test_plain_lesions_in_the_test_split_change_its_pixels_and_no_others() -> None:
    faint = Phantom(**SMALL, subtlety=1.0)(None)
    plain = Phantom(**SMALL, subtlety=1.0, test_subtlety=0.0)(None)
    differ = np.array(faint.content()) != np.array(plain.content())
    assert (differ == (faint.images["split"] == "test").to_numpy()).all()
    ill = plain.labels.loc[plain.labels["state"] == "positive", "image_id"]
    rows = np.flatnonzero(differ & plain.images["image_id"].isin(ill).to_numpy())
    assert (Phantom(**SMALL, subtlety=0.0)(None).read_pixels(rows[0]) == plain.read_pixels(rows[0])).all()
    assert (faint.read_pixels(rows[0]) != plain.read_pixels(rows[0])).any()
    assert "lesions have subtlety 1 in train and val, 0 in test" in plain.notes
