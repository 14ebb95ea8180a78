"""What every registered source must keep."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from tailscope.core import ANNOTATION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, SPLITS, STATES, Dataset
from tailscope.data import DATASETS, DataSettings, SplitSettings, prepare
from tailscope.data.validation import check_dataset
from tailscope.sources import recognise
from tailscope.sources.chexpert_tables import CLASSES as CHEXPERT_CLASSES
from tailscope.sources.chula import CLASSES as CHULA_CLASSES
from tailscope.sources.ham_tables import CLASSES as HAM_CLASSES
from tailscope.sources.nih_det_records import FINDINGS as DET_FINDINGS
from tailscope.sources.nih_tables import FINDINGS
from tailscope.sources.rsna_tables import CLASSES as RSNA_CLASSES
from tailscope.sources.vindr_tables import KAGGLE_CLASSES as VINDR_CLASSES

COUNT = 24


def write_image(path: Path, number: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)).save(path, format="PNG")


def write_dicom(path: Path, number: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, f"1.2.{number}"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *size, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = f"MONOCHROME{1 + number % 2}", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    pixels = np.random.default_rng(number).integers(0, 4096, size, dtype=np.uint16)
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    dataset.save_as(path, enforce_file_format=True)


def make_csv(root: Path) -> Dataset:
    rows = ["image,patient,mass,edema"]
    for number in range(COUNT):
        write_image(root / f"images/{number}.png", number, (6, 8))
        rows.append(f"{number}.png,p{number // 2},{number % 2},{number % 3 % 2}")
    (root / "labels.csv").write_text("\n".join(rows))
    (root / "shapes.csv").write_text("image,class,x0,y0,x1,y1\n1.png,mass,0,0,3,3\n")
    return DATASETS.build("csv", patient_column="patient", annotations="shapes.csv")(root)


def make_chula(root: Path) -> Dataset:
    (root / "Label").mkdir()
    for number in range(COUNT):
        write_image(root / f"Dataset/{number}.jpg", number, (480, 640))
        lines = [f"100 {100 + name} {name}" for name in range(len(CHULA_CLASSES)) if (number + name) % 2]
        (root / f"Label/{number}.txt").write_text("\n".join(lines))
    return DATASETS.build("chula_rbc12")(root)


def make_coco(root: Path) -> Dataset:
    images, annotations = [], []
    for number in range(COUNT):
        write_image(root / f"images/{number}.png", number, (6, 8))
        images.append({"id": 3 * number, "file_name": f"{number}.png", "height": 6, "width": 8})
        shapes = {"bbox": [1, 1, 3, 2], "segmentation": [[1, 1, 4, 1, 4, 3]] if number % 3 else []}
        annotations.append({"id": number, "image_id": 3 * number, "category_id": 5 + 4 * (number % 2), **shapes})
    categories = [{"id": 9, "name": "mass"}, {"id": 5, "name": "edema"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations/instances_all.json").write_text(json.dumps(content))
    return DATASETS.build("coco")(root)


def make_nih(root: Path) -> Dataset:
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"]
    for number in range(COUNT):
        name = f"{number // 2:08}_{number % 2:03}.png"
        write_image(root / "images" / name, number, (16, 16))
        found = "|".join(FINDINGS) if number % 2 else "No Finding"
        rows.append(f"{name},{found},0,{number // 2},50,M,PA,")
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows))
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000000_001.png,Mass,10,10,500,500\n"
    )
    return DATASETS.build("nih_chestxray14")(root)


def make_chexpert(root: Path) -> Dataset:
    rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(CHEXPERT_CLASSES)]
    for number in range(COUNT):
        path = f"train/patient{number // 2:05}/study{number % 2}/view1_frontal.jpg"
        write_image(root / path, number, (12, 10))
        rows.append(f"CheXpert-v1.0/{path},Male,50,Frontal,AP" + f",{number % 2}.0" * len(CHEXPERT_CLASSES))
    (root / "train.csv").write_text("\n".join(rows))
    return DATASETS.build("chexpert")(root)


def make_chestx_det(root: Path) -> Dataset:
    for number in range(COUNT):
        write_image(root / f"train_data/{number}.png", number, (16, 16))
    records = [
        {
            "file_name": f"{number}.png",
            "syms": list(DET_FINDINGS[number % 2 :: 2]),
            "boxes": [[10, 20, 300, 400]] * len(DET_FINDINGS[number % 2 :: 2]),
            "polygons": [[[10, 20], [300, 20], [300, 400]]] * len(DET_FINDINGS[number % 2 :: 2]),
        }
        for number in range(COUNT)
    ]
    (root / "ChestX_Det_train.json").write_text(json.dumps(records))
    return DATASETS.build("chestx_det")(root)


def make_medmnist(root: Path) -> Dataset:
    arrays = {}
    for number, (split, count) in enumerate({"train": COUNT, "val": 8, "test": 8}.items()):
        generator = np.random.default_rng(number)
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count * 14, dtype=np.uint8).reshape(count, 14) % 3 // 2
    np.savez_compressed(root / "chestmnist.npz", **arrays)
    return DATASETS.build("medmnist")(root)


def make_rsna(root: Path) -> Dataset:
    rows, kinds = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number in range(COUNT):
        write_dicom(root / f"stage_2_train_images/{number}.dcm", number, (16, 16))
        rows.append(f"{number},264.0,152.0,213.0,379.0,1" if number % 2 else f"{number},,,,,0")
        kinds.append(f"{number},{RSNA_CLASSES[0] if number % 2 else RSNA_CLASSES[1 + number // 2 % 2]}")
    (root / "stage_2_train_labels.csv").write_text("\n".join(rows))
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(kinds))
    return DATASETS.build("rsna_pneumonia")(root)


def make_siim(root: Path) -> Dataset:
    rows = ["ImageId, EncodedPixels"]
    for number in range(COUNT):
        write_dicom(root / f"dicom-images-train/1.{number}/1/1.2.{number}.dcm", number, (16, 16))
        rows += [f"1.2.{number},-1"] if number % 2 else [f"1.2.{number}, 204800 300 724 300"] * (1 + number % 4 // 2)
    (root / "train-rle.csv").write_text("\n".join(rows))
    return DATASETS.build("siim_pneumothorax")(root)


def make_padchest(root: Path) -> Dataset:
    names = ("ImageID", "PatientID", "Labels", "Projection", "StudyDate_DICOM", "PatientBirth", "PatientSex_DICOM")
    rows = [",".join([*names, "PhotometricInterpretation_DICOM", "MethodLabel"])]
    for number in range(COUNT):
        write_image(root / f"{number % 3}/{number}.png", number, (16, 16))
        found = "['cardiomegaly']" if number % 4 < 2 else "['normal']"
        rows.append(f"{number}.png,p{number // 2},{found},PA,20140101,1950,F,MONOCHROME{1 + number % 2},Physician")
    (root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").write_text("\n".join(rows))
    return DATASETS.build("padchest")(root)


def make_padchest_gr(root: Path) -> Dataset:
    rows = ["StudyID,PatientID,split,label,label_group"]
    studies = []
    for number in range(COUNT):
        write_image(root / f"{number}.png", number, (16, 16))
        found = {"abnormal": True, "labels": ["edema"], "boxes": [[0.1, 0.2, 0.5, 0.6]]}
        studies.append({"StudyID": f"s{number}", "ImageID": f"{number}.png", "findings": [found] * (number % 2)})
        rows.append(f"s{number},p{number},{('train', 'train', 'validation', 'test')[number // 2 % 4]},,")
    (root / "grounded_reports_20240819.json").write_text(json.dumps(studies))
    (root / "master_table.csv").write_text("\n".join(rows))
    return DATASETS.build("padchest_gr")(root)


def make_vindr(root: Path) -> Dataset:
    rows = ["image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"]
    for number in range(COUNT):
        write_dicom(root / f"train/{number}.dicom", number, (16, 16))
        for reader in ("R8", "R9", "R10"):
            names = VINDR_CLASSES[:-1][number % 3 :: 2] if number % 4 else VINDR_CLASSES[-1:]
            rows += [f"{number},{name},0,{reader},{'2,3,9,11' if number % 4 else ',,,'}" for name in names]
    (root / "train.csv").write_text("\n".join(rows))
    return DATASETS.build("vindr_cxr")(root)


def make_voc(root: Path) -> Dataset:
    (root / "Annotations").mkdir()
    for number in range(COUNT):
        write_image(root / f"JPEGImages/{number}.png", number, (6, 8))
        corners = "<xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>3</ymax>"
        objects = f"<object><name>class {number % 2}</name><bndbox>{corners}</bndbox></object>"
        (root / f"Annotations/{number}.xml").write_text(f"<annotation>{objects}</annotation>")
    return DATASETS.build("voc")(root)


def make_yolo(root: Path) -> Dataset:
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names: [mass, edema]")
    for number in range(COUNT):
        write_image(root / f"images/{number}.png", number, (6, 8))
        (root / f"labels/{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5\n")
    return DATASETS.build("yolo")(root)


def make_ham(root: Path) -> Dataset:
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number in range(10 * len(HAM_CLASSES)):
        write_image(root / f"HAM10000_images_part_1/ISIC_{number:07}.jpg", number, (12, 16))
        lesion = number // 2
        rows.append(f"HAM_{lesion},ISIC_{number:07},{HAM_CLASSES[lesion % len(HAM_CLASSES)]},histo,50,male,ear")
    mask = np.zeros((12, 16), dtype=np.uint8)
    mask[3:6, 2:12] = 255
    Image.fromarray(mask).save(root / "ISIC_0000003_segmentation.png")
    (root / "HAM10000_metadata").write_text("\n".join(rows))
    return DATASETS.build("ham10000")(root)


def make_busi(root: Path) -> Dataset:
    mask = np.zeros((12, 16), dtype=np.uint8)
    mask[3:6, 2:12] = 255
    for number in range(COUNT):
        name = ("benign", "malignant", "normal")[number % 3]
        write_image(root / f"{name}/{name} ({number // 3 + 1}).png", number, (12, 16))
        Image.fromarray(mask * (name != "normal")).save(root / f"{name}/{name} ({number // 3 + 1})_mask.png")
    return DATASETS.build("busi")(root)


def make_idrid(root: Path) -> Dataset:
    home = root / "B. Disease Grading"
    for number, (split, count) in enumerate({"Training": 60, "Testing": 30}.items()):
        rows = ["Image name,Retinopathy grade,Risk of macular edema ,,"]
        for name in range(count):
            folder = home / f"1. Original Images/{'ab'[number]}. {split} Set"
            write_image(folder / f"IDRiD_{name:03}.jpg", 100 * number + name, (12, 16))
            rows.append(f"IDRiD_{name:03},{name % 5},{name % 3},,")
        (home / "2. Groundtruths").mkdir(exist_ok=True)
        table = home / f"2. Groundtruths/{'ab'[number]}. IDRiD_Disease Grading_{split} Labels.csv"
        table.write_text("\n".join(rows))
    return DATASETS.build("idrid")(root)


def make_mimic(root: Path) -> Dataset:
    names = sorted(CHEXPERT_CLASSES)
    facts, splits, labels = ["dicom_id,subject_id,study_id,ViewPosition"], ["dicom_id,split"], ["study_id"]
    labels[0] += "," + ",".join(names)
    for number in range(COUNT):
        patient, study, image = 10000000 + number // 2, 50000000 + number, f"d{number:02}"
        write_image(root / f"files/p10/p{patient}/s{study}/{image}.jpg", number, (12, 10))
        facts.append(f"{image},{patient},{study},PA")
        splits.append(f"{image},{'train' if number < 16 else 'validate' if number < 20 else 'test'}")
        labels.append(f"{study}" + f",{number % 2}.0" * len(names))
    for kind, lines in (("metadata", facts), ("split", splits), ("chexpert", labels)):
        (root / f"mimic-cxr-2.0.0-{kind}.csv").write_text("\n".join(lines))
    boxes = "dicom_id,category_name,x,y,w,h,image_width,image_height\nd01,Edema,10,20,50,60,100,120"
    (root / "MS_CXR_Local_Alignment_v1.1.0.csv").write_text(boxes)
    return DATASETS.build("mimic_cxr_jpg")(root)


def make_tbx11k(root: Path) -> Dataset:
    images, boxes = [], []
    for number in range(2 * COUNT):
        folder = ("health", "sick", "tb", "tb")[number % 4]
        write_image(root / f"imgs/{folder}/{number}.png", number, (16, 16))
        images.append({"id": number, "file_name": f"{folder}/{number}.png", "width": 512, "height": 512})
        if folder == "tb":
            kind = 1 + number % 4 % 2
            boxes.append({"id": number, "image_id": number, "category_id": kind, "bbox": [100, 200, 120.5, 90]})
    kinds = [{"id": 1, "name": "ActiveTuberculosis"}, {"id": 2, "name": "ObsoletePulmonaryTuberculosis"}]
    (root / "annotations/json").mkdir(parents=True)
    content = {"images": images, "annotations": boxes, "categories": kinds}
    (root / "annotations/json/TBX11K_trainval.json").write_text(json.dumps(content))
    return DATASETS.build("tbx11k")(root)


def make_covid(root: Path) -> Dataset:
    rows = ["patientid,offset,sex,age,finding,view,modality,folder,filename,license"]
    for number in range(2 * COUNT):
        write_image(root / f"images/{number}.png", number, (16, 12))
        found = ("No Finding", "Pneumonia/Viral/COVID-19")[number // 2 % 2]
        rows.append(f"{number // 2},0,M,50,{found},PA,X-ray,images,{number}.png,CC BY")
    (root / "metadata.csv").write_text("\n".join(rows))
    return DATASETS.build("covid_chestxray")(root)


def make_cbis(root: Path) -> Dataset:
    header = "patient_id,left or right breast,image view,abnormality id,pathology,image file path,ROI mask file path"
    for kind in ("mass", "calc"):
        rows = [header]
        for number in range(COUNT):
            name = f"{kind.title()}-Training_P_{kind}{number:05}_LEFT_CC"
            write_image(root / name / "1/2/1-1.png", number + COUNT * (kind == "calc"), (16, 12))
            found = ("BENIGN", "MALIGNANT")[number % 2]
            rows.append(f"P_{kind}{number:05},LEFT,CC,1,{found},{name}/1/2/000000.dcm,{name}_1/1/3/000001.dcm")
        (root / f"{kind}_case_description_train_set.csv").write_text("\n".join(rows))
    return DATASETS.build("cbis_ddsm")(root)


def make_phantom(root: Path) -> Dataset:
    return DATASETS.build("phantom", train=24, val=12, test=12, minimum_positives=2)(None)


MAKERS: dict[str, Callable[[Path], Dataset]] = {
    "busi": make_busi,
    "cbis_ddsm": make_cbis,
    "chestx_det": make_chestx_det,
    "chexpert": make_chexpert,
    "chula_rbc12": make_chula,
    "coco": make_coco,
    "covid_chestxray": make_covid,
    "csv": make_csv,
    "ham10000": make_ham,
    "idrid": make_idrid,
    "medmnist": make_medmnist,
    "mimic_cxr_jpg": make_mimic,
    "nih_chestxray14": make_nih,
    "padchest": make_padchest,
    "padchest_gr": make_padchest_gr,
    "phantom": make_phantom,
    "rsna_pneumonia": make_rsna,
    "siim_pneumothorax": make_siim,
    "tbx11k": make_tbx11k,
    "vindr_cxr": make_vindr,
    "voc": make_voc,
    "yolo": make_yolo,
}


FLIPPED = {"busi", "cbis_ddsm", "chula_rbc12", "ham10000", "idrid"}  # sets without left and right


def made_again(dataset: Dataset) -> Dataset:
    root = getattr(dataset.read_pixels, "root", None)
    settings = {"csv": {"patient_column": "patient", "annotations": "shapes.csv"}}.get(dataset.name, {})
    if root is None:
        return make_phantom(Path())
    return DATASETS.build(dataset.name, **settings)(root)


@pytest.fixture(params=sorted(MAKERS))
def made(request, tmp_path):
    return lambda: MAKERS[request.param](tmp_path)


def test_every_registered_source_is_tested_here():
    assert set(DATASETS.names()) == {*MAKERS, "pasted"}  # which rests on another source: test_pasted.py


def test_the_tables_have_their_columns_and_are_sound(made):
    dataset = made()
    assert tuple(dataset.images.columns)[: len(IMAGE_COLUMNS)] == IMAGE_COLUMNS
    assert tuple(dataset.labels.columns) == LABEL_COLUMNS
    assert tuple(dataset.annotations.columns) == ANNOTATION_COLUMNS
    assert set(dataset.labels["state"]) <= set(STATES)
    assert set(dataset.images["split"].dropna()) <= set(SPLITS)
    check_dataset(dataset)


def test_image_keys_are_unique_and_sorted(made):
    keys = made().images["image_id"].tolist()
    assert keys == sorted(set(keys))


def test_a_made_folder_is_recognised_as_its_own_source_and_no_other(made):
    dataset = made()
    root = getattr(dataset.read_pixels, "root", None)
    if root is not None:
        found = recognise(root)
        assert found is not None
        assert found.source == dataset.name
        assert found.variant


def test_every_image_has_content_of_its_own_and_pixels(made):
    dataset = made()
    content = dataset.content()
    assert len(set(content)) == len(dataset.images)
    for row in (0, len(dataset.images) - 1):
        pixels = dataset.read_pixels(row)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2 or pixels.shape[2] == 3


def test_paths_stay_below_their_root(made):
    for path in made().images["path"].dropna():
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts


def test_reading_again_gives_the_same_whatever_the_order_of_the_folder(made, monkeypatch):
    first = made()
    scandir, glob = Path.iterdir, Path.glob
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(scandir(self))))
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(list(glob(self, pattern))))
    second = made_again(first)
    pd.testing.assert_frame_equal(first.images, second.images)
    pd.testing.assert_frame_equal(first.labels, second.labels)
    pd.testing.assert_frame_equal(first.annotations, second.annotations)


def test_readers_of_files_can_be_sent_to_another_process(made):
    dataset = made()
    if hasattr(dataset.read_pixels, "root"):
        assert np.array_equal(pickle.loads(pickle.dumps(dataset.read_pixels))(0), dataset.read_pixels(0))


def test_every_source_can_be_prepared(made, tmp_path):
    dataset = made()
    data = prepare(dataset, DataSettings(image_size=(16, 16), split=SplitSettings(by="auto")), tmp_path / "cache")
    assert data.pixels.shape[:3] == (len(dataset.images), 16, 16)
    assert all(data.masks(row, data.classes[column]).any() for row, column in data.annotated)
    assert len(data.annotated) > 0 or dataset.annotations.empty
    assert data.flips_allowed == (dataset.name in FLIPPED)
