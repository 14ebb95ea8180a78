import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tailscope.core import InputError, generator
from tailscope.report import GalleryCase, GalleryView, ReportContent, render, write_report

ARMS = ("control", "weighted_sampling", "focal γ=2")
CLASSES = (("effusion", "head", 900), ("mass", "medium", 210), ("<b>x</b>", "medium", 120), ("hernia", "tail", 12))
SECTIONS = ("found", "data", "performance", "alignment", "units", "hidden", "gallery", "provenance", "glossary")


def class_table():
    rows = [
        {
            "class": name,
            "group": group,
            "train_positives": n,
            "train_negatives": 6000 - n,
            "val_positives": n // 5,
            "test_positives": n // 3,
            "test_negatives": 2000 - n // 3,
            "unknown": 0,
            "annotated_test": n // 6,
            "prevalence": n / 6000,
        }
        for name, group, n in CLASSES
    ]
    return pd.DataFrame(rows[::-1])


def estimates():
    random = generator(0, "estimates")
    rows = []
    for metric, start in (("auroc", 0.82), ("average_precision", 0.41), ("ece", 0.05)):
        for name in ("macro", "head", "tail", *(name for name, _, _ in CLASSES)):
            for arm in ARMS:
                value, half = start + 0.03 * random.standard_normal(), 0.02 + 0.03 * random.random()
                rows.append(("performance", metric, name, arm, value, value - half, value + half, 2000, ""))
        rows[-1] = ("performance", metric, "hernia", ARMS[-1], np.nan, np.nan, np.nan, 2000, "no positive test image")
    return pd.DataFrame(rows, columns=["lens", "metric", "class", "arm", "value", "lo", "hi", "n", "reason"])


def findings():
    random = generator(0, "findings")
    verdicts = ("equivalent", "undecided", "better", "undecided (4 positive patients)", "differs, within the margin")
    rows = []
    for lens, metric in (
        ("performance", "auroc"),
        ("performance", "average_precision"),
        ("alignment", "mass_inside"),
        ("dissection", "best_iou_matched"),
    ):
        for name, group, n in CLASSES:
            for arm in ARMS[1:]:
                difference, se = 0.04 * random.standard_normal(), 0.005 + 0.02 * random.random()
                rows.append(
                    {
                        "lens": lens, "metric": metric, "class": name, "group": group, "arm": arm, "control": "control",
                        "n": 2000, "patients": n // 3, "difference": difference, "lo": difference - 2 * se,
                        "hi": difference + 2 * se, "se": se, "p": 0.03, "p_adjusted": 0.2, "seed_noise": se / 2,
                        "mde": 3 * se, "verdict": verdicts[len(rows) % 5], "reason": "",
                        "primary": lens != "performance",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def hidden():
    kinds = ("hidden difference", "candidate", "not visible")
    return pd.DataFrame(
        [
            {
                "class": name, "arm": ARMS[1], "lens": "alignment", "metric": "mass_inside", "kind": kind,
                "difference": -0.09, "lo": -0.13, "hi": -0.05, "p": 0.001, "p_adjusted": 0.02,
                "auroc_difference": 0.004, "ap_difference": -0.003,
                "positives_needed": 140 if kind == "not visible" else np.nan,
            }
            for kind, name in zip(kinds, ("mass", "effusion", "hernia"), strict=True)
        ]
    )  # fmt: skip


def alignment():
    random = generator(0, "alignment")
    rows = []
    for metric in ("pointing_game", "mass_inside"):
        for name, group, n in CLASSES:
            for arm in ARMS:
                excess = 0.15 + 0.1 * random.standard_normal()
                rows.append(
                    {
                        "class": name, "group": group, "arm": arm, "method": "gradcam", "metric": metric,
                        "value": excess + 0.08, "reference": 0.08, "excess": excess, "lo": excess - 0.05,
                        "hi": excess + 0.05, "n": n // 6, "patients": n // 7, "degenerate": 0.02, "attainable": 0.71,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def units():
    rows = [
        {
            "class": name, "group": group, "arm": arm, "crossfit": 0.2 + 0.04 * (n % 3), "lo": 0.1, "hi": 0.3,
            "best_iou_fixed": 0.06,
            "attainable_fixed": 0.31, "units_per_100": 1.25, "n": n // 6, "patients": n // 7, "reason": "",
        }
        for name, group, n in CLASSES
        for arm in ARMS
    ]  # fmt: skip
    rows[-1] |= {"crossfit": np.nan, "lo": np.nan, "hi": np.nan, "reason": "fewer than 7 annotated patients"}
    return pd.DataFrame(rows)


def layers():
    return pd.DataFrame(
        [{"arm": arm, "layer": "layer4", "units": 512, "dead": 3, "live": 509, "grid": "18 × 24"} for arm in ARMS]
    )


def history():
    return pd.DataFrame(
        [
            {
                "run": f"{arm}-s{seed}", "arm": arm, "seed": seed, "epoch": epoch,
                "train_loss": 0.6 / epoch + 0.05 * seed, "val_auroc": 0.8 - 0.2 / epoch + 0.01 * seed,
            }
            for arm in ARMS
            for seed in range(3)
            for epoch in range(1, 9)
        ]
    )  # fmt: skip


def gallery():
    cases = []
    rows, columns = np.mgrid[0:96, 0:128]
    for number, (name, group, _) in enumerate(CLASSES):
        random = generator(number, "gallery")
        centre = (30 + 10 * number, 40 + 12 * number)
        distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        image = 90 + 60 * np.sin(columns / 20) + 60 * np.exp(-distance / 200) + 6 * random.standard_normal((96, 128))
        saliency = np.exp(-distance / 300)[::8, ::8]
        maps = (saliency, saliency[::-1], np.zeros((12, 16)))
        views = tuple(GalleryView(arm, a, 0.83, 0.41) for arm, a in zip(ARMS, maps, strict=True))
        cases.append(
            GalleryCase(f"image-{number:03d}", name, group, image.clip(0, 255).astype(np.uint8), distance < 150, views)
        )
    return tuple(cases)


def build(**changes):
    content = ReportContent(
        name="phantom demo",
        created="2026-11-24T02:00:00Z",
        version="0.1.0",
        arms=ARMS,
        seeds=(0, 1, 2),
        notes=("Blank labels count as negative.", "Two files were unreadable & left out."),
        settings_yaml="name: demo\nseeds: [0, 1, 2]\n",
        provenance={"versions": {"python": "3.12", "numpy": "2.3"}, "timings_s": {"train": 812.25}, "seeds": [0, 1, 2]},
        test_images=2000,
        gallery_note="Grad-CAM of seed 0.",
        class_table=class_table(),
        estimates=estimates(),
        findings=findings(),
        hidden=hidden(),
        alignment=alignment(),
        units=units(),
        layers=layers(),
        history=history(),
        audit=pd.DataFrame([{"arm": arm, "seed": 0, "drawn_once": 0.63, "initial_loss": 0.693} for arm in ARMS]),
        gallery=gallery(),
    )
    return dataclasses.replace(content, **changes)


EMPTY = ReportContent(name="nothing", created="2026-11-24", version="0.1.0", arms=("control",), seeds=(0,))


@pytest.fixture(scope="module")
def page():
    return render(build())


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
    write_report(tmp_path / "deep" / "report.html", build(gallery=()))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_the_page_loads_nothing(page):
    assert "http://" not in page
    assert "https://" not in page
    assert all(
        target.startswith(("#", "data:image/png;base64,")) for target in re.findall(r'(?:src|href)="([^"]*)"', page)
    )
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_admits_exactly_the_script_of_the_page(page):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_every_figure_has_a_caption_that_says_how_to_read_it(page):
    captions = texts(page, "figcaption")
    assert len(captions) == page.count("<figure") == 6 + len(CLASSES)
    assert all(len(caption) > 60 for caption in captions)


def test_every_table_has_a_caption(page):
    captions = texts(page, "caption")
    assert len(captions) == page.count("<table")
    assert all(len(caption) > 60 for caption in captions)


@pytest.mark.parametrize("content", [build(), EMPTY], ids=["full", "empty"])
def test_every_section_is_there_and_listed(content):
    page = render(content)
    assert re.findall(r'<section id="([^"]*)"', page) == list(SECTIONS)
    assert re.findall(r'<a href="#([^"]*)"', page) == list(SECTIONS)


def test_what_is_missing_is_explained():
    explained = [text for text in texts(render(EMPTY), "p") if text.startswith("Not shown: ")]
    assert len(explained) >= 8
    assert any("no class counts" in text for text in explained)
    assert any("only one arm (control)" in text for text in explained)


@pytest.mark.parametrize(
    "field", ["class_table", "estimates", "findings", "hidden", "alignment", "units", "layers", "history", "audit"]
)
def test_any_one_table_may_be_missing(field, page):
    without = render(build(gallery=(), **{field: None}))
    assert re.findall(r'<section id="([^"]*)"', without) == list(SECTIONS)
    assert without.count("<table") + without.count("<figure") < page.count("<table") + page.count("<figure") - len(
        CLASSES
    )


def test_a_table_without_rows_is_the_same_as_none():
    tables = [field.name for field in dataclasses.fields(ReportContent) if "DataFrame" in str(field.type)]
    assert len(tables) == 9
    assert render(dataclasses.replace(EMPTY, **{name: pd.DataFrame() for name in tables})) == render(EMPTY)


def test_names_from_the_data_are_escaped(page):
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_equal_contents_give_equal_bytes(page):
    assert render(build()) == page


def test_the_page_stays_small():
    noise = generator(0, "noise").integers(0, 256, (700, 900), dtype=np.uint8)
    view = GalleryView("control", np.random.default_rng(0).random((14, 18)), 0.5, 0.1)
    case = GalleryCase("image-000", "mass", "head", noise, np.eye(700, 900, dtype=bool), (view,) * 4)
    assert len(render(build(gallery=(case,) * 40))) < 8_000_000


def test_classes_run_from_head_to_tail(page):
    table = page[page.index('id="data"') : page.index('id="performance"')]
    places = [table.index(f">{name}</th>") for name in ("effusion", "mass", "hernia")]
    assert places == sorted(places)


def test_a_missing_value_is_a_dash_with_its_reason(page):
    assert 'title="no positive test image">–<sup>a</sup>' in page
    assert "<sup>a</sup> no positive test image" in page


def test_the_best_value_on_the_grid_is_printed(page):
    assert any("best value that each metric can reach on the grid" in caption for caption in texts(page, "caption"))


def test_an_image_that_is_not_bytes_is_refused():
    case = dataclasses.replace(gallery()[0], image=np.zeros((96, 128)))
    with pytest.raises(
        InputError, match=r"gallery case 'image-000' must have a uint8 image .* got float64 \(96, 128\)"
    ):
        render(build(gallery=(case,)))
