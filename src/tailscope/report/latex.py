"""The tables of a page as LaTeX, ready for a manuscript."""

from __future__ import annotations

from collections.abc import Sequence

from tailscope.report.blocks import Cell, Section, Table

_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "≤": r"$\le$", "≥": r"$\ge$", "“": "``", "”": "''", "’": "'", "Δ": r"$\Delta$", "π": r"$\pi$", "φ": r"$\varphi$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "τ": r"$\tau$", "√": r"$\surd$", "·": r"$\cdot$",
    "→": r"$\to$", "…": r"\dots{}", "²": r"$^2$", "☐": r"$\square$", "✓": r"\checkmark{}", "⁺": "$^+$", "⁻": "$^-$",
    "₁": "$_1$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "½": r"$\frac{1}{2}$", "ε": r"$\varepsilon$",
    "κ": r"$\kappa$", "λ": r"$\lambda$", "σ": r"$\sigma$", "∞": r"$\infty$", "‖": r"$\Vert$", "—": "---", "‘": "`",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Text as LaTeX prints it.

    >>> escaped("50 % of α_c")
    '50 \\% of $\\alpha$\\_c'
    """
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def latex_tables(sections: Sequence[Section]) -> dict[str, str]:
    """Every table of the numbered sections of a page, by the name of its file (without ending).

    Columns that hold pictures only are left out; a value's interval stands behind it. Needs the packages ``booktabs``
    and ``longtable``, and ``amssymb`` where a table ticks boxes.
    """
    return {
        f"table-{block.number:02d}-{section.name}": latex_table(block, label=f"tab:{section.name}-{block.number}")
        for section in sections
        for block in section.blocks
        if isinstance(block, Table)
    }


def latex_table(table: Table, label: str) -> str:
    """One table as a ``longtable`` with its caption and notes."""
    kept = [at for at, name in enumerate(table.columns) if name or any(_text(row[at]) for row in table.rows)]
    widths = "".join("r" if _is_number(table, at) else "l" for at in kept)
    head = " & ".join(escaped(table.columns[at]) for at in kept)
    lines = [
        f"\\begin{{longtable}}{{{widths}}}",
        f"\\caption{{{escaped(table.caption)}}}\\label{{{label}}}\\\\",
        f"\\toprule\n{head} \\\\\n\\midrule\n\\endfirsthead",
        f"\\toprule\n{head} \\\\\n\\midrule\n\\endhead",
        "\\bottomrule\n\\endfoot",
        *(" & ".join(_cell(row[at]) for at in kept) + r" \\" for row in table.rows),
        "\\end{longtable}",
    ]
    if table.notes:
        notes = "; ".join(f"$^{{{letter}}}$ {escaped(reason)}" for letter, reason in table.notes)
        lines.append(f"\\noindent{{\\footnotesize {notes}}}")
    return "\n".join(lines) + "\n"


def _is_number(table: Table, at: int) -> bool:
    return at > 0 and any(row[at].style == "number" for row in table.rows)


def _text(cell: Cell) -> str:
    return " ".join(part for part in (cell.text, cell.detail) if part)


def _cell(cell: Cell) -> str:
    note = f"$^{{{cell.note}}}$" if cell.note else ""
    text = escaped(_text(cell))
    return f"\\textbf{{{text}}}{note}" if cell.style == "strong" else f"{text}{note}"
