"""The whole page in a real browser."""

import dataclasses
import json

import pytest
from browsing import CHROMIUM
from page_content import ARMS, build, gallery
from undrawn import page_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

METHODS = ("gradcam", "layercam")
ALL_OPEN = "for (const part of document.querySelectorAll('details')) part.open = true"
# what sticks out of the window although no box around it scrolls
STICKING_OUT = """[...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1
        && !one.closest('.wide, nav, .skip'))
    .map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 60)}`)"""


def cases():
    """Two methods per case, their maps turned upside down, and a second case of the first class."""
    first = gallery()
    whole = [
        dataclasses.replace(
            case,
            views=tuple(
                dataclasses.replace(view, method=method, saliency=view.saliency[::step])
                for method, step in zip(METHODS, (1, -1), strict=True)
                for view in case.views
            ),
        )
        for case in first
    ]
    return (whole[0], dataclasses.replace(whole[0], pseudonym="image-100", image=255 - whole[0].image), *whole[1:])


@pytest.fixture(scope="module")
def address(tmp_path_factory, drawn_sections):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_of(build(gallery=cases()), drawn_sections), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    browser.open(address)
    return browser


def control(page, name, value):
    """Move a control of the gallery as a reader would, and wait until the case is drawn."""
    page.run(
        f"""new Promise((done) => {{
            const control = document.querySelector('[data-control="{name}"]');
            control.value = {json.dumps(str(value))};
            control.dispatchEvent(new Event("input", {{ bubbles: true }}));
            setTimeout(done, 30);
        }})"""
    )


def canvases(page):
    return page.run("[...document.querySelectorAll('.browser canvas')].map((one) => one.toDataURL())")


def told(page):
    return page.run("document.querySelector('.browser .told').textContent")


def show_gallery(page):
    page.run("document.getElementById('gallery').scrollIntoView()")
    page.until("document.getElementById('case-browser').dataset.drawn === '1'")


def test_the_page_opens_without_an_error_and_asks_the_network_for_nothing(page):
    show_gallery(page)
    assert page.errors == []
    assert page.requests
    assert all(asked.startswith(("file:", "data:image/")) for asked in page.requests)


def test_every_picture_and_table_of_the_page_is_seen_with_a_size(page):
    page.run(ALL_OPEN)
    small = page.run(
        "[...document.querySelectorAll('main figure svg[role=img], main table')]"
        ".filter((one) => !one.closest('.case')).map((one) => one.getBoundingClientRect())"
        ".filter((box) => box.width < 20 || box.height < 20).length"
    )
    assert small == 0
    assert page.run("document.querySelectorAll('main figure svg[role=img]').length") > 25


def test_the_class_is_picked_in_the_gallery(page):
    show_gallery(page)
    before = canvases(page)
    assert told(page).startswith("Case 1 (effusion, 1 of 2)")
    control(page, "class", 2)
    assert told(page).startswith("Case 4 (<b>x</b>, 1 of 1)")
    assert len(before) == 1 + len(ARMS)
    assert all(one != other for one, other in zip(before, canvases(page), strict=True))


def test_cases_are_stepped_through_by_button_and_by_key(page):
    show_gallery(page)
    page.run("document.querySelector('[data-step=\"1\"]').click()")
    page.until("document.getElementById('case-browser').dataset.drawn === '2'")
    assert "image-100" in told(page)
    page.run("document.querySelector('[data-part=pictures]').focus()")
    page.press("ArrowLeft")
    page.until("document.getElementById('case-browser').dataset.drawn === '1'")
    assert "image-000" in told(page)


@pytest.mark.parametrize(("name", "value"), [("opacity", 10), ("threshold", 70), ("method", 1)])
def test_sliders_and_the_method_change_the_maps_and_not_the_image(page, name, value):
    show_gallery(page)
    before = canvases(page)
    control(page, name, value)
    after = canvases(page)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_everything_that_folds_opens_and_closes_by_keyboard(page):
    count = page.run("document.querySelectorAll('details').length")
    assert count > 40
    page.run("for (const part of document.querySelectorAll('details')) part.open = false")
    page.run("window.heads = [...document.querySelectorAll('details > summary')]")
    for number in range(count):
        # a fold within a fold can be reached once that is open
        page.run(f"for (let at = heads[{number}].parentNode.parentNode.closest('details'); at; "
                 "at = at.parentNode.closest('details')) at.open = true")  # fmt: skip
        page.run(f"heads[{number}].focus()")
        assert page.run(f"document.activeElement === heads[{number}]")
        page.press("Enter")
        assert page.run(f"heads[{number}].parentNode.open"), number
        page.press("Enter")
        assert not page.run(f"heads[{number}].parentNode.open"), number


def test_a_link_into_what_folds_opens_it(page):
    page.run("for (const part of document.querySelectorAll('details')) part.open = false")
    links = page.run("[...document.querySelectorAll('.found a')].map((link) => link.getAttribute('href').slice(1))")
    inside = [
        name for name in links if page.run(f"Boolean(document.getElementById({json.dumps(name)}).closest('details'))")
    ]
    assert inside
    page.run(f"document.querySelector('.found a[href=\"#{inside[0]}\"]').click()")
    page.until(f"document.getElementById({json.dumps(inside[0])}).checkVisibility()")
    page.until(f"document.getElementById({json.dumps(inside[0])}).getBoundingClientRect().top < innerHeight")


def test_a_table_is_sorted_by_keyboard_and_by_value_not_by_text(page):
    head = "document.querySelectorAll('#data thead [role=button]')[2]"  # prevalence, in percent
    order = "[...document.querySelectorAll('#data tbody tr')].map((row) => Number(row.cells[2].dataset.key))"
    assert page.run(f"{head}.textContent") == "prevalence"
    page.run(f"{head}.focus()")
    page.press("Enter")
    rising = page.run(order)
    assert rising == sorted(rising)
    assert len(rising) == 4
    page.press("Enter")
    assert page.run(order) == rising[::-1]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_sticks_out_of_the_window_but_in_the_boxes_that_scroll(browser, address, width, is_open):
    browser.open(address, width=width, height=844)
    show_gallery(browser)
    if is_open:
        browser.run(ALL_OPEN)
    assert browser.run("document.scrollingElement.scrollWidth") <= width
    assert browser.run(STICKING_OUT) == []


def test_on_a_narrow_screen_tables_and_figures_scroll_in_their_boxes(browser, address):
    browser.open(address, width=390, height=844)
    browser.run(ALL_OPEN)
    boxes = browser.run(
        "[...document.querySelectorAll('.wide')].map((box) => [box.clientWidth, box.scrollWidth, "
        "getComputedStyle(box).overflowX, box.tabIndex])"
    )
    assert all(inside <= 390 and overflow == "auto" and reached == 0 for inside, _, overflow, reached in boxes)
    assert sum(whole > inside for inside, whole, _, _ in boxes) > 20


def test_without_scripts_figures_tables_and_still_cases_are_there(browser, address):
    browser.open(address, scripts=False)
    seen = "[...document.querySelectorAll('{}')].filter((one) => one.checkVisibility()).length"
    assert browser.run(seen.format("figure.case .scan")) > len(ARMS) * len(cases()) / 2
    assert browser.run(seen.format("main figure:not(.case) svg[role=img]")) > 20
    assert browser.run(seen.format("main table")) > 10
    assert not browser.run("document.getElementById('case-browser').checkVisibility()")
    assert browser.errors == []


def test_on_paper_everything_that_folds_is_seen_and_the_stills_stand_for_the_browser(page):
    show_gallery(page)
    page.run("for (const part of document.querySelectorAll('details')) part.open = false")
    page.call("Emulation.setEmulatedMedia", media="print")
    hidden = page.run("[...document.querySelectorAll('main table')].filter((one) => !one.checkVisibility()).length")
    stills = page.run("[...document.querySelectorAll('.case')].filter((one) => one.checkVisibility()).length")
    browser = page.run("document.getElementById('case-browser').checkVisibility()")
    page.call("Emulation.setEmulatedMedia", media="")
    assert (hidden, browser) == (0, False)
    assert stills == page.run("document.querySelectorAll('.case').length") > 0
