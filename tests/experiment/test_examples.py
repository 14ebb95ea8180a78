"""The examples, dry-run on fixtures with the real headers, and on the real data where they are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailscope.core import SilentProgress
from tailscope.experiment import dry_run, load_config

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_CLASSES = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax", "No Finding",
)  # fmt: skip
CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
PUBLISHED_ARMS = {
    "control", "intra_weighted", "inter_weighted", "focal", "class_balanced_focal", "uncertainty", "weighted_sampling",
}  # fmt: skip


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, size=(32, 32)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def nih(tmp_path_factory) -> Path:
    """90 images of 90 patients, each finding on six of them, in the folders of the Kaggle copy."""
    root = tmp_path_factory.mktemp("nih")
    rows, names = [NIH_HEADER], []
    for number in range(90):
        name = f"{number + 1:08d}_000.png"
        names.append(name)
        finding = NIH_CLASSES[number % 15]
        rows.append(f"{name},{finding},0,{number + 1},058Y,F,PA,2682,2749,0.143,0.143,")
        picture(root / f"images_{1 + number // 50:03d}" / "images" / name, number)
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    (root / "train_val_list.txt").write_text("\n".join(names[:60]) + "\n")
    (root / "test_list.txt").write_text("\n".join(names[60:]) + "\n")
    boxes = f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{names[68]},Infiltrate,100.5,200.5,300.0,250.0\n"
    (root / "BBox_List_2017.csv").write_text(boxes)
    return root


@pytest.fixture(scope="module")
def chexpert(tmp_path_factory) -> Path:
    """84 studies of 84 patients, each observation positive on six, uncertain or blank elsewhere."""
    root = tmp_path_factory.mktemp("chexpert") / "CheXpert-v1.0-small"
    rows = [CHEXPERT_HEADER.split(",")]
    for number in range(84):
        view = "frontal" if number % 3 else "lateral"
        path = f"train/patient{number + 1:05d}/study1/view1_{view}.jpg"
        states = [["", "0.0", "-1.0"][(number + place) % 3] for place in range(14)]
        states[number % 14] = "1.0"
        if states[0] != "1.0":
            states[0] = ""
        frontal = ["Frontal", "AP"] if view == "frontal" else ["Lateral", ""]
        rows.append([f"CheXpert-v1.0-small/{path}", "Female", "61", *frontal, *states])
        picture(root / path, 1000 + number)  # none of the pictures of NIH
    with (root / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return root


def plan(name: str, root: Path, out: Path, *overrides: str):
    config = load_config(ROOT / "examples" / name, (f"data.root={root}", *overrides))
    return config, dry_run(config, out, SilentProgress())


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("model.pretrained=false", "23,538,767"),  # PAPER section 3, 15 outputs
        ("model={source: truncated_densenet, pretrained: false}", "1,306,255"),
    ],
)
def test_the_papers_nih_protocol_is_planned(nih, tmp_path, model, parameters):
    # Pretrained weights cannot be had here; three channels make the same network as theirs.
    config, planned = plan("paper_nih.yaml", nih, tmp_path, model, "data.channels=3")
    assert {treatment.name for treatment in config.treatments} == PUBLISHED_ARMS | {"asymmetric"}
    assert len(planned.runs) == 8 * 3
    assert dict(planned.needs)["network"] == f"{parameters} parameters"
    assert len(planned.classes) == 15
    assert planned.classes["test_positives"].tolist() == [2] * 15
    assert planned.classes.set_index("class").loc["Infiltration", "annotated_test"] == 1
    assert (config.training.epochs, config.training.batch_size, config.training.lr) == (50, 512, 4e-4)


def test_the_papers_chexpert_protocol_is_planned(chexpert, tmp_path):
    config, planned = plan("paper_chexpert.yaml", chexpert, tmp_path, "model.pretrained=false")
    assert {treatment.name for treatment in config.treatments} == PUBLISHED_ARMS
    assert len(planned.classes) == 14
    assert planned.classes["unknown"].sum() == 0  # uncertain and blank became 0, as the paper has it


def test_the_papers_cross_test_is_planned(chexpert, nih, tmp_path):
    # Seven findings of 30 test images: each class is on two of them, so 14 images have one and 16 have none.
    roots = (f"test_on.0.root={nih}", f"test_on.1.root={nih}")
    config, planned = plan("paper_cross_test.yaml", chexpert, tmp_path, "model.pretrained=false", *roots)
    assert {treatment.name for treatment in config.treatments} == PUBLISHED_ARMS
    needs = dict(planned.needs)
    seven = ("Cardiomegaly", "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion")
    positives = ", ".join(f"2 {name}" for name in seven)
    assert needs["also tested on nih"] == f"30 images ({positives})"
    assert needs["also tested on nih_as_published"] == f"14 images ({positives})"
    assert any(note.startswith("on nih_as_published: as in the published test, only the 14") for note in planned.notes)


def test_a_dry_run_writes_no_run(nih, tmp_path):
    plan("paper_nih.yaml", nih, tmp_path, "model.pretrained=false")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "report.html").exists()


@pytest.mark.needs_data
@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
@pytest.mark.parametrize(
    ("name", "folder", "classes", "images", "arms"),
    [
        ("rbc.yaml", "chula_rbc12", 13, 623, 6),
        ("nih64.yaml", "nih1000_64px", 14, 1000, 4),
        ("pasted.yaml", "nih1000_64px", 3, 3000, 2),
    ],
)
def test_the_examples_on_real_data_are_planned(tmp_path, name, folder, classes, images, arms):
    config, planned = plan(name, SHARED / folder, tmp_path)
    assert len(planned.classes) == classes
    counted = planned.classes[["train_positives", "train_negatives"]].sum(axis=1).iloc[0]
    rest = planned.classes[["val_positives", "test_positives", "test_negatives"]].sum(axis=1).iloc[0]
    assert counted + rest <= images
    assert len(planned.runs) == arms * len(config.seeds)


def test_the_two_hospitals_are_planned(tmp_path):
    content = {"data.args.train": 300, "data.args.val": 60, "data.args.test": 60, "test_on.0.args.test": 40}
    smaller = tuple(f"{key}={value}" for key, value in {**content, "data.args.minimum_positives": 20}.items())
    planned = dry_run(
        load_config(ROOT / "examples" / "phantom_two_hospitals.yaml", smaller), tmp_path, SilentProgress()
    )
    assert len(planned.runs) == 9
    assert dict(planned.needs)["also tested on second_hospital"].startswith("40 images (")
    assert "on second_hospital: tested on 'second_hospital' for 2 of 3 classes; it does not label 'mass'" in " ".join(
        planned.notes
    )


def test_the_twelve_treatments_on_the_phantom_are_planned(tmp_path):
    content = {"data.args.train": 400, "data.args.val": 100, "data.args.test": 100}
    config = load_config(
        ROOT / "examples" / "phantom_treatments.yaml", tuple(f"{key}={value}" for key, value in content.items())
    )

    planned = dry_run(config, tmp_path, SilentProgress())

    assert len(config.arms) == 13  # twelve that are trained, and one that adjusts control's logits
    assert len(config.ensembles) == 1
    assert len(planned.runs) == 13 * len(config.seeds)


def test_the_order_of_work_compares_like_with_like_early(nih, tmp_path):
    _, planned = plan("paper_nih.yaml", nih, tmp_path, "model.pretrained=false")
    assert planned.runs["seed"].tolist() == [2022] * 8 + [2023] * 8 + [2024] * 8
    assert planned.runs["arm"].iloc[0] == "control"


def test_disk_and_memory_are_estimated(nih, tmp_path):
    _, planned = plan("paper_nih.yaml", nih, tmp_path, "model.pretrained=false")
    needs = dict(planned.needs)
    assert needs["disk: decoded pixels"] == "4.5 MB"  # 90 × 224 × 224
    # 30 test images × 2,048 units × 7 × 7 × 4 bytes
    assert needs["disk: scratch, deleted after each run"] == "12.0 MB"


def test_a_coarse_grid_is_said_before_training(nih, tmp_path):
    _, planned = plan("paper_nih.yaml", nih, tmp_path, "model.pretrained=false")
    assert any("7 × 7, coarser than 8 × 8" in note for note in planned.notes)


def test_precision_is_foretold_from_the_positives(nih, tmp_path):
    _, planned = plan("paper_nih.yaml", nih, tmp_path, "model.pretrained=false")
    aurocs = planned.precision[planned.precision["metric"] == "auroc"]
    assert (aurocs["se"] > 0.1).all()
    assert any(
        sentence.startswith("Too few positive test patients for a verdict (20 needed)") for sentence in planned.warnings
    )
