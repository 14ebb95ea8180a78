"""Age, sex and view of DICOM images."""

from __future__ import annotations

import math

import pytest
from pydicom import DataElement, config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tailscope.core import DataError
from tailscope.data import dicom
from tailscope.data.dicom_facts import fact_columns, read_facts


def write(path, **elements):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    for name, value in elements.items():
        kind = {"PatientAge": "AS", "PatientName": "PN"}.get(name, "CS")
        dataset[name] = DataElement(name, kind, value, validation_mode=config.IGNORE)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("text", "years"), [("058Y", 58), ("62", 62), ("006M", 0.5), ("155", math.nan), ("", math.nan), ("old", math.nan)]
)
def test_ages_are_read_in_every_form(tmp_path, text, years):
    assert read_facts(write(tmp_path / "a.dcm", PatientAge=text)).age_years == pytest.approx(years, nan_ok=True)


def test_sex_and_view_are_read_and_blank_or_other_ones_are_none(tmp_path):
    assert read_facts(write(tmp_path / "a.dcm", PatientSex="F", ViewPosition="PA"))[1:] == ("F", "PA")
    assert read_facts(write(tmp_path / "b.dcm", PatientSex="O", ViewPosition=""))[1:] == (None, None)
    assert read_facts(write(tmp_path / "c.dcm"))[1:] == (None, None)


def test_no_other_element_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dcm", PatientName="Doe^Jane", PatientSex="F")
    read = []
    real = dicom.dcmread
    monkeypatch.setattr(dicom, "dcmread", lambda *a, **k: read.append(real(*a, **k)) or read[-1])
    read_facts(path)
    assert [element.keyword for element in read[0]] == ["PatientSex"]


def test_a_file_that_is_no_dicom_is_refused_by_name(tmp_path):
    (tmp_path / "a.dcm").write_text("text")
    with pytest.raises(DataError, match=r"a\.dcm cannot be read"):
        read_facts(tmp_path / "a.dcm")


def test_the_facts_of_many_files_are_columns(tmp_path):
    write(tmp_path / "a.dcm", PatientAge="058Y", PatientSex="F")
    write(tmp_path / "b.dcm", ViewPosition="AP")
    columns = fact_columns(tmp_path, ["a.dcm", "b.dcm"])
    assert columns["sex"] == ["F", None]
    assert columns["view"] == [None, "AP"]
    assert columns["age"] == pytest.approx([58, math.nan], nan_ok=True)


def test_converted_images_have_no_header_and_every_broken_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"`headers` needs DICOM files; got 'a\.png'"):
        fact_columns(tmp_path, ["a.png", "b.dcm"])
    with pytest.raises(DataError, match=r"2 problems.*\n.*a\.dcm is missing.*\n.*b\.dcm is missing"):
        fact_columns(tmp_path, ["a.dcm", "b.dcm"])
