"""A brought checkpoint is not tested on what it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from experiment_content import small_content

from tailscope.core import ConfigurationError, DataError, ExperimentData, InputError, LeakageError, SilentProgress
from tailscope.data import DATASETS
from tailscope.experiment import dry_run
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.plan import identity
from tailscope.experiment.training_lists import TrainingList, read_training_list, training_list_notes
from tailscope.models import MODELS, write_weights

NETWORK = {"source": "timm", "name": "test_resnet", "args": {"output_stride": 8}}
IDS = ["p1/s1/view1.jpg", "p1/s2/view1.jpg", "p2/s1/view1.jpg", "p3/s1/view2.jpg"]


def data(ids=IDS, patients=("001", "001", "2", "x"), split=("train", "val", "test", "test")):
    return ExperimentData(
        name="made",
        classes=("a", "b"),
        image_ids=np.array(ids),
        patient_ids=np.array(patients),
        split=np.array(split),
        targets=np.zeros((len(ids), 2), dtype=np.float32),
        pixels=np.zeros((len(ids), 4, 4, 1), dtype=np.uint8),
        annotations=None,
        masks=lambda *_: None,
        annotated=np.array([[2, 0]]),
        fingerprint="f",
    )


def config(folder: Path, **model) -> ExperimentConfig:
    settings = {"source": "checkpoint", "path": str(folder / "start.safetensors"), "network": NETWORK, **model}
    return ExperimentConfig.model_validate(small_content(model=settings))


def rows(*listed, patients=(), of=None):
    return TrainingList(listed, patients).rows(of or data()).tolist()


def test_an_image_is_known_by_its_whole_id_with_or_without_suffix_and_below_any_folders():
    assert rows("p1/s1/view1.jpg") == rows("p1/s1/view1") == rows("CheXpert-v1.0/train/p1/s1/view1.png") == [0]
    assert rows(r"C:\\sets\\p2\\s1\\view1.jpg") == [2]


def test_the_end_of_an_id_counts_where_it_is_one_images_alone():
    assert rows("view2.jpg") == [3]
    assert rows("view1.jpg") == []
    assert rows("s1/view1.jpg") == []


def test_a_dot_within_a_name_is_no_suffix():
    of = data(["1.2.3", "1.2.4", "a", "b"])
    assert rows("1.2.4.dcm", of=of) == rows("1.2.4", of=of) == [1]


def test_a_patient_is_known_with_and_without_leading_zeros():
    assert rows(patients=("1",)) == rows(patients=("0001",)) == [0, 1]
    assert rows(patients=("X", "3")) == []


def test_a_text_file_holds_a_name_on_each_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.png\n\n b.png \n")
    assert read_training_list(path, None, None) == TrainingList(images=("a.png", "b.png"))


def test_columns_of_a_table_are_named(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("n,image,patient\n1,a.png,p\n2,b.png,\n")
    assert read_training_list(path, "image", "patient") == TrainingList(("a.png", "b.png"), ("p",))
    with pytest.raises(DataError, match=r"list.csv has the columns 'n', 'image', 'patient'; say which"):
        read_training_list(path, None, None)
    with pytest.raises(DataError, match="no column 'imag'; did you mean 'image'"):
        read_training_list(path, "imag", None)
    with pytest.raises(DataError, match="does not exist"):
        read_training_list(tmp_path / "none.csv", None, None)


def test_a_checkpoint_without_a_list_is_told_and_other_networks_are_not(tmp_path):
    (note,) = training_list_notes(config(tmp_path), data())
    assert note.startswith("the checkpoint does not say what it was trained on")
    assert training_list_notes(ExperimentConfig.model_validate(small_content()), data()) == ()


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("p2/s1/view1.jpg\np1/s1/view1.jpg\n", {}, "1 of 2 test images, 1 of them annotated, by list.csv: 'p2/s1"),
        ("id\nx\n", {"patient_column": "id"}, "1 of 2 test images, 0 of them annotated, by list.csv: 'p3/s1"),
    ],
)
def test_test_images_on_the_list_are_refused_by_name(tmp_path, text, columns, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(LeakageError, match=message):
        training_list_notes(config(tmp_path, training_list=str(tmp_path / "list.csv"), **columns), data())


def test_training_and_validation_images_on_the_list_are_counted(tmp_path):
    (tmp_path / "list.csv").write_text("id\n1\n")
    (note,) = training_list_notes(
        config(tmp_path, training_list=str(tmp_path / "list.csv"), patient_column="id"), data()
    )
    assert "holds 1 names, none of a test image; 1 training and 1 validation images stand on it" in note


def test_a_list_of_other_names_is_doubted(tmp_path):
    (tmp_path / "list.txt").write_text("elsewhere.png\n")
    (note,) = training_list_notes(config(tmp_path, training_list=str(tmp_path / "list.txt")), data())
    assert note.startswith("no name of the checkpoint's training list (1) is one of this data set's")


def test_the_list_changes_no_run(tmp_path):
    (tmp_path / "start.safetensors").write_bytes(b"weights")
    (tmp_path / "list.txt").write_text("elsewhere.png\n")
    stated = config(tmp_path, training_list=str(tmp_path / "list.txt"))
    assert identity(stated, data()) == identity(config(tmp_path), data())


def test_a_column_needs_a_list(tmp_path):
    with pytest.raises(InputError, match="`patient_column` is a column of `training_list`; state that file as well"):
        MODELS.build("checkpoint", path="w", network=NETWORK, patient_column="id")
    with pytest.raises((ConfigurationError, ValueError), match="is a column of `training_list`"):
        config(tmp_path, image_column="id")


def test_an_experiment_is_refused_before_training(tmp_path):
    torch.manual_seed(0)
    network = MODELS.build("timm", **{key: value for key, value in NETWORK.items() if key != "source"})(2, 1)
    write_weights(tmp_path / "start.safetensors", network.module, network.preprocessing)
    silent = dry_run(config(tmp_path), tmp_path / "out", SilentProgress())
    assert any("does not say what it was trained on" in note for note in silent.notes)
    (tmp_path / "list.txt").write_text("\n".join(_phantoms()))
    listed = config(tmp_path, training_list=str(tmp_path / "list.txt"))
    with pytest.raises(LeakageError, match="the checkpoint was trained on"):
        dry_run(listed, tmp_path / "out", SilentProgress())


def _phantoms() -> list[str]:
    content = small_content()["data"]
    return DATASETS.build(content["source"], **content["args"])(None).images["image_id"].tolist()
