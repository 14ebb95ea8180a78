"""From DICOM files, written by pydicom, to 8-bit pixels."""

from __future__ import annotations

import io
import threading
import warnings

import gdcm
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tailscope.core import DataError
from tailscope.data.decoding import decode, raster_size, raw_values
from tailscope.data.dicom_display import eight_bit_table, whole_range
from tailscope.data.dicom_warnings import MUTED
from tailscope.data.files import walk_images

RAMP = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(64, 48)  # 12 bits
SECRET = "Doe^Jane"


def grey(values, *, bits=12, photometric="MONOCHROME2", syntax=ExplicitVRLittleEndian, **elements):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
    dataset.PatientName, dataset.PatientID = SECRET, SECRET
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * values.dtype.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    order = "big" if syntax == ExplicitVRBigEndian else "little"
    dataset.PixelData = values.astype(values.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def colour(values, photometric="RGB", **elements):
    return grey(
        values,
        bits=8 * values.dtype.itemsize,
        photometric=photometric,
        **{"SamplesPerPixel": 3, "PlanarConfiguration": 0} | elements,
    )


def saved(dataset, path):
    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.save_as(
        path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True
    )
    return path


def spread(values, low=0, high=4095):
    return np.floor((values.astype(float) - low) / (high - low) * 255 + 0.5)


@pytest.fixture
def file(tmp_path):
    return lambda dataset, name="a.dcm": saved(dataset, tmp_path / name)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_without_a_window_the_bits_stored_are_the_range_and_not_the_bits_allocated(file, syntax):
    assert np.array_equal(decode(file(grey(RAMP, syntax=syntax))), spread(RAMP))


def test_signed_values_have_their_own_range(file):
    values = RAMP.astype(np.int16) - 2048
    assert np.array_equal(decode(file(grey(values))), spread(values, -2048, 2047))


def test_monochrome1_is_inverted_exactly_once(file):
    assert np.array_equal(decode(file(grey(RAMP, photometric="MONOCHROME1"))), 255 - spread(RAMP))


def test_the_window_of_a_monochrome1_image_refers_to_values_before_inversion(file):
    window = {"WindowCenter": 1000, "WindowWidth": 500}
    plain = decode(file(grey(RAMP, **window)))
    assert len(np.unique(plain)) > 20
    assert np.array_equal(decode(file(grey(RAMP, photometric="MONOCHROME1", **window))), 255 - plain)


def as_shown_by_pydicom(dataset, values):
    header = Dataset()
    header.update(dataset)
    with np.errstate(over="ignore"):
        windowed = apply_windowing(apply_modality_lut(values, header), header)
    low, high = whole_range(header)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return spread(windowed, low * slope + intercept, high * slope + intercept)


@settings(deadline=None)
@given(
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    centre=st.floats(-3000, 5000),
    width=st.floats(1, 6000),
    slope=st.sampled_from([0.25, 1.0, 2.0]),
    intercept=st.sampled_from([-1024.0, 0.0, 10.0]),
    signed=st.booleans(),
)
def test_windows_agree_with_pydicom(function, centre, width, slope, intercept, signed):
    values = np.arange(4096, dtype=np.int32) - 2048 * signed
    header = grey(values[:1, None].astype(np.int16 if signed else np.uint16))
    header.VOILUTFunction, header.WindowCenter, header.WindowWidth = function, round(centre, 3), round(width, 3)
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    expected = as_shown_by_pydicom(header, values)
    assert np.abs(eight_bit_table(header) - expected).max() <= 1  # a share of exactly one half may round either way
    assert (eight_bit_table(header) == expected).mean() > 0.99


def test_the_first_of_several_windows_counts(file):
    one = decode(file(grey(RAMP, WindowCenter=1000, WindowWidth=500)))
    assert np.array_equal(decode(file(grey(RAMP, WindowCenter=[1000, 9], WindowWidth=[500, 9]))), one)


@pytest.mark.parametrize("window", [(100, 0), (100, -5), (100, 0.5), (None, 10), (10, None), ("", "")])
def test_a_window_that_the_standard_forbids_counts_as_none(file, window):
    dataset = grey(RAMP)
    dataset.WindowCenter, dataset.WindowWidth = window
    assert np.array_equal(decode(file(dataset)), spread(RAMP))


def test_a_window_of_width_1_is_a_threshold(file):
    shown = decode(file(grey(RAMP, WindowCenter=2000, WindowWidth=1)))
    assert np.array_equal(shown, np.where(RAMP >= 2000, 255, 0))


def test_a_falling_rescale_slope_turns_the_grey_levels(file):
    assert np.array_equal(decode(file(grey(RAMP, RescaleSlope=-1, RescaleIntercept=4095))), spread(4095 - RAMP))


def table_item(entries, *, first=0, bits=8, vr="US", count=None):
    item = Dataset()
    item.LUTDescriptor = [len(entries) if count is None else count, first, bits]
    item.add_new("LUTData", vr, entries if vr == "US" else np.asarray(entries, dtype="<u2").tobytes())
    item.ModalityLUTType = "US"
    return item


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_voi_table_agrees_with_pydicom_and_goes_before_a_window(file, vr, syntax):
    entries = (np.linspace(0, 1, 1000) ** 2 * 1023).astype(int).tolist()
    item = table_item(entries, first=500, bits=10, vr=vr)
    dataset = grey(RAMP, syntax=syntax, VOILUTSequence=[item], WindowCenter=1, WindowWidth=2)
    expected = spread(apply_voi(RAMP, pydicom.dcmread(file(dataset))), 0, 1023)
    assert np.array_equal(decode(file(dataset)), expected)


def test_a_modality_table_comes_before_the_window(file):
    entries = list(range(4095, -1, -1))
    dataset = grey(RAMP, ModalityLUTSequence=[table_item(entries, bits=16)], WindowCenter=2000, WindowWidth=1000)
    upright = grey((4095 - RAMP).astype(np.uint16), WindowCenter=2000, WindowWidth=1000)
    assert np.array_equal(decode(file(dataset)), decode(file(upright)))


def test_a_table_that_declares_too_few_bits_is_taken_at_its_entries(file):
    dataset = grey(RAMP, VOILUTSequence=[table_item(list(range(4096)), bits=8)])
    assert np.array_equal(decode(file(dataset)), spread(RAMP))


def test_a_table_of_8_bit_entries_may_be_packed_two_to_a_word(file):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    item = Dataset()
    item.LUTDescriptor = [256, 0, 8]
    item.add_new("LUTData", "OW", bytes(range(255, -1, -1)))
    assert np.array_equal(decode(file(grey(values, bits=8, VOILUTSequence=[item]))), 255 - values)


def test_a_missing_high_bit_and_missing_defaults_do_no_harm(file):
    dataset = grey(RAMP)
    for name in ("HighBit", "SamplesPerPixel", "PixelRepresentation"):
        del dataset[name]
    assert np.array_equal(decode(file(dataset)), spread(RAMP))


def test_values_in_the_upper_bits_are_moved_down(file):
    dataset = grey((RAMP << 4).astype(np.uint16), HighBit=15)
    assert np.array_equal(decode(file(dataset)), spread(RAMP))


def test_unused_bits_are_cleared(file):
    assert np.array_equal(decode(file(grey((RAMP | 0xF000).astype(np.uint16)))), spread(RAMP))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_lossless_compression_changes_nothing(file, syntax):
    dataset = grey(RAMP, photometric="MONOCHROME1", WindowCenter=1000, WindowWidth=3000)
    plain = decode(file(dataset))
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(decode(file(dataset)), plain)


@pytest.mark.parametrize("name", ["JPEGLSLossless", "JPEGLosslessProcess14_1", "JPEGLosslessProcess14"])
def test_lossless_jpeg_and_jpeg_ls_change_nothing(file, tmp_path, name):
    path = file(grey(RAMP))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(tmp_path / "b.dcm"))
    assert writer.Write()
    assert pydicom.dcmread(tmp_path / "b.dcm").file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(decode(tmp_path / "b.dcm"), spread(RAMP))


def jpeg(values):
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format="JPEG", quality=95)
    return stream.getvalue()


def test_baseline_jpeg_is_read_as_pillow_reads_it(file):
    values = (RAMP // 16).astype(np.uint8)
    dataset = grey(values, bits=8, syntax=JPEGBaseline8Bit, PixelData=encapsulate([jpeg(values)]))
    expected = np.asarray(Image.open(io.BytesIO(jpeg(values)))).astype(int)
    assert np.abs(decode(file(dataset)) - expected).max() <= 1


def test_a_jpeg_within_an_intact_file_that_was_cut_is_refused(file):
    values = (RAMP // 16).astype(np.uint8)
    cut = jpeg(values)[: len(jpeg(values)) // 2]
    with pytest.raises(DataError, match=r"a\.dcm cannot be read as an image"):
        decode(file(grey(values, bits=8, syntax=JPEGBaseline8Bit, PixelData=encapsulate([cut]))))


def test_the_decoder_that_is_asked_first_gives_the_values_of_the_others(file, monkeypatch):
    values = (RAMP // 16).astype(np.uint8)
    path = file(grey(values, bits=8, syntax=JPEGBaseline8Bit, PixelData=encapsulate([jpeg(values)])))
    fast = decode(path)
    monkeypatch.setattr("tailscope.data.dicom._FASTEST", {})
    assert np.array_equal(decode(path), fast)


def test_a_compressed_image_of_more_bits_than_its_header_says_is_cut_at_the_range(file):
    dataset = grey(RAMP)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 10, 9
    assert np.array_equal(decode(file(dataset)), spread(RAMP.clip(0, 1023), 0, 1023))


SMOOTH = np.stack([np.add.outer(np.arange(32), np.arange(48)) * k % 256 for k in (1, 2, 3)], axis=-1).astype(np.uint8)


def test_a_coloured_jpeg_becomes_rgb(file):
    dataset = colour(SMOOTH, "YBR_FULL_422", PixelData=encapsulate([jpeg(SMOOTH)]))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    expected = np.asarray(Image.open(io.BytesIO(jpeg(SMOOTH)))).astype(int)
    assert np.abs(decode(file(dataset)) - expected).mean() < 2


def test_an_rgb_secondary_capture_keeps_its_colours_and_can_be_read_as_luminance(file):
    path = file(colour(SMOOTH))
    assert np.array_equal(decode(path), SMOOTH)
    assert np.array_equal(decode(path, grey=True), np.asarray(Image.fromarray(SMOOTH).convert("L")))


def test_planes_of_colour_may_follow_each_other(file):
    dataset = colour(SMOOTH, PlanarConfiguration=1, PixelData=np.moveaxis(SMOOTH, 2, 0).tobytes())
    assert np.array_equal(decode(file(dataset)), SMOOTH)


def test_a_grey_rgb_capture_is_grey(file):
    level = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(decode(file(colour(np.repeat(level[..., None], 3, axis=2)))), level)


def test_uncompressed_ybr_becomes_rgb(file):
    ybr = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    assert np.abs(decode(file(colour(ybr, "YBR_FULL"))).astype(int) - SMOOTH).max() <= 3


def test_sixteen_bit_colour_is_scaled(file):
    wide = SMOOTH.astype(np.uint16) * 257
    assert np.array_equal(decode(file(colour(wide))), SMOOTH)


def test_a_palette_gives_its_colours(file):
    values = np.arange(4, dtype=np.uint8).reshape(2, 2)
    dataset = grey(values, bits=8, photometric="PALETTE COLOR")
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 9, 255]], dtype=np.uint8)
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(dataset, f"{name}PaletteColorLookupTableData", palette[:, number].tobytes())
    assert np.array_equal(decode(file(dataset)), palette[values])


def test_several_frames_are_refused_with_the_reason(file):
    dataset = grey(RAMP, NumberOfFrames=3, PixelData=RAMP.tobytes() * 3)
    with pytest.raises(DataError, match=r"a\.dcm holds 3 frames; expected a single image.*labels name no frame"):
        decode(file(dataset))


def test_one_frame_may_be_declared(file):
    assert np.array_equal(decode(file(grey(RAMP, NumberOfFrames=1))), spread(RAMP))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation 'HSV' is unknown"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "rescale slope 0.0 and intercept 1.0 make no image"),
        ({"VOILUTFunction": "CUBIC"}, "VOI LUT function 'CUBIC' is unknown; expected LINEAR, LINEAR_EXACT, SIGMOID"),
        ({"VOILUTSequence": [table_item([1, 2], count=5)]}, "a lookup table holds 2 entries; expected 5"),
        ({"BitsAllocated": 32, "BitsStored": 32, "PixelData": bytes(4 * RAMP.size)}, "32 bits are stored per pixel"),
        ({"Rows": 4000}, "pixel data"),
    ],
)
def test_a_header_that_makes_no_image_is_refused_by_name(file, changed, message):
    with pytest.raises(DataError, match=rf"a\.dcm cannot be read as an image \(.*{message}.*replace the file"):
        decode(file(grey(RAMP, **changed)))


def test_a_file_without_pixels_is_refused(file):
    dataset = grey(RAMP)
    del dataset.PixelData
    with pytest.raises(DataError, match=r"a\.dcm holds no pixels of whole numbers"):
        decode(file(dataset))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused_by_name(file, syntax, kept):
    noise = np.random.default_rng(0).integers(0, 4096, (60, 50), dtype=np.uint16)
    dataset = grey(noise, syntax=ExplicitVRLittleEndian if syntax.is_compressed else syntax)
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    path = file(dataset)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"a\.dcm (cannot be read as an image|holds no pixels)"):
        decode(path)


def test_what_is_no_dicom_or_not_there_is_refused_by_name(tmp_path):
    (tmp_path / "a.dcm").write_text("no image" * 100)
    for read in (decode, raster_size, raw_values):
        with pytest.raises(DataError, match=r"a\.dcm cannot be read as an image"):
            read(tmp_path / "a.dcm")
        with pytest.raises(DataError, match=r"b\.dicom is missing"):
            read(tmp_path / "b.dicom")


def test_a_file_is_known_by_its_mark_where_its_name_says_nothing(file):
    assert np.array_equal(decode(file(grey(RAMP), "IM0001")), spread(RAMP))
    assert raster_size(file(grey(RAMP), "picture.png")) == RAMP.shape


def test_dicom_files_are_found_among_images(file, tmp_path):
    for name in ("a.dcm", "b.DICOM", "c.txt"):
        file(grey(RAMP), name)
    assert [path.name for path in walk_images(tmp_path)] == ["a.dcm", "b.DICOM"]


def test_a_mask_gives_its_stored_values(file):
    mask = np.array([[0, 255], [1, 0]], dtype=np.uint8)
    assert raw_values(file(grey(mask, bits=8, WindowCenter=1, WindowWidth=1))).tolist() == mask.tolist()
    with pytest.raises(DataError, match="is a colour image"):
        raw_values(file(colour(SMOOTH)))


def test_no_name_of_a_patient_is_read_or_reaches_a_message(file, monkeypatch):
    read = []
    monkeypatch.setattr(
        "tailscope.data.dicom.dcmread", lambda *a, **k: read.append(pydicom.dcmread(*a, **k)) or read[-1]
    )
    decode(file(grey(RAMP)))
    raster_size(file(grey(RAMP)))
    assert len(read) == 2
    assert all(SECRET not in str(header) and "PatientID" not in header for header in read)
    with pytest.raises(DataError) as caught:
        decode(file(grey(RAMP, PhotometricInterpretation="HSV")))
    assert SECRET not in str(caught.value)


def test_remarks_on_padded_pixels_are_muted_and_the_filters_come_back(file):
    path = file(grey(RAMP, PixelData=RAMP.tobytes() + bytes(10)))
    before = list(warnings.filters)
    with pytest.warns(UserWarning, match="excess padding"):
        pydicom.dcmread(path).pixel_array  # noqa: B018
    assert np.array_equal(decode(path), spread(RAMP))
    assert warnings.filters == before


def test_threads_that_overlap_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    first_in, second_in = threading.Event(), threading.Event()

    def second():
        first_in.wait(10)
        with MUTED:
            second_in.set()

    thread = threading.Thread(target=second)
    thread.start()
    with MUTED:
        first_in.set()
        assert second_in.wait(10)
        assert warnings.filters != before
    thread.join()
    assert warnings.filters == before
