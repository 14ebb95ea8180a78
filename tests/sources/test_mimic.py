"""The source `mimic_cxr_jpg`, against made files with the real headers, of CXR-LT and MS-CXR as well."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import DataError, InputError
from tailscope.data import DataSettings, SplitSettings, prepare
from tailscope.sources import MimicCxrJpg, recognise
from tailscope.sources.chexpert_tables import CLASSES

METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
ALPHABETICAL = tuple(sorted(CLASSES))
IMAGES = (  # image, patient, study, view, split
    ("d-1", "10000032", "50414267", "PA", "train"),
    ("d-2", "10000032", "50414267", "LATERAL", "train"),
    ("d-3", "10000032", "53189527", "AP", "train"),
    ("d-4", "11000011", "51967283", "AP", "validate"),
    ("d-5", "12000026", "51613820", "AP", "test"),
)
STUDIES = {
    "50414267": {"Edema": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"},
    "53189527": {"No Finding": "1.0", "Support Devices": "1.0"},
    "51613820": {"Lung Opacity": "0.0"},
}
BOX_HEADER = "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split"


def label_lines(studies=STUDIES, names=ALPHABETICAL) -> list[str]:
    patients = {study: patient for _, patient, study, *_ in IMAGES}
    rows = [
        ",".join([patients[study], study, *(cells.get(name, "") for name in names)]) for study, cells in studies.items()
    ]
    return ["subject_id,study_id," + ",".join(names), *rows]


def write(path: Path, lines, *, packed=False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_images(root: Path, folder="files") -> None:
    for number, (image, patient, study, *_) in enumerate(IMAGES):
        path = root / f"{folder}/p{patient[:2]}/p{patient}/s{study}/{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 10), 9 * number, dtype=np.uint8)).save(path)


def mimic(root: Path, *, packed=False, images=True) -> Path:
    facts = [f"{image},{patient},{study},CHEST,{view},3056,2544,,,,," for image, patient, study, view, _ in IMAGES]
    splits = [f"{image},{study},{patient},{split}" for image, patient, study, _, split in IMAGES]
    write(root / "mimic-cxr-2.0.0-metadata.csv", [METADATA, *facts], packed=packed)
    write(root / "mimic-cxr-2.0.0-split.csv", ["dicom_id,study_id,subject_id,split", *splits], packed=packed)
    write(root / "mimic-cxr-2.0.0-chexpert.csv", label_lines(), packed=packed)
    if images:
        write_images(root)
    return root


def states(dataset) -> dict[tuple[str, str], str]:
    labels = dataset.labels
    return dict(zip(zip(labels["image_id"], labels["class"], strict=True), labels["state"], strict=True))


@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_gzipped_tables_are_read_alike(tmp_path, packed):
    dataset = MimicCxrJpg()(mimic(tmp_path, packed=packed))
    assert dataset.images["image_id"].tolist() == ["d-1", "d-3", "d-4", "d-5"]
    assert dataset.images["path"][0] == "files/p10/p10000032/s50414267/d-1.jpg"
    assert dataset.images["view"].tolist() == ["PA", "AP", "AP", "AP"]
    assert dataset.images["patient_id"].tolist() == ["10000032", "10000032", "11000011", "12000026"]


def test_packed_and_unpacked_copies_of_a_table_are_one(tmp_path):
    mimic(tmp_path, packed=True)
    assert len(MimicCxrJpg()(mimic(tmp_path)).images) == 4


def test_validate_is_val(tmp_path):
    assert MimicCxrJpg()(mimic(tmp_path)).images["split"].tolist() == ["train", "train", "val", "test"]


def test_labels_of_a_study_stand_on_all_its_images_and_four_states_stay_apart(tmp_path):
    dataset = MimicCxrJpg(views="all")(mimic(tmp_path))
    found = states(dataset)
    for image in ("d-1", "d-2"):
        named = {"Edema": "positive", "Pneumonia": "uncertain", "Fracture": "negative", "Cardiomegaly": "unmentioned"}
        assert {name: found[image, name] for name in named} == named
    assert found["d-3", "No Finding"] == found["d-3", "Support Devices"] == "positive"


def test_columns_may_stand_in_any_order(tmp_path):
    root = mimic(tmp_path)
    first = states(MimicCxrJpg()(root))
    write(root / "mimic-cxr-2.0.0-chexpert.csv", label_lines(names=CLASSES[::-1]))
    assert states(MimicCxrJpg()(root)) == first


def test_a_study_without_labels_is_kept_and_unmentioned(tmp_path):
    dataset = MimicCxrJpg()(mimic(tmp_path))
    assert {state for (image, _), state in states(dataset).items() if image == "d-4"} == {"unmentioned"}
    assert "1 studies have no row of labels: all their labels are unmentioned" in dataset.notes


def test_the_other_miner_is_a_choice(tmp_path):
    root = mimic(tmp_path)
    write(root / "mimic-cxr-2.0.0-negbio.csv", label_lines({"50414267": {"Edema": "-1"}}))
    assert states(MimicCxrJpg(labels="negbio")(root))["d-1", "Edema"] == "uncertain"
    (root / "mimic-cxr-2.0.0-negbio.csv").unlink()
    with pytest.raises(DataError, match=r"holds no mimic-cxr-2\.\*-negbio\.csv or \.csv\.gz"):
        MimicCxrJpg(labels="negbio")(root)


def test_radiologists_say_airspace_opacity_and_replace_the_miner_on_their_studies(tmp_path):
    root = mimic(tmp_path)
    names = ["Airspace Opacity" if name == "Lung Opacity" else name for name in ALPHABETICAL if name != "Pleural Other"]
    cells = ["1.0" if name == "Airspace Opacity" else "-1.0" if name == "Edema" else "" for name in names]
    table = ["study_id," + ",".join(names), ",".join(["51613820", *cells])]
    write(root / "mimic-cxr-2.1.0-test-set-labeled.csv", table)
    assert states(MimicCxrJpg()(root))["d-5", "Lung Opacity"] == "negative"
    dataset = MimicCxrJpg(test_set="radiologist")(root)
    found = states(dataset)
    assert found["d-5", "Lung Opacity"] == "positive"
    assert found["d-5", "Edema"] == "uncertain"
    assert found["d-5", "Pleural Other"] == "unmentioned"
    readers = dataset.labels.drop_duplicates("image_id").set_index("image_id")["reader"]
    assert readers.to_dict() == {"d-1": "report", "d-3": "report", "d-4": "report", "d-5": "radiologist"}


def test_reduced_copies_of_the_images_are_found(tmp_path):
    mimic(tmp_path, images=False)
    write_images(tmp_path, "files-512")
    write_images(tmp_path, "files-64")
    assert MimicCxrJpg()(tmp_path).images["path"][0].startswith("files-512/p10/")


def test_missing_images_are_refused_or_skipped(tmp_path):
    root = mimic(tmp_path)
    next(root.rglob("d-3.jpg")).unlink()
    with pytest.raises(DataError, match=r"1 of 4 listed images are missing.*'d-3'.*missing: skip"):
        MimicCxrJpg()(root)
    dataset = MimicCxrJpg(missing="skip")(root)
    assert dataset.images["image_id"].tolist() == ["d-1", "d-4", "d-5"]
    assert "1 listed images are not on disk and were skipped" in dataset.notes


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("metadata", "d-1,1,2,CHEST,AP,1,1,,,,,", "line 7: image 'd-1' is listed already"),
        ("metadata", "d-9,,2,CHEST,AP,1,1,,,,,", "line 7: dicom_id, subject_id or study_id is blank"),
        ("split", "d-1,50414267,10000032,val", "line 7: split 'val' is unknown; expected train, validate, test"),
        ("split", "d-1,50414267,10000032,test", "line 7: image 'd-1' stands in two splits"),
        ("chexpert", "1,50414267," + "," * 13, "line 5: study '50414267' has other labels in an earlier row"),
        ("chexpert", "1,9,2" + "," * 13, "line 5: label '2' is unknown"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, name, line, message):
    path = mimic(tmp_path) / f"mimic-cxr-2.0.0-{name}.csv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        MimicCxrJpg()(tmp_path)


def test_a_table_that_lacks_a_class_is_refused(tmp_path):
    write(mimic(tmp_path) / "mimic-cxr-2.0.0-chexpert.csv", label_lines(names=ALPHABETICAL[1:]))
    with pytest.raises(DataError, match="has no column 'Atelectasis'"):
        MimicCxrJpg()(tmp_path)


def box_line(image="d-1", name="Edema", numbers="500,600,200,100,2544,3056") -> str:
    return f"{image},{name},mild edema,files/p10/x.jpg,{numbers},train"


def test_boxes_are_edges_in_the_declared_frame_and_land_on_a_jpeg_of_another_size(tmp_path):
    root = mimic(tmp_path)
    lines = [BOX_HEADER, box_line(numbers="500,600,1500,2000,2500,3000"), box_line("d-2"), box_line("x-9")]
    write(root / "MS_CXR_Local_Alignment_v1.1.0.csv", lines)
    dataset = MimicCxrJpg()(root)
    assert dataset.annotations["geometry"].tolist() == ["[500.0,600.0,2000.0,2600.0]"]
    notes = " ".join(dataset.notes)
    assert "1 of 3 boxes in MS_CXR_Local_Alignment_v1.1.0.csv lie on used images" in notes
    assert "1 patients of the training split have boxes" in notes
    settings = DataSettings(image_size=(12, 10), classes=("Edema",), split=SplitSettings(by="auto"))
    data = prepare(dataset, settings, tmp_path / "cache")
    rows, columns = np.nonzero(data.mask(0, "Edema"))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (2, 7, 2, 9)


def test_of_several_releases_of_boxes_the_latest_is_read(tmp_path):
    root = mimic(tmp_path)
    write(root / "MS_CXR_Local_Alignment_v1.0.0.csv", [BOX_HEADER])
    write(root / "ms-cxr-1.1.0/MS_CXR_Local_Alignment_v1.1.0.csv", [BOX_HEADER, box_line()])
    assert len(MimicCxrJpg()(root).annotations) == 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("1,2,3,x,9,9", "line 2: 1, 2, 3, x, 9, 9 are not six numbers"),
        ("1,2,3,4,0,9", "line 2: image size 0 × 9 is none"),
        ("1,2,30,4,9,9", "line 2: box .* lies outside its frame of 9 × 9"),
        ("1,2,0,4,9,9", "line 2: box .* is inverted or empty"),
    ],
)
def test_a_wrong_box_is_refused(tmp_path, numbers, message):
    write(mimic(tmp_path) / "MS_CXR_Local_Alignment_v1.1.0.csv", [BOX_HEADER, box_line(numbers=numbers)])
    with pytest.raises(DataError, match=message):
        MimicCxrJpg()(tmp_path)


def test_boxes_of_a_name_that_is_no_class_are_left_out_and_told(tmp_path):
    write(mimic(tmp_path) / "MS_CXR_Local_Alignment_v1.1.0.csv", [BOX_HEADER, box_line(name="Scar"), box_line()])
    dataset = MimicCxrJpg()(tmp_path)
    assert dataset.annotations["class"].tolist() == ["Edema"]
    assert "boxes of 'Scar' were left out: no class has that name" in dataset.notes


def long_tailed_line(image, names, *positive, path="fpath") -> str:
    _, patient, study, view, _ = next(row for row in IMAGES if row[0] == image)
    cells = ["1.0" if name in positive else "0.0" for name in names]
    return ",".join([image, patient, study, view, "postero-anterior", f"files/{image}.jpg", *cells])


LT_HEAD = "dicom_id,subject_id,study_id,ViewPosition,ViewCodeSequence_CodeMeaning,fpath,"
LT_2024 = ("Adenopathy", "Edema", "Normal", "Nodule", "Round(ed) Atelectasis")


def cxr_lt(root: Path, folder="cxr-lt-2024") -> Path:
    """Three tables, whose columns stand in different places, and no table of MIMIC-CXR-JPG itself."""
    write_images(root)
    moved = ("Adenopathy", "Edema", "Nodule", "Normal", "Round(ed) Atelectasis")
    train = [long_tailed_line(image, LT_2024, "Normal") for image in ("d-1", "d-2")]
    train.append(long_tailed_line("d-3", LT_2024, "Nodule", "Round(ed) Atelectasis"))
    write(root / folder / "train_labeled.csv", [LT_HEAD + ",".join(LT_2024), *train])
    val, test = (long_tailed_line(image, moved, "Nodule") for image in ("d-4", "d-5"))
    write(root / folder / "development_labeled_task1.csv", [LT_HEAD + ",".join(moved), val])
    write(root / folder / "test_labeled_task1.csv", [LT_HEAD + ",".join(moved), test])
    return root


def test_long_tailed_labels_are_found_by_name_wherever_their_columns_stand(tmp_path):
    dataset = MimicCxrJpg(labels="cxr_lt")(cxr_lt(tmp_path))
    assert dataset.classes == LT_2024
    positive = {key for key, state in states(dataset).items() if state == "positive"}
    assert positive == {
        ("d-1", "Normal"),
        ("d-3", "Nodule"),
        ("d-3", "Round(ed) Atelectasis"),
        ("d-4", "Nodule"),
        ("d-5", "Nodule"),
    }
    assert dataset.images["split"].tolist() == ["train", "train", "val", "test"]
    assert dataset.images["patient_id"].tolist() == ["10000032", "10000032", "11000011", "12000026"]


def test_the_release_of_2023_says_no_finding_path_and_train(tmp_path):
    write_images(tmp_path)
    head = LT_HEAD.replace("fpath", "path")
    names = ("Edema", "No Finding")
    write(tmp_path / "train.csv", [head + ",".join(names), long_tailed_line("d-1", names, "No Finding")])
    dataset = MimicCxrJpg(labels="cxr_lt")(tmp_path)
    assert dataset.classes == names
    assert recognise(tmp_path).variant == "train.csv"


def test_a_class_that_one_table_lacks_is_unmentioned_there_and_told(tmp_path):
    root = cxr_lt(tmp_path)
    names = LT_2024[:2]
    line = long_tailed_line("d-5", names, "Edema")
    write(root / "cxr-lt-2024/test_labeled_task1.csv", [LT_HEAD + ",".join(names), line])
    dataset = MimicCxrJpg(labels="cxr_lt")(root)
    assert states(dataset)["d-5", "Nodule"] == "unmentioned"
    assert "test_labeled_task1.csv lacks Normal, Nodule, Round(ed) Atelectasis: unmentioned there" in dataset.notes


def test_single_labels_of_2022_have_their_balanced_validation(tmp_path):
    write_images(tmp_path)
    for part, image in (("train", "d-1"), ("balanced-val", "d-4"), ("test", "d-5")):
        line = ",".join([*next(row for row in IMAGES if row[0] == image)[1:3], image, f"files/{image}.jpg", "0", "1"])
        head = "subject_id,study_id,dicom_id,path,Edema,No Finding"
        write(tmp_path / f"labels/mimic-cxr-lt_single-label_{part}.csv", [head, line])
    dataset = MimicCxrJpg(labels="mimic_cxr_lt", views="all")(tmp_path)
    assert dataset.images["split"].tolist() == ["train", "val", "test"]
    assert set(dataset.classes) == {"Edema", "No Finding"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("1.0", "2", 1), r"train_labeled\.csv, line 2: label '2' is unknown"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 5: image 'd-1' is listed already"),
        (lambda text: LT_HEAD + "\n" + ",".join("abcdef") + "\n", "has no column of 0, 1, -1 or blank"),
    ],
)
def test_a_wrong_long_tailed_table_is_refused(tmp_path, change, message):
    path = cxr_lt(tmp_path) / "cxr-lt-2024/train_labeled.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        MimicCxrJpg(labels="cxr_lt")(tmp_path)


def test_folders_are_recognised_by_their_tables(tmp_path):
    assert recognise(mimic(tmp_path / "a", packed=True)).variant == (
        "mimic-cxr-2.0.0-metadata.csv.gz, mimic-cxr-2.0.0-chexpert.csv.gz"
    )
    (tmp_path / "b").mkdir()
    assert recognise(cxr_lt(tmp_path / "b")).source == "mimic_cxr_jpg"
    write(tmp_path / "c/train.csv", ["dicom_id,path,Edema", "a,b,1"])
    assert recognise(tmp_path / "c") is None


def test_an_empty_folder_and_unknown_settings_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no mimic-cxr-2\.\*-metadata\.csv"):
        MimicCxrJpg()(tmp_path)
    with pytest.raises(DataError, match="holds no table of `labels: cxr_lt`"):
        MimicCxrJpg(labels="cxr_lt")(tmp_path)
    for settings, message in (
        ({"missing": "no"}, "`missing` must be error, skip or tables"),
        ({"labels": "cxr"}, "`labels` must be chexpert, negbio, cxr_lt, mimic_cxr_lt"),
        ({"test_set": "expert"}, "`test_set` must be report or radiologist"),
        ({"test_set": "radiologist", "labels": "cxr_lt"}, "`test_set: radiologist` needs `labels` chexpert or negbio"),
        ({"views": "lateral"}, "`views` must be frontal or all"),
    ):
        with pytest.raises(InputError, match=message):
            MimicCxrJpg(**settings)
