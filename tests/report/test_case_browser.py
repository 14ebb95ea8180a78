import base64
import dataclasses
import hashlib
import io
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from browsing import CHROMIUM
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from tailscope.core import InputError, generator, resize_bilinear
from tailscope.report import GalleryCase, GalleryView
from tailscope.report import case_browser as case_browsing
from tailscope.report.case_browser import case_browser, levels_of
from tailscope.report.gallery import outline

ARMS, METHODS = ("control", "focal", "<b>ldam</b>"), ("gradcam", "layercam")
SHAPE = (36, 48)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def case(number, class_name="mass", chosen_for=""):
    """A case of random maps; the first method's third map is empty, and arms differ more with the number."""
    random = generator(number, "case")
    views = tuple(
        GalleryView(
            arm,
            np.zeros((6, 8)) if (place, method) == (2, "gradcam") else random.random((6, 8)) - 0.3,
            0.5 + 0.05 * place * number * (-1) ** number,
            0.3 - 0.1 * place * (which + 1),
            method,
        )
        for which, method in enumerate(METHODS)
        for place, arm in enumerate(ARMS)
    )
    mask = np.zeros(SHAPE, bool)
    mask[5 + number : 20 + number, 10:30] = True
    pixels = random.integers(0, 256, SHAPE, dtype=np.uint8)
    group = "head" if class_name == "mass" else "tail"
    return GalleryCase(f"name-{number}", class_name, group, pixels, mask, views, 0.034, ("mass", "nodule"), chosen_for)


CASES = (*(case(number) for number in range(3)), case(3, chosen_for="an arm differs"), case(4, "hernia"))


def data_of(cases):
    return json.loads(case_browser(cases).data)


def page_of(cases):
    """The section of cases alone, with the policy, style and scripts of a report."""
    folder = files("tailscope.report").joinpath("templates")
    script, style = (
        "\n".join(folder.joinpath(f"{name}.{kind}").read_text() for name in ("report", "cases"))
        for kind in ("js", "css")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=PackageLoader("tailscope.report"), autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>cases</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src '
        "'unsafe-inline'; script-src 'sha256-{{ digest }}'\"><style>{{ style }}</style></head><body><main>"
        '<section id="gallery"><h2>Cases</h2>{% include "cases.html" %}</section></main>'
        "<script>{{ script }}</script></body></html>"
    )
    return template.render(
        cases=case_browser(cases),
        content={"gallery_note": ""},
        digest=digest,
        script=Markup(script),
        style=Markup(style),
    )


def test_a_map_is_kept_to_half_a_level_of_its_maximum():
    saliency = generator(0, "map").standard_normal((9, 7))
    expected = saliency.clip(min=0) / saliency.max()
    assert np.abs(levels_of(saliency, 64) / 255 - expected).max() <= 0.5 / 255 + 1e-12


def test_a_fine_map_is_averaged_over_equal_blocks():
    saliency = generator(0, "fine").random((96, 128))
    means = saliency.reshape(48, 2, 64, 2).mean(axis=(1, 3))
    assert np.abs(levels_of(saliency, 64) / 255 - means / means.max()).max() <= 0.5 / 255 + 1e-6


def test_a_degenerate_map_has_its_reason_and_no_levels():
    look = data_of(CASES)["cases"][0]["views"][2]
    assert look["degenerate"] == "it is positive nowhere"
    assert "levels" not in look


def test_a_number_that_is_missing_stays_missing():
    unknown = dataclasses.replace(CASES[0], views=(GalleryView("control", np.eye(3), np.nan, np.nan),))
    look = data_of((unknown,))["cases"][0]["views"][0]
    assert look["probability"] is None
    assert look["excess"] is None


def test_an_image_of_several_cases_is_written_once():
    cases = tuple(dataclasses.replace(CASES[0], class_name=name) for name in ("a", "b", "c"))
    data = data_of(cases)
    assert len(data["images"]) == 1
    assert [one["image"] for one in data["cases"]] == [0, 0, 0]


def test_images_beyond_the_stills_are_theirs_without_metadata():
    data = data_of(CASES)
    assert data["images"][:3] == ["#case-0", "#case-1", "#case-2"]
    address = data["images"][data["cases"][3]["image"]]
    picture = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(picture), CASES[3].image)
    assert picture.info == {}


def test_data_cannot_end_their_element():
    hostile = dataclasses.replace(CASES[0], class_name="</script><img src=x>")
    assert "<" not in case_browser((hostile,)).data
    assert data_of((hostile,))["classes"][0]["name"] == "</script><img src=x>"


def test_images_shrink_until_all_fit(monkeypatch):
    monkeypatch.setattr(case_browsing, "_IMAGE_BYTES", 30_000)
    noise = generator(0, "noise").integers(0, 256, (3, 300, 400), dtype=np.uint8)
    masks = np.zeros((300, 400), bool)
    cases = tuple(dataclasses.replace(CASES[3], image=image, mask=masks) for image in noise)
    pictures = [
        base64.b64decode(address.removeprefix("data:image/png;base64,")) for address in data_of(cases)["images"]
    ]
    assert [Image.open(io.BytesIO(picture)).size for picture in pictures] == [(96, 72)] * 3  # noise: a byte a point
    assert sum(map(len, pictures)) <= 30_000


def test_maps_shrink_until_all_fit(monkeypatch):
    monkeypatch.setattr(case_browsing, "_MAP_BYTES", 5_200)  # 3 × 36 × 48 = 5,184
    views = tuple(GalleryView(arm, np.eye(60, 80), 0.5, 0.1) for arm in ARMS)
    data = data_of((dataclasses.replace(CASES[0], views=views),))
    assert [view["grid"] for view in data["cases"][0]["views"]] == [[36, 48]] * 3


def test_how_cases_were_chosen_is_counted():
    counts = case_browser(CASES).counts
    assert counts == (
        "4 cases drawn by a hash of the image's id, so that no arm is favoured; 1 more picked because the arms differ "
        "on them: extremes, not what is typical."
    )


def test_averaged_maps_are_admitted():
    fine = dataclasses.replace(CASES[0], views=(GalleryView("control", np.eye(65), 0.5, 0.1),))
    assert "Maps finer than 64 points a side are averaged" in case_browser((fine,)).counts


def test_a_case_that_is_no_still_is_checked_as_well():
    wrong = dataclasses.replace(CASES[3], image=CASES[3].image.astype(float))
    with pytest.raises(InputError, match="gallery case 'name-3' must have a uint8 image"):
        case_browser((*CASES[:3], wrong))


def test_without_cases_the_section_says_so():
    page = page_of(())
    assert "Not shown: no image with an annotation" in page
    assert "case-browser" not in page.split("</style>")[1].split("<script>")[0]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "cases.html"
    path.write_text(page_of(CASES))
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The browser with the section just opened, and the first case drawn."""
    return opened(browser, address)


def opened(browser, address, shown=1, **window):
    browser.open(address, **window)
    drawn(browser, shown)
    return browser


def drawn(browser, number):
    browser.until(f"document.getElementById('case-browser').dataset.drawn === '{number}'")


def choose(browser, control, value):
    """Set a control as a reader would, events included."""
    browser.run(
        f"""(() => {{
            const control = document.querySelector('[data-control="{control}"]');
            if (control.type === "checkbox") control.checked = {json.dumps(bool(value))};
            else control.value = {json.dumps(str(value))};
            control.dispatchEvent(new Event("input", {{ bubbles: true }}));
        }})()"""
    )
    settle(browser)


def settle(browser):
    browser.run("new Promise((done) => setTimeout(done, 20))")


def words(browser):
    return browser.run("document.querySelector('.browser .told').textContent")


def cells(browser):
    return browser.run("[...document.querySelectorAll('.browser .seen')].map((cell) => cell.innerText)")


def canvas(browser, place):
    """(H, W, 4) pixels of a canvas."""
    text = browser.run(f"document.querySelectorAll('.browser canvas')[{place}].toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))).convert("RGBA")).astype(int)


@needs_browser
def test_the_page_opens_without_an_error_and_asks_the_network_for_nothing(page):
    assert page.errors == []
    assert all(asked.startswith(("file:", "data:image/png")) for asked in page.requests)


@needs_browser
@pytest.mark.parametrize(("grid", "size"), [((6, 8), (36, 48)), ((5, 7), (33, 50)), ((9, 9), (4, 6)), ((1, 1), (3, 2))])
def test_the_script_upsamples_as_the_lenses_do(page, grid, size):
    levels = generator(0, "levels", *grid).integers(0, 256, grid)
    found = page.run(f"[...caseBrowser.upsampled({levels.ravel().tolist()}, {list(grid)}, {list(size)})]")
    np.testing.assert_allclose(np.reshape(found, size), resize_bilinear(levels / 255, size), atol=1e-6)


@needs_browser
def test_the_script_finds_the_inside_of_any_outline(page):
    mask = generator(0, "mask").random((17, 23)) < 0.4
    found = page.run(f"[...caseBrowser.maskOf({json.dumps(outline(mask))}, [17, 23])]")
    np.testing.assert_array_equal(np.reshape(found, mask.shape), mask)


@needs_browser
@pytest.mark.parametrize("kind", ["maximum", "area"])
@pytest.mark.parametrize("share", [0.0, 0.37, 0.8])
def test_the_region_left_by_the_threshold_is_measured_against_the_annotation(page, kind, share):
    values = generator(0, "values").random(200).clip(0.2).astype(np.float32) - np.float32(0.2)
    mask = generator(0, "drawn").random(200) < 0.3
    limit = share if kind == "maximum" else np.sort(values)[int(share * 200)]
    kept = (values >= limit) & (values > 0)
    script = f"""(() => {{
        const values = Float32Array.from({values.tolist()});
        const limit = caseBrowser.limitOf(values, "{kind}", {share});
        return caseBrowser.regionOf(values, {mask.astype(int).tolist()}, limit);
    }})()"""
    expected = {"share": kept.mean(), "iou": (kept & mask).sum() / (kept | mask).sum()}
    assert page.run(script) == pytest.approx(expected)


@needs_browser
def test_the_class_is_picked_with_its_group_and_prevalence(page):
    options = page.run("[...document.querySelector('[data-control=class]').options].map((one) => one.text)")
    assert options == ["mass (head, 3.4 % of training images)", "hernia (tail, 3.4 % of training images)"]
    choose(page, "class", 1)
    assert words(page).startswith("Case 5 (hernia, 1 of 1): name-4, annotated area 17 %.")


@needs_browser
def test_buttons_and_arrow_keys_step_through_the_cases_of_the_class(page):
    page.run("document.querySelector('[data-step=\"1\"]').click()")
    drawn(page, 2)
    page.run("document.querySelector('[data-part=pictures]').focus()")
    page.press("ArrowRight")
    drawn(page, 3)
    page.press("ArrowLeft")
    drawn(page, 2)
    assert words(page).startswith("Case 2 (mass, 2 of 4): name-1")


@needs_browser
def test_stepping_past_the_last_case_begins_again(page):
    page.run("document.querySelector('[data-step=\"-1\"]').click()")
    drawn(page, 4)
    assert words(page).endswith("Picked because an arm differs.")


@needs_browser
def test_arrow_keys_on_a_slider_move_the_slider_alone(page):
    page.run("document.querySelector('[data-control=opacity]').focus()")
    page.press("ArrowRight")
    settle(page)
    assert page.run("document.querySelector('[data-control=opacity]').value") == "79"
    assert words(page).startswith("Case 1 ")


@needs_browser
def test_scores_stand_below_each_picture_with_the_difference_from_control(browser, address):
    page = opened(browser, f"{address}#case=2", 2)
    image, control, focal, ldam = (text.split("\n") for text in cells(page))
    assert [line for line in image if line] == ["image", "outline: annotation"]
    assert [line for line in control if line][:3] == ["control", "predicted 0.50", "excess +0.30"]
    assert [line for line in focal if line][:3] == ["focal", "predicted 0.45 (−0.05)", "excess +0.20 (−0.10)"]
    assert ldam[0] == "<b>ldam</b>"


@needs_browser
def test_a_degenerate_map_is_said_in_words_and_leaves_the_image_bare(page):
    assert "degenerate map: it is positive nowhere" in cells(page)[3]
    np.testing.assert_array_equal(canvas(page, 3), canvas(page, 0))


@needs_browser
def test_every_canvas_tells_what_it_shows_to_those_who_cannot_see_it(page):
    labels = page.run("[...document.querySelectorAll('.browser canvas')].map((one) => one.ariaLabel)")
    assert labels[0] == "The image alone, mass; outline: annotation"
    assert re.fullmatch(
        r"focal: saliency over the image, mass; predicted 0\.50 \(0\.00\); excess \+0\.20 \(−0\.10\); coloured "
        r"\d+ % of the image, IoU 0\.\d\d",
        labels[2],
    )


@needs_browser
def test_the_threshold_uncovers_all_pictures_at_once(page):
    choose(page, "outline", 0)
    bare, before = canvas(page, 0), [canvas(page, place) for place in (1, 2)]
    choose(page, "threshold", 60)
    for place, (full, arm) in enumerate(zip(before, (0, 1), strict=True), 1):
        covered = (canvas(page, place) != bare).any(axis=-1)
        values = resize_bilinear(levels_of(CASES[0].views[arm].saliency, 64) / 255, SHAPE)
        scale = covered.shape[0] // SHAPE[0]
        middles = covered[scale // 2 :: scale, scale // 2 :: scale]
        clear = np.abs(values - 0.6) > 0.15  # beside the limit the picture is smoothed
        assert (middles[clear] == (values >= 0.6)[clear]).mean() > 0.97
        assert covered.sum() < (full != bare).any(axis=-1).sum()


@needs_browser
def test_the_stated_region_is_that_of_the_map_on_the_grid_of_the_image(page):
    choose(page, "threshold", 50)
    kept = resize_bilinear(levels_of(CASES[0].views[1].saliency, 64) / 255, SHAPE) >= 0.5
    iou = (kept & CASES[0].mask).sum() / (kept | CASES[0].mask).sum()
    assert f"coloured {100 * kept.mean():.0f} % of the image, IoU {iou:.2f}" in cells(page)[2]


@needs_browser
def test_without_opacity_only_the_image_is_left(page):
    choose(page, "opacity", 0)
    for place in (1, 2):
        np.testing.assert_array_equal(canvas(page, place), canvas(page, 0))


@needs_browser
def test_the_outline_can_be_taken_away_and_the_image_is_its_own(page):
    with_line = canvas(page, 0)
    choose(page, "outline", 0)
    without = canvas(page, 0)
    assert (with_line != without).any()
    scale = without.shape[0] // SHAPE[0]
    middles = without[scale // 2 :: scale, scale // 2 :: scale, 0]
    assert np.corrcoef(middles.ravel(), CASES[0].image.ravel())[0, 1] > 0.98


@needs_browser
def test_the_method_changes_map_and_excess(page):
    before = canvas(page, 1)
    choose(page, "method", 1)
    assert "excess +0.10 (−0.20)" in cells(page)[2]
    assert "degenerate" not in cells(page)[3]
    assert (canvas(page, 1) != before).any()


@needs_browser
def test_arms_are_picked(page):
    page.run("document.querySelectorAll('[data-part=arms] input')[1].click()")
    settle(page)
    assert [text.split("\n")[0] for text in cells(page)] == ["image", "control", "<b>ldam</b>"]


@needs_browser
def test_cases_are_ordered_by_the_largest_difference_from_control(page):
    choose(page, "order", "probability")
    assert words(page).startswith("Case 4 (mass, 1 of 4)")
    page.run("document.querySelector('[data-step=\"1\"]').click()")
    drawn(page, 3)


@needs_browser
def test_the_address_keeps_what_is_shown(browser, page, address):
    choose(page, "threshold", 40)
    choose(page, "method", 1)
    choose(page, "outline", 0)
    page.until("location.hash.includes('outline')")
    link = page.run("location.href")
    expected = cells(page)
    assert link == f"{address}#case=1&method=1&threshold=40&outline=0"
    assert cells(opened(browser, link)) == expected


@needs_browser
@pytest.mark.parametrize("link", ["case=99", "case=x", "gallery", "case=1&method=7&opacity=-3&arms=9&kind=no&order=no"])
def test_an_address_that_makes_no_sense_does_no_harm(browser, address, link):
    page = opened(browser, f"{address}#{link}")
    assert page.errors == []
    assert words(page).startswith("Case 1 ")


@needs_browser
def test_every_control_has_a_name(page):
    unnamed = page.run(
        "[...document.querySelectorAll('.browser :is(select, input)')].filter((one) => !one.labels.length).length"
    )
    assert unnamed == 0


@needs_browser
def test_without_scripts_the_stills_stand_and_the_browser_does_not(browser, address):
    browser.open(address, scripts=False)
    shown = "[...document.querySelectorAll('.case')].filter((one) => one.checkVisibility()).length"
    assert browser.run(shown) == 3
    assert not browser.run("document.getElementById('case-browser').checkVisibility()")
    assert browser.errors == []


@needs_browser
def test_with_scripts_the_browser_stands_in_place_of_the_stills_and_on_paper_the_stills(page):
    shown = (
        "[document.getElementById('case-browser').checkVisibility(), "
        "[...document.querySelectorAll('.case')].some((one) => one.checkVisibility())]"
    )
    assert page.run(shown) == [True, False]
    page.call("Emulation.setEmulatedMedia", media="print")
    on_paper = page.run(shown)
    page.call("Emulation.setEmulatedMedia", media="")
    assert on_paper == [False, True]


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_of_the_window(browser, address, width):
    page = opened(browser, address, width=width)
    assert page.run("document.documentElement.scrollWidth") == width


@needs_browser
def test_with_one_method_there_is_nothing_to_pick(browser, tmp_path):
    plain = dataclasses.replace(CASES[0], views=CASES[0].views[:2])
    (tmp_path / "one.html").write_text(page_of((plain,)))
    page = opened(browser, (tmp_path / "one.html").as_uri())
    assert not page.run("document.querySelector('[data-control=method]').checkVisibility()")
