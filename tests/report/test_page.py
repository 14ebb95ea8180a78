import base64
import dataclasses
import hashlib
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from page_content import CLASSES, EMPTY, build, gallery, twelve_arms
from reading import section
from undrawn import page_of, undrawn, without_charts

from tailscope.core import InputError, generator
from tailscope.report import (
    GalleryCase,
    GalleryView,
    PerformanceTables,
    ReportContent,
    StatisticsTables,
    chapters,
    page_sections,
    render,
    write_report,
)
from tailscope.report.performance import performance

SECTIONS = (
    "found", "hidden", "data", "treatments", "performance", "calibration", "subgroups", "standing", "alignment",
    "shortcuts", "instrument", "units", "representation", "gallery", "methods", "provenance", "glossary",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(drawn_sections):
    return page_of(build(), drawn_sections)


@pytest.fixture(scope="module")
def nothing():
    return render(EMPTY)


@pytest.fixture(scope="module")
def blank():
    """What stands on the whole page, its charts left out."""
    with without_charts():
        return page_sections(build())


def shown(sections, kinds=("table", "figure", "listing")):
    """How many blocks of some kinds there are."""
    return sum(block.kind in kinds for section in sections for block in section.blocks)


class _Texts(HTMLParser):
    """Collects the text inside every element of one kind."""

    def __init__(self, tag):
        super().__init__()
        self.tag, self.texts, self.depth = tag, [], 0

    def handle_starttag(self, tag, attrs):
        if tag == self.tag:
            self.depth += 1
            self.texts.append("")

    def handle_endtag(self, tag):
        self.depth -= tag == self.tag

    def handle_data(self, data):
        if self.depth:
            self.texts[-1] += data


def texts(page, tag):
    parser = _Texts(tag)
    parser.feed(page)
    return [text.strip() for text in parser.texts]


def test_the_report_is_one_file(tmp_path):
    write_report(tmp_path / "deep" / "report.html", EMPTY)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_the_page_loads_nothing(page):
    assert "http://" not in page
    assert "https://" not in page
    assert all(
        target.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,"))
        for target in re.findall(r'(?:src|href)="([^"]*)"', page)
    )
    assert "default-src 'none'" in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))  # gradients of a legend
    assert "@import" not in page


def test_the_policy_admits_exactly_the_script_of_the_page(page):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_every_figure_has_a_caption_that_says_how_to_read_it(page):
    captions = texts(page, "figcaption")
    assert len(captions) == page.count("<figure") == 26 + len(CLASSES)
    assert all(len(caption) > 60 for caption in captions)


def test_every_table_has_a_caption(page):
    captions = texts(page, "caption")
    assert len(captions) == page.count("<table")
    assert all(len(caption) > 60 for caption in captions)


@pytest.mark.parametrize("content", ["page", "nothing"])
def test_every_section_is_there_and_listed(content, request):
    html = request.getfixturevalue(content)
    assert re.findall(r'<section id="([^"]*)"', html) == list(SECTIONS)
    contents = re.search(r"<nav.*?</nav>", html, re.DOTALL).group()
    assert re.findall(r'<a href="#([^"]*)"', contents) == list(SECTIONS)


def test_every_link_of_the_page_leads_somewhere(page):
    places = set(re.findall(r' id="([^"]+)"', page))
    targets = re.findall(r'<a [^>]*href="#([^"]*)"', page)
    assert len(targets) > len(SECTIONS) + 20
    assert set(targets) <= places


def test_no_two_places_of_the_page_have_one_name(page):
    places = re.findall(r' id="([^"]+)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert len(places) == len(set(places))


def test_what_is_missing_is_explained(nothing):
    explained = [text for text in texts(nothing, "p") if text.startswith("Not shown: ")]
    assert len(explained) >= 14
    assert any("no class counts" in text for text in explained)
    assert any("only one arm (control)" in text for text in explained)


@pytest.mark.parametrize(
    "field",
    [
        "class_table",
        "estimates",
        "findings",
        "hidden",
        "alignment",
        "references",
        "views",
        "sizes",
        "localization",
        "shortcuts",
        "soundness",
        "stages",
        "units",
        "layers",
        "detectors",
        "curve",
        "causes",
        "changes",
        "trajectory",
        "first_epochs",
        "history",
        "audit",
        "gradient_shares",
        "draws",
        "balance",
        "ensembles",
        "tuning",
        "statistics.false_alarms",
        "statistics.cross_checks",
        "statistics.ranks",
        "statistics.trends",
        "statistics.precision",
        "performance.calibration_curves",
        "performance.decision_curves",
        "performance.uncorrected",
        "performance.subgroups",
        "performance.subgroup_gaps",
    ],
)
def test_any_one_table_may_be_missing(field, blank):
    """``field`` may be the part of a group, with a dot."""
    group, _, name = field.rpartition(".")
    content = build(gallery=())
    missing = {group: dataclasses.replace(getattr(content, group), **{name: None})} if group else {name: None}
    with without_charts():
        without = page_sections(dataclasses.replace(content, **missing))
    assert [each.name for each in without] == list(SECTIONS)
    assert shown(without) < shown(blank)


def test_a_table_without_rows_is_the_same_as_none(nothing):
    tables = [field.name for field in dataclasses.fields(ReportContent) if "DataFrame" in str(field.type)]
    assert len(tables) == 30
    empty = {name: pd.DataFrame() for name in tables}
    for group, kind in (("statistics", StatisticsTables), ("performance", PerformanceTables)):
        empty[group] = kind(*(pd.DataFrame() for _ in dataclasses.fields(kind)))
    assert render(dataclasses.replace(EMPTY, **empty)) == nothing


def test_twelve_arms_are_shown_like_three(blank):
    with without_charts():
        many = page_sections(twelve_arms())
    assert shown(many, ("table", "figure")) == shown(blank, ("table", "figure"))


def test_names_from_the_data_are_escaped(page):
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_equal_contents_give_equal_bytes(page):
    assert render(build()) == page


def test_the_page_stays_small(page):
    noise = generator(0, "noise").integers(0, 256, (700, 900), dtype=np.uint8)
    view = GalleryView("control", np.random.default_rng(0).random((14, 18)), 0.5, 0.1)
    case = GalleryCase("image-000", "mass", "head", noise, np.eye(700, 900, dtype=bool), (view,) * 4)
    cases = undrawn(build(gallery=(case,) * 40))
    assert len(cases) + len(page) < 8_000_000


def test_classes_run_from_head_to_tail(page):
    table = page[page.index('id="data"') : page.index('id="performance"')]
    places = [table.index(f">{name}</th>") for name in ("effusion", "mass", "hernia")]
    assert places == sorted(places)


def test_a_missing_value_is_a_dash_with_its_reason(page):
    assert 'title="no positive test image">–<sup>a</sup>' in page
    assert "<sup>a</sup> no positive test image" in page


def test_the_line_below_the_title_tells_every_arm_by_its_part(page):
    assert (
        "3 arms: control, weighted_sampling, focal γ=2; judged by calibration only: prior_shift; ensembles: ensemble "
        "of control, ensemble of focal · 3 seeds per arm · 2,000 test images"
    ) in page


def test_the_line_below_the_title_names_no_part_that_nobody_plays():
    page = render(dataclasses.replace(EMPTY, arms=("plain",)))
    assert '<p class="design">1 arm: plain (control) · 1 seed per arm</p>' in page


def test_what_was_found_says_where_the_ensembles_stand(page):
    sentence = "Ensembles stand in their own table (see Performance): ensemble of control and ensemble of focal."
    assert sentence in section(page, "found")


def test_without_ensembles_what_was_found_names_none(nothing):
    assert "Ensembles stand" not in nothing


def without_intervals(frame, prefix=""):
    return frame.assign(**{f"{prefix}lo": np.nan, f"{prefix}hi": np.nan})


def test_without_intervals_no_caption_speaks_of_them(page):
    spoken = [text for tag in ("caption", "figcaption") for text in texts(page, tag)]
    assert any("95 % interval" in text for text in spoken)
    content = build(gallery=(), ensembles=None, seeds=(0,))
    names = ("estimates", "findings", "hidden", "alignment", "shortcuts", "units", "cause_intervals")
    tables = {name: without_intervals(getattr(content, name)) for name in names}
    probes = without_intervals(without_intervals(content.representation.probes, "probe_"), "head_")
    tables["representation"] = dataclasses.replace(content.representation, probes=probes)
    curves, groups, gaps = (
        without_intervals(without_intervals(frame), "difference_")
        for frame in (
            content.performance.decision_curves, content.performance.subgroups, content.performance.subgroup_gaps
        )
    )  # fmt: skip
    told = dataclasses.replace(content.performance, decision_curves=curves, subgroups=groups, subgroup_gaps=gaps)
    tables |= {"statistics": StatisticsTables(), "performance": told}
    bare = undrawn(dataclasses.replace(content, **tables))
    spoken = [text for tag in ("caption", "figcaption") for text in texts(bare, tag)]
    assert not [text for text in spoken if "95 % interval" in text]
    assert any("the values of the one seed, without intervals" in text for text in spoken)


def test_a_group_without_a_class_is_in_no_table_and_no_legend(page):
    classes = build().class_table.query("group != 'medium'")
    frame = build().estimates
    empty = frame[frame["class"] == "tail"].assign(**{"class": "medium", "value": np.nan, "lo": np.nan, "hi": np.nan})
    content = build(gallery=(), class_table=classes, estimates=pd.concat([frame, empty]))
    assert "medium (average)" not in undrawn(content)
    assert ">medium</text>" in section(page, "data")
    assert ">medium</text>" not in str(chapters.data(content).blocks[0].picture)


def test_a_group_with_a_class_that_cannot_be_estimated_keeps_its_row():
    frame = build().estimates
    unknown = frame[frame["class"] == "tail"].assign(value=np.nan, lo=np.nan, hi=np.nan, reason="no estimable class")
    content = build(gallery=(), estimates=pd.concat([frame[frame["class"] != "tail"], unknown]))
    chapter = undrawn(content, performance)
    assert "tail (average)" in chapter
    assert "no estimable class" in chapter


def test_headings_never_skip_a_level(page):
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_picture_is_named_and_described_by_its_caption(page):
    figures = re.findall(r"<figure>.*?</figcaption>", page, re.DOTALL)
    assert len(figures) > 10
    for figure in figures:
        (caption,) = re.findall(r'<figcaption id="([^"]*)">', figure)
        described = re.findall(r'<svg role="img" aria-describedby="([^"]*)" aria-label="Figure \d+\. [^"]+"', figure)
        assert set(described) <= {caption}
        assert len(described) == figure.count('class="marks"')
    assert sum(figure.count('class="marks"') for figure in figures) > 20


def test_what_scrolls_can_be_reached_by_keyboard(page):
    reached = r'<div class="wide" tabindex="0" role="region" aria-label="(?:Table|Figure) \d+, scrolls sideways"'
    assert page.count('<div class="wide"') == len(re.findall(reached, page)) > 20
    assert '<a class="skip" href="#main">' in page
    assert '<main id="main"' in page


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_stands_out_from_its_ground(page):
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", page))
    grounds = [named["tint"], "#ffffff", "#fff3c4"]
    inks = [named["ink"], named["soft"], named["accent"], *re.findall(r"\.verdict[^{]*\{ color: (#[0-9a-f]{6})", page)]
    assert len(inks) >= 6
    for ink in inks:
        for ground in grounds:
            high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_a_caption_is_as_wide_as_the_window_of_its_table(page):
    assert "container-type: inline-size" in page
    assert re.search(r"caption div \{ position: sticky; left: 0; max-width: min\(1040px, 100cqw\); \}", page)


def test_the_best_value_on_the_grid_is_printed(page):
    assert any("best value that each metric can reach on the grid" in caption for caption in texts(page, "caption"))


def test_an_image_that_is_not_bytes_is_refused():
    case = dataclasses.replace(gallery()[0], image=np.zeros((96, 128)))
    with pytest.raises(
        InputError, match=r"gallery case 'image-000' must have a uint8 image .* got float64 \(96, 128\)"
    ):
        render(dataclasses.replace(EMPTY, gallery=(case,)))
