"""Charts of the page as files of their own, at the widths of journals."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import altair as alt
import pytest
from markupsafe import Markup

from tailscope.core import InputError
from tailscope.report.blocks import Figure, Section
from tailscope.report.drawing import inline, svg
from tailscope.report.journal_figures import journal_figures


def drawn(width: int) -> Markup:
    data = inline([{"x": 1, "y": 2}, {"x": 2, "y": 3}])
    return svg(alt.Chart(data).mark_line().encode(x="x:Q", y="y:Q").properties(width=width, height=90), "two points")


def section(*pictures: Markup) -> Section:
    return Section("found", "Found", tuple(Figure(f"caption {n}", picture, n) for n, picture in enumerate(pictures, 1)))


def test_a_narrow_chart_takes_one_column_and_a_wide_one_two():
    narrow, wide = journal_figures([section(drawn(200), drawn(700))])
    assert (narrow.name, narrow.width_mm) == ("figure-01-found", 89.0)
    assert (wide.name, wide.width_mm) == ("figure-02-found", 183.0)


def test_the_file_is_whole_xml_of_that_width_in_the_proportion_of_the_chart():
    (figure,) = journal_figures([section(drawn(700))])
    root = ElementTree.fromstring(figure.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("width") == "183mm"
    across, down = map(float, root.get("viewBox").split()[2:])
    assert float(root.get("height").removesuffix("mm")) == pytest.approx(183 * down / across, abs=0.01)


def test_the_pdf_has_the_same_width_in_points():
    (figure,) = journal_figures([section(drawn(200))])
    pdf = figure.pdf()
    assert pdf.startswith(b"%PDF")
    box = pdf[pdf.index(b"/MediaBox") :].split(b"[")[1].split(b"]")[0].split()
    assert float(box[2]) == pytest.approx(89 * 72 / 25.4, abs=1)


def test_each_of_many_drawings_of_a_figure_has_a_file_of_its_own():
    many = Markup("<svg viewBox='0 0 9 9'><g/></svg>".replace("'", '"') * 60)
    names = [figure.name for figure in journal_figures([section(many)])]
    assert names[:2] == ["figure-01.01-found", "figure-01.02-found"]
    assert len(set(names)) == 60


def test_pictures_of_images_do_not_leave():
    picture = Markup('<svg viewBox="0 0 9 9"><image href="data:image/png;base64,AA"/></svg>')
    assert journal_figures([section(picture)]) == ()


def test_a_drawing_without_a_size_is_refused():
    with pytest.raises(InputError, match="must state its view box or its size"):
        journal_figures([section(Markup("<svg><g/></svg>"))])
