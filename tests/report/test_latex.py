"""Tables of the page as LaTeX: nothing that a column holds is lost, and nothing is read as a command."""

from __future__ import annotations

import re
import unicodedata

from page_content import build
from undrawn import without_charts

from tailscope.report import page_sections
from tailscope.report.blocks import Cell, Notes, Paragraph, Section, Table, figure_cell
from tailscope.report.latex import escaped, latex_table, latex_tables


def a_table(number: int = 3) -> Table:
    notes = Notes()
    rows = (
        (Cell("mass_a & b"), figure_cell("0.812", 0.812, detail="[0.790, 0.834]"), Cell("", style="picture")),
        (Cell("macro", style="strong"), figure_cell("", float("nan"), "no positive image", notes), Cell("")),
    )
    return Table("AUROC, 95 % intervals", ("class", "AUROC ↑", ""), rows, notes=notes.lines(), number=number)


def test_signs_that_latex_reads_as_commands_are_escaped_one_by_one():
    assert escaped(r"a\b_{50%}~^#$&") == (r"a\textbackslash{}b\_\{50\%\}\textasciitilde{}\textasciicircum{}\#\$\&")


def test_a_table_holds_each_row_with_value_and_interval_and_no_column_of_pictures():
    text = latex_table(a_table(), "tab:x")
    assert r"\begin{longtable}{lr}" in text
    assert r"mass\_a \& b & 0.812 [0.790, 0.834] \\" in text
    assert r"\textbf{macro} & " in text


def test_a_missing_value_keeps_its_reason_as_a_note():
    text = latex_table(a_table(), "tab:x")
    assert "$^{a}$ no positive image" in text
    assert len(re.findall(r"\$\^\{a\}\$", text)) == 2


def test_caption_and_label_stand_once():
    text = latex_table(a_table(), "tab:x")
    assert text.count(r"\caption{AUROC, 95 \% intervals}\label{tab:x}") == 1


def test_every_table_of_the_page_has_a_file_named_by_its_number_and_section():
    section = Section("performance", "Performance", (Paragraph("no table"), a_table(3), a_table(4)))
    assert list(latex_tables([section])) == ["table-03-performance", "table-04-performance"]


def test_every_sign_of_a_whole_page_is_one_that_latex_prints():
    with without_charts():
        text = "".join(latex_tables(page_sections(build())).values())
    foreign = {sign for sign in text if ord(sign) > 0xFF}
    assert not {f"{sign} {unicodedata.name(sign)}" for sign in foreign}
    assert r"n$^-$/n$^+$" in text
