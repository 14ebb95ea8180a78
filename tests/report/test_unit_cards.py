import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from block_reading import picture, told
from PIL import Image

from tailscope.core import InputError, generator
from tailscope.report.page_order import PageOrder
from tailscope.report.unit_bars import BarScale, bars, strongest
from tailscope.report.unit_cards import card_blocks
from tailscope.report.unit_pictures import UnitCardPicture

ORDER = PageOrder(("mass", "hernia"), ("control", "focal"))


def card(arm="control", name="mass", side=32, k=3, **changes):
    images = generator(0, "card").integers(0, 256, (k, side, side), dtype=np.uint8)
    regions, annotations = np.zeros((2, k, side, side), bool)
    regions[:, 4:9, 5:12], annotations[:, 6:20, 6:20] = True, True
    captions = tuple(f"image-{number}" for number in range(k))
    ious, weights = {"mass": 0.3, "hernia": 0.1, "chest_tube": 0.2}, {"mass": 0.42, "hernia": -0.1}
    made = UnitCardPicture(arm, "layer4", name, 17, images, regions, annotations, ious, weights, captions)
    return dataclasses.replace(made, **changes)


def pixels(drawn):
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall(r'base64,([^"]*)', str(drawn))]


def test_classes_fold_head_first_and_control_stands_first():
    drawn = picture(card_blocks((card("focal", "hernia"), card("focal"), card("control")), ORDER))
    assert re.findall("<summary>(.*?)</summary>", drawn) == [
        "mass: 2 units of control and focal", "hernia: 1 unit of focal",
    ]  # fmt: skip
    assert " open" not in drawn
    heads = re.findall("<h3>(.*?)</h3>", drawn)
    assert heads[0] == "control: unit 17 of layer4, IoU with mass 0.30, weight +0.42"
    assert heads[1].startswith("focal: ")


def test_a_concept_that_is_no_class_has_a_card_without_a_weight():
    drawn = picture(card_blocks((card(name="chest_tube"), card()), ORDER))
    assert re.findall("<h3>(.*?)</h3>", drawn)[1] == "control: unit 17 of layer4, IoU with chest_tube 0.20"


def test_region_and_annotation_have_their_own_lines():
    drawn = picture(card_blocks((card(k=1),), ORDER))
    paths = dict(re.findall(r'<path d="([^"]*)"[^>]*stroke="(#[^0][^"]*)"', drawn))
    colour_of = {colour: path for path, colour in paths.items()}
    assert colour_of["#ff9f1c"].startswith("M5 4h7")
    assert colour_of["#56d7ff"].startswith("M6 6h14")


def test_an_image_without_an_annotation_has_one_line():
    bare = card(k=1)
    drawn = picture(card_blocks((dataclasses.replace(bare, annotations=np.zeros_like(bare.annotations)),), ORDER))
    assert "#56d7ff" not in drawn
    assert "#ff9f1c" in drawn


def test_an_image_that_units_of_one_class_share_is_written_once():
    drawn = picture(card_blocks((card(), card("focal")), ORDER))
    assert len(pixels(drawn)) == 3
    assert drawn.count("<use href=") == 3
    names = re.findall(r' id="([^"]*)"', drawn)
    assert len(set(names)) == len(names)
    assert set(re.findall(r'href="#([^"]*)"', drawn)) <= set(names)


def test_the_cards_of_many_arms_and_classes_stay_below_one_and_a_half_megabytes():
    random = generator(1, "many")
    classes = tuple(f"class {number}" for number in range(4))
    cards = tuple(
        card(arm, name, 224, 5, images=random.integers(0, 256, (5, 224, 224), dtype=np.uint8))
        for name in classes
        for arm in ("control", "focal", "sampling", "shift")
    )
    drawn = picture(card_blocks(cards, PageOrder(classes, ())))
    assert 500_000 < len(drawn) <= 1_500_000
    assert drawn.count("<summary>") == 4


def test_classes_for_which_there_is_no_room_are_named(monkeypatch):
    monkeypatch.setattr("tailscope.report.unit_cards._MOST_LETTERS", 20_000)
    classes = tuple(f"class {number}" for number in range(6))
    figure, notice = card_blocks(tuple(card(name=name) for name in classes), PageOrder(classes, ("control",)))
    assert len(figure.picture) <= 20_000
    assert "<summary>class 0:" in figure.picture
    assert notice.is_empty_notice
    assert "class 5, for which this page has no room" in notice.text


def test_a_large_mask_that_is_thinner_than_a_pixel_of_the_picture_is_still_drawn():
    thin = np.zeros((1, 1024, 1024), bool)
    thin[:, 500] = True
    wide = card(k=1, images=np.zeros((1, 1024, 1024), np.uint8), regions=thin, annotations=thin)
    assert "#ff9f1c" in picture(card_blocks((wide,), ORDER))


def test_colour_images_keep_their_colour():
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[..., 0] = 200
    (shown,) = pixels(picture(card_blocks((card(k=1, images=images),), ORDER)))
    red, green, _ = np.asarray(shown)[16, 16]
    assert (red > 190, green < 10) == (True, True)


def test_no_metadata_travels_with_the_pixels():
    (shown,) = pixels(picture(card_blocks((card(k=1),), ORDER)))
    assert not shown.getexif()
    assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_captions_and_names_are_escaped():
    drawn = picture(card_blocks((card("<i>", "<b>", 32, 1, captions=("<u>",)),), ORDER))
    assert not any(tag in drawn for tag in ("<i>", "<b>", "<u>"))


def test_the_figure_tells_how_to_read_it():
    assert "Cards illustrate; they prove nothing." in told(card_blocks((card(),), ORDER))


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((3, 32, 32))},
        {"regions": np.zeros((3, 16, 16), bool)},
        {"annotations": np.zeros((2, 32, 32), bool)},
        {"captions": ("one",)},
    ],
    ids=["floats", "size", "number", "captions"],
)
def test_a_card_whose_parts_do_not_fit_is_refused(changes):
    with pytest.raises(InputError, match=r"card of unit 17 \(control, mass\) must have uint8 images"):
        card_blocks((card(**changes),), ORDER)


def test_without_cards_the_page_says_why():
    (block,) = card_blocks((), ORDER)
    assert block.is_empty_notice


def test_the_own_class_is_always_among_five_bars():
    ious = {f"c{number}": 0.1 * number for number in range(8)}
    assert strongest(ious, "c0") == ("c7", "c6", "c5", "c4", "c0")
    assert strongest(ious, "c6") == ("c7", "c6", "c5", "c4", "c3")


def test_bars_follow_the_scale_and_a_negative_weight_lies_left_of_zero():
    drawn = bars({"mass": 0.2}, {"mass": -0.5}, "mass", BarScale(0.4, 0.5))
    (iou, weight) = re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', drawn)
    assert iou == ("118", "26.0")
    assert weight == ("199.0", "34.0")
    assert "−0.50" in drawn


def test_a_missing_weight_is_a_dash_and_no_bar():
    drawn = bars({"chest_tube": 0.2}, {}, "chest_tube", BarScale(0.2, 0.5))
    assert ">–</text>" in drawn
    assert 'width="0.0"' in drawn
