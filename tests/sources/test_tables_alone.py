"""Tables without their images are counted, and never trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tailscope.core import DataError, InputError
from tailscope.data import DATASETS, DataSettings, holds_images, inspect_dataset, prepare
from tailscope.sources.chexpert_tables import CLASSES as CHEXPERT
from tailscope.sources.listed_images import absence_problems, places_of

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NIH = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"


def nih(root: Path) -> None:
    rows = [
        f"{n // 2:08}_{n % 2:03}.png,{'Mass|Hernia' if n % 2 else 'No Finding'},0,{n // 2},50,M,PA," for n in range(6)
    ]
    (root / "Data_Entry_2017.csv").write_text("\n".join([NIH, *rows]))
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000000_001.png,Mass,1,1,9,9\n"
    )
    (root / "test_list.txt").write_text("00000002_000.png\n00000002_001.png\n")
    (root / "train_val_list.txt").write_text("\n".join(f"{n // 2:08}_{n % 2:03}.png" for n in range(4)))


def chexpert(root: Path) -> None:
    rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CHEXPERT)]
    rows += [f"train/patient{n}/study1/view1_frontal.jpg,Male,50,Frontal,AP" + f",{n % 2}.0" * 14 for n in range(4)]
    rows_val = [rows[0], rows[2].replace("train/patient1/", "valid/patient9/")]
    (root / "train.csv").write_text("\n".join(rows))
    (root / "valid.csv").write_text("\n".join(rows_val))
    drawn = {"img_size": [300, 400], "Edema": [[[1, 1], [9, 1], [9, 9]]]}
    (root / "gt_annotations_val.json").write_text(json.dumps({"patient9_study1_view1_frontal": drawn}))


def mimic(root: Path) -> None:
    (root / "mimic-cxr-2.0.0-metadata.csv").write_text(
        "dicom_id,subject_id,study_id,ViewPosition\nd1,10,50,PA\nd2,10,51,AP\nd3,11,52,PA\n"
    )
    names = ",".join(sorted(CHEXPERT))
    (root / "mimic-cxr-2.0.0-chexpert.csv").write_text(
        f"study_id,{names}\n50{',1.0' * 14}\n51{',0.0' * 14}\n52{',-1.0' * 14}\n"
    )


def padchest(root: Path) -> None:
    names = "ImageID,PatientID,Labels,Projection,StudyDate_DICOM,PatientBirth,PatientSex_DICOM"
    header = f"{names},PhotometricInterpretation_DICOM,MethodLabel"
    rows = [
        f"{n}.png,p{n // 2},['{('normal', 'mass')[n % 2]}'],PA,20140101,1950,F,MONOCHROME2,Physician" for n in range(4)
    ]
    (root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").write_text("\n".join([header, *rows]))


def rsna(root: Path) -> None:
    (root / "stage_2_train_labels.csv").write_text(
        "patientId,x,y,width,height,Target\na,264.0,152.0,213.0,379.0,1\na,600.0,152.0,213.0,379.0,1\nb,,,,,0\n"
    )


def siim(root: Path) -> None:
    (root / "train-rle.csv").write_text("ImageId, EncodedPixels\na, 204800 300 724 300\nb,-1\n")


def vindr(root: Path) -> None:
    header = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
    rows = ["a,Cardiomegaly,3,R8,200,300,900,1100", "b,No finding,14,R8,,,,"]
    (root / "train.csv").write_text("\n".join([header, *rows]))


def covid(root: Path) -> None:
    header = "patientid,offset,sex,age,finding,view,modality,folder,filename,license"
    (root / "metadata.csv").write_text(f"{header}\n1,0,M,50,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.png,CC BY\n")


def ham(root: Path) -> None:
    (root / "HAM10000_metadata").write_text(
        "lesion_id,image_id,dx,dx_type,age,sex,localization\nHAM_1,ISIC_0000001,mel,histo,50,male,ear\n"
    )


def chestx_det(root: Path) -> None:
    record = {
        "file_name": "1.png",
        "syms": ["Effusion"],
        "boxes": [[1, 2, 3, 4]],
        "polygons": [[[1, 2], [3, 2], [3, 4]]],
    }
    (root / "ChestX_Det_train.json").write_text(json.dumps([record]))


def padchest_gr(root: Path) -> None:
    finding = {"abnormal": True, "labels": ["edema"], "boxes": [[0.1, 0.2, 0.5, 0.6]]}
    (root / "grounded_reports_20240819.json").write_text(
        json.dumps([{"StudyID": "s", "ImageID": "a.png", "findings": [finding]}])
    )


# images, patients, positives of one class, its shapes
EXPECTED = {
    "nih_chestxray14": (nih, (6, 3), ("Mass", 3, 1)),
    "chexpert": (chexpert, (5, 5), ("Edema", 3, 1)),
    "mimic_cxr_jpg": (mimic, (3, 2), ("Edema", 1, 0)),
    "padchest": (padchest, (4, 2), ("mass", 2, 0)),
    "rsna_pneumonia": (rsna, (2, 2), ("Lung Opacity", 1, 2)),
    "siim_pneumothorax": (siim, (2, 2), ("Pneumothorax", 1, 1)),
    "vindr_cxr": (vindr, (2, 2), ("Cardiomegaly", 1, 1)),
    "covid_chestxray": (covid, (1, 1), ("COVID-19", 1, 0)),
    "ham10000": (ham, (1, 1), ("mel", 1, 0)),
    "chestx_det": (chestx_det, (1, 1), ("Effusion", 1, 1)),
    "padchest_gr": (padchest_gr, (1, 1), ("edema", 1, 1)),
}


@pytest.fixture(params=sorted(EXPECTED))
def alone(request, tmp_path):
    make, counts, of_class = EXPECTED[request.param]
    make(tmp_path)
    return request.param, tmp_path, counts, of_class


def test_images_patients_positives_and_shapes_are_counted(alone):
    source, root, counts, (name, positives, shapes) = alone
    found = inspect_dataset(DATASETS.build(source, missing="tables")(root))
    assert found.tables_alone
    assert (found.images, found.patients) == counts
    assert found.classes.set_index("class")["positive"][name] == positives
    assert found.annotations.loc[found.annotations["class"] == name, "shapes"].sum() == shapes
    assert found.sizes.empty
    assert found.unreadable == found.duplicates == found.near_duplicates == ()


def test_nothing_is_prepared_from_tables(alone, tmp_path):
    source, root, *_ = alone
    dataset = DATASETS.build(source, missing="tables")(root)
    with pytest.raises(DataError, match=r"only the tables of .* were read .* unpack them"):
        prepare(dataset, DataSettings(), tmp_path / "cache")
    with pytest.raises(DataError):
        dataset.read_pixels(0)


@pytest.mark.parametrize("missing", ["error", "skip"])
def test_by_itself_a_source_refuses_and_tells_the_way_to_count(alone, missing):
    source, root, *_ = alone
    with pytest.raises(DataError, match=r"missing below .*--set missing=tables"):
        DATASETS.build(source, missing=missing)(root)


def test_published_splits_are_counted(tmp_path):
    nih(tmp_path)
    found = inspect_dataset(DATASETS.build("nih_chestxray14", missing="tables")(tmp_path))
    assert found.splits.to_numpy().tolist() == [["train", 4, 2], ["test", 2, 1]]


def test_a_patient_in_two_published_splits_is_still_found(tmp_path):
    nih(tmp_path)
    (tmp_path / "test_list.txt").write_text("00000001_000.png\n00000002_000.png\n00000002_001.png\n")
    (tmp_path / "train_val_list.txt").write_text("00000000_000.png\n00000000_001.png\n00000001_001.png\n")
    found = inspect_dataset(DATASETS.build("nih_chestxray14", missing="tables")(tmp_path))
    (leak,) = found.leakage
    assert leak.startswith("patient '1' stands in test, train")


def test_a_source_that_needs_its_images_knows_no_such_setting():
    with pytest.raises(InputError, match="`missing` must be error or skip; got 'tables'"):
        DATASETS.build("tbx11k", missing="tables")


def test_a_folder_holds_images_if_any_lies_below_it(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/labels.csv").write_text("x")
    assert not holds_images(tmp_path)
    (tmp_path / "a/b/1.PNG").write_bytes(b"")
    assert holds_images(tmp_path)


def test_the_folder_is_not_looked_into_for_tables():
    def never() -> dict[str, str]:
        raise AssertionError

    assert places_of(["a"], "tables", never) == {"a": "a"}
    assert absence_problems([], 1, Path("x"), "tables") == []


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here")
@pytest.mark.needs_data
def test_all_of_nih_is_counted_as_pandas_counts_it():
    root = SHARED / "nih_full_metadata"
    found = inspect_dataset(DATASETS.build("nih_chestxray14", missing="tables")(root))
    table = pd.read_csv(root / "Data_Entry_2017_v2020.csv.gz")
    positives = table["Finding Labels"].str.get_dummies("|").drop(columns="No Finding").sum()
    assert (found.images, found.patients) == (len(table), table["Patient ID"].nunique()) == (112120, 30805)
    assert found.classes.set_index("class")["positive"].to_dict() == positives.to_dict()
    assert found.views.to_numpy().tolist() == [["AP", 44810], ["PA", 67310]]
    boxes = pd.read_csv(root / "BBox_List_2017.csv")["Finding Label"].replace("Infiltrate", "Infiltration")
    assert found.annotations.set_index("class")["shapes"].to_dict() == boxes.value_counts().to_dict()
