"""The source `vindr_cxr`, against made files with the real headers of PhysioNet and of Kaggle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings
from tailscope.data.label_readers import voted
from tailscope.data.states import Readings
from tailscope.data.views import view_labels
from tailscope.sources import VinDrCxr, recognise
from tailscope.sources.vindr_tables import KAGGLE_CLASSES, PHYSIONET_CLASSES

KAGGLE_HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
KAGGLE_ROWS = (
    "a,No finding,14,R1,,,,",
    "a,No finding,14,R2,,,,",
    "a,No finding,14,R3,,,,",
    "b,Pneumothorax,12,R8,3,4,30,40",
    "b,ILD,5,R8,3,4,30,40",
    "b,Pneumothorax,12,R9,2,4,31,40",
    "b,Cardiomegaly,3,R10,10,20,39,49",
)
BOX_HEADER = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max"
PIXELS = np.add.outer(np.arange(50), np.arange(40)).astype(np.uint8)


@pytest.fixture
def kaggle(tmp_path, write_dicom):
    def build(rows=KAGGLE_ROWS) -> Path:
        (tmp_path / "train.csv").write_text("\n".join([KAGGLE_HEADER, *rows]) + "\n")
        for name in ("a", "b"):
            write_dicom(tmp_path / f"train/{name}.dicom", PIXELS, PatientSex="F")
        return tmp_path

    return build


def label_row(image, reader, *found, names=PHYSIONET_CLASSES):
    return ",".join([image, *([reader] if reader else []), *(str(int(name in found)) for name in names)])


@pytest.fixture
def physionet(tmp_path, write_dicom):
    """PhysioNet's two parts; its train and test headers spell one disease differently and order columns differently."""

    def build(place="annotations") -> Path:
        (tmp_path / place).mkdir(exist_ok=True)
        train = ["Other diseases" if name == "Other disease" else name for name in PHYSIONET_CLASSES]
        rows = [
            label_row("a", "R1", "No finding", names=train),
            label_row("a", "R2", "No finding", names=train),
            label_row("a", "R3", "Other diseases", names=train),
            label_row("b", "R8", "Pneumothorax", "ILD", names=train),
            label_row("b", "R9", "Pneumothorax", names=train),
            label_row("b", "R10", "Pneumothorax", "COPD", names=train),
        ]
        (tmp_path / place / "image_labels_train.csv").write_text(
            "\n".join(["image_id,rad_id," + ",".join(train), *rows])
        )
        test = PHYSIONET_CLASSES[::-1]
        (tmp_path / place / "image_labels_test.csv").write_text(
            "\n".join(["image_id," + ",".join(test), label_row("c", "", "Other disease", "Lung cavity", names=test)])
        )
        boxes = ["a,R1,No finding,,,,", "b,R8,ILD,1.96,5.81,12.36,18.71", "b,R9,Pneumothorax,3.5,4.5,30.0,40.0"]
        (tmp_path / place / "annotations_train.csv").write_text("\n".join([BOX_HEADER, *boxes]))
        (tmp_path / place / "annotations_test.csv").write_text(
            "image_id,class_name,x_min,y_min,x_max,y_max\nc,Lung cavity,1.0,2.0,3.0,4.5\n"
        )
        for name, part in (("a", "train"), ("b", "train"), ("c", "test")):
            write_dicom(tmp_path / f"{part}/{name}.dicom", PIXELS)
        return tmp_path

    return build


def positives(dataset, **settings):
    view = view_labels(dataset, DataSettings(**settings))
    images = dataset.images["image_id"]
    return {(images[row], view.classes[column]) for row, column in np.argwhere(view.targets == 1)}


@pytest.mark.parametrize(
    ("label_readers", "expected"),
    [
        ("any", {("b", "Pneumothorax"), ("b", "ILD"), ("b", "Cardiomegaly"), ("a", "No finding")}),
        ("majority", {("b", "Pneumothorax"), ("a", "No finding")}),
        ("all", {("a", "No finding")}),
        ("R8", {("b", "Pneumothorax"), ("b", "ILD")}),
    ],
)
def test_the_view_makes_the_labels(kaggle, label_readers, expected):
    dataset = VinDrCxr()(kaggle())
    assert positives(dataset, label_readers=label_readers) == expected
    assert set(dataset.labels["reader"]) == {"R1", "R2", "R3", "R8", "R9", "R10"}
    assert dataset.classes == KAGGLE_CLASSES


def test_by_default_a_finding_of_any_reader_is_positive_and_all_else_is_negative_as_before(kaggle):
    dataset = VinDrCxr()(kaggle())
    targets = view_labels(dataset, DataSettings()).targets
    found = {"a": {"No finding"}, "b": {"Pneumothorax", "ILD", "Cardiomegaly"}}
    assert targets.tolist() == [[float(name in found[image]) for name in KAGGLE_CLASSES] for image in ("a", "b")]


def test_the_published_votes_on_pneumothorax_give_96_58_and_45():
    votes = [(1, 0, 0)] * 38 + [(1, 1, 0)] * 13 + [(1, 1, 1)] * 45 + [(0, 0, 0)] * 9
    states = np.array(votes, dtype=bool).T[:, :, None]
    readings = Readings(np.where(states, 0, 1).astype(np.int8), np.full((3, len(votes)), [["a"], ["b"], ["c"]], object))
    counts = [int((voted(readings, rule) == 0).sum()) for rule in ("any", "majority", "all")]
    assert counts == [96, 58, 45]


def test_every_box_keeps_its_reader_and_its_edges(kaggle):
    annotations = VinDrCxr()(kaggle()).annotations
    drawn = list(zip(annotations["class"], annotations["reader"], annotations["geometry"], strict=True))
    assert drawn == [
        ("Pneumothorax", "R8", "[3.0,4.0,30.0,40.0]"),
        ("ILD", "R8", "[3.0,4.0,30.0,40.0]"),
        ("Pneumothorax", "R9", "[2.0,4.0,31.0,40.0]"),
        ("Cardiomegaly", "R10", "[10.0,20.0,39.0,49.0]"),
    ]
    assert set(zip(annotations["ref_height"], annotations["ref_width"], strict=True)) == {(50, 40)}


def test_kaggle_publishes_no_labelled_split_and_no_patient(kaggle):
    dataset = VinDrCxr()(kaggle())
    assert dataset.images["split"].isna().all()
    assert dataset.images["patient_id"].isna().all()
    assert "3 readers per image; every label and every shape keeps its reader" in dataset.notes
    notes = " ".join(view_labels(dataset, DataSettings()).notes)
    assert "labels of 6 readers" in notes
    assert "on 3 of 30 labels that several of them gave they differ; `label_readers: any`" in notes


@pytest.mark.parametrize("place", ["annotations", "train", "."])
def test_physionet_has_27_findings_two_parts_and_a_consensus(physionet, place):
    dataset = VinDrCxr()(physionet(place))
    assert dataset.classes == PHYSIONET_CLASSES
    assert len(dataset.classes) == 28
    assert dataset.images["split"].tolist() == ["train", "train", "test"]
    assert positives(dataset) == {
        ("a", "No finding"),
        ("a", "Other disease"),
        ("b", "Pneumothorax"),
        ("b", "ILD"),
        ("b", "COPD"),
        ("c", "Other disease"),
        ("c", "Lung cavity"),
    }
    assert set(dataset.labels.loc[dataset.labels["image_id"] == "c", "reader"]) == {"consensus"}
    assert json.loads(dataset.annotations["geometry"][0]) == [1.96, 5.81, 12.36, 18.71]
    assert dataset.annotations["reader"].tolist() == ["R8", "R9", "consensus"]


def test_physionet_labels_by_majority(physionet):
    assert positives(VinDrCxr()(physionet()), label_readers="majority") == {
        ("a", "No finding"),
        ("b", "Pneumothorax"),
        ("c", "Other disease"),
        ("c", "Lung cavity"),
    }


def test_boxes_without_a_tick_are_counted(physionet):
    root = physionet()
    path = root / "annotations/annotations_train.csv"
    path.write_text(path.read_text() + "\nb,R9,Cardiomegaly,3.5,4.5,30.0,40.0\n")
    assert "1 boxes of the train part show a finding that their reader did not tick" in VinDrCxr()(root).notes


def test_without_image_labels_the_boxes_vote(physionet):
    root = physionet()
    (root / "annotations/image_labels_train.csv").unlink()
    dataset = VinDrCxr()(root)
    assert ("b", "ILD") in positives(dataset)
    assert "no image_labels_train.csv: labels follow from the boxes" in dataset.notes


def test_monochrome1_is_inverted_once_and_boxes_stay(kaggle, write_dicom):
    root = kaggle()
    plain = VinDrCxr()(root)
    assert np.array_equal(plain.read_pixels(1), PIXELS)
    write_dicom(root / "train/b.dicom", PIXELS, PhotometricInterpretation="MONOCHROME1")
    inverted = VinDrCxr()(root)
    assert np.array_equal(inverted.read_pixels(1), 255 - PIXELS)
    assert inverted.annotations.equals(plain.annotations)


def test_boxes_of_a_reduced_copy_refer_to_the_stated_sizes(kaggle):
    root = kaggle(("b,Pneumothorax,12,R8,100,200,2000,2500",))
    (root / "train/b.dicom").unlink()
    Image.fromarray(PIXELS).save(root / "train/b.png")
    with pytest.raises(DataError, match=r"train\.csv, line 2: box .* lies outside its frame of 40 × 50"):
        VinDrCxr()(root)
    (root / "train_meta.csv").write_text("image_id,dim0,dim1\nb,3000,2400\n")
    dataset = VinDrCxr()(root)
    assert dataset.annotations[["ref_height", "ref_width"]].to_numpy().tolist() == [[3000, 2400]]
    assert "boxes refer to the sizes of 1 images in train_meta.csv" in dataset.notes
    (root / "train_meta.csv").write_text("image_id,dim0,dim1\nb,tall,2400\n")
    with pytest.raises(DataError, match=r"train_meta\.csv holds a size that is no number"):
        VinDrCxr()(root)


def test_headers_are_read_only_if_asked_for(kaggle):
    root = kaggle()
    assert VinDrCxr()(root).images["sex"].isna().all()
    assert VinDrCxr(headers=True)(root).images["sex"].tolist() == ["F", "F"]


def test_missing_images_are_refused_or_skipped_with_their_boxes(kaggle):
    root = kaggle()
    (root / "train/b.dicom").unlink()
    with pytest.raises(DataError, match="1 of 2 listed images are missing"):
        VinDrCxr()(root)
    dataset = VinDrCxr(missing="skip")(root)
    assert dataset.images["image_id"].tolist() == ["a"]
    assert dataset.annotations.empty


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,Pneumotorax,12,R8,3,4,30,40", "line 9: class 'Pneumotorax' is unknown.*Pneumothorax"),
        ("b,Lung cavity,1,R8,3,4,30,40", "class 'Lung cavity' is none of Kaggle's 14"),
        ("b,ILD,5,R8,3,x,30,40", "line 9: box 3, x, 30, 40 is not four numbers"),
        ("b,ILD,5,R8,3,,30,40", "line 9: box 3, , 30, 40 is not four numbers"),
        ("b,ILD,5,R8,30,4,3,40", "line 9: box .* is inverted or empty"),
        ("b,ILD,5,R8,3,4,300,40", "line 9: box .* lies outside its frame of 40 × 50"),
    ],
)
def test_a_wrong_box_is_refused(kaggle, row, message):
    with pytest.raises(DataError, match=message):
        VinDrCxr()(kaggle((*KAGGLE_ROWS, row)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("ILD", "ILDD"), "column 'ILDD' is no finding.*ILD"),
        (lambda text: text + "\n" + text.splitlines()[1], "R1 has read image 'a' already; keep one row"),
        (lambda text: text + "\n" + text.splitlines()[1].replace("a,R1,0", "a,R7,2"), "label '2' is unknown"),
        (lambda text: text + "\n" + text.splitlines()[1].replace("a,R1", "c,R1"), "image 'c' stands in both parts"),
    ],
)
def test_a_wrong_table_of_labels_is_refused(physionet, change, message):
    root = physionet()
    path = root / "annotations/image_labels_train.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        VinDrCxr()(root)


def test_both_copies_are_recognised(kaggle, tmp_path):
    assert recognise(kaggle()).variant == "Kaggle, train.csv"
    (tmp_path / "train.csv").write_text("image_id,class_name,x_min,y_min,x_max,y_max\n")
    assert recognise(tmp_path) is None


def test_physionets_copy_is_recognised(physionet):
    found = recognise(physionet())
    assert found.source == "vindr_cxr"
    assert found.variant.startswith("PhysioNet, image_labels_train.csv, image_labels_test.csv")


def test_a_folder_without_tables_and_unknown_settings_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds neither annotations/image_labels_train\.csv nor train\.csv"):
        VinDrCxr()(tmp_path)
    with pytest.raises(InputError, match="`missing` must be error, skip or tables"):
        VinDrCxr(missing="no")  # type: ignore[arg-type]
