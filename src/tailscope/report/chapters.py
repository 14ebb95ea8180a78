"""The chapters of the page: which figures and tables stand where, and what is said when there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tailscope.report import figures, tables
from tailscope.report.alignment_details import details
from tailscope.report.blocks import Block, Cell, Listing, Paragraph, Section, Table, not_shown
from tailscope.report.blocks import Figure as FigureBlock
from tailscope.report.content import ReportContent
from tailscope.report.differences import MOST_OPEN, difference_tables
from tailscope.report.elsewhere import told_elsewhere
from tailscope.report.findings import claims_of, setting
from tailscope.report.frames import (
    ALIGNMENT_COLUMNS,
    CLASS_COLUMNS,
    HISTORY_COLUMNS,
    LAYER_COLUMNS,
    UNIT_COLUMNS,
    filled,
    has_intervals,
    ranked,
    rows_of,
    text_of,
)
from tailscope.report.identical import same_predictions
from tailscope.report.numbers import decimal, listed
from tailscope.report.representation import representation_blocks
from tailscope.report.selection import by_class, class_names, ensemble_names, page_order
from tailscope.report.shortcuts import found_shortcuts
from tailscope.report.soundness import failed_methods
from tailscope.report.trajectory import trajectory_blocks
from tailscope.report.treatments import failed_audits
from tailscope.report.unit_details import unit_details
from tailscope.report.words import metric_name

Rows = list[dict[str, Any]]


def summary(content: ReportContent, false_alarms: pd.DataFrame | None = None) -> Section:
    """What was found, in sentences that are linked to their evidence, and what stands behind them."""
    basis = Paragraph(setting(content))
    reminder = Paragraph(
        "“Undecided” is not “no difference”: it means that these data and seeds can show neither a difference nor its "
        f"absence. “Equivalent” means that the 90 % interval lies within ±{decimal(content.margin, 2)}."
    )
    warnings = (
        *failed_audits(content), *same_predictions(content), *failed_methods(content), *found_shortcuts(content)
    )  # fmt: skip
    apart = (*told_elsewhere(content), *_uncounted(content), *_apart(content))
    blocks = (basis, *claims_of(content, false_alarms), reminder, *warnings, *apart)
    return Section("found", "What was found", blocks)


def _uncounted(content: ReportContent) -> tuple[Block, ...]:
    names = list(content.identical)
    if not names:
        return ()
    verb = "is not counted here: it ranks" if len(names) == 1 else "are not counted here: they rank"
    return (
        Paragraph(f"{listed(names, limit=len(names))} {verb} as another treatment by construction (see Treatments)."),
    )


def _apart(content: ReportContent) -> tuple[Block, ...]:
    """Where the ensembles stand, which are no arms."""
    names = list(ensemble_names(content))
    if not names:
        return ()
    return (Paragraph(f"Ensembles stand in their own table (see Performance): {listed(names, limit=len(names))}."),)


def data(content: ReportContent) -> Section:
    """Data and imbalance."""
    rows = by_class(content, content.class_table, CLASS_COLUMNS)
    if not rows:
        return Section(
            "data", "Data and imbalance", _with_notes(content, [not_shown("no class counts were handed over")])
        )
    chart = figures.imbalance_chart(rows, class_names(content))
    caption = (
        "Positive images per class, on a logarithmic axis: filled marks are training images, hollow marks test images; "
        "colour and shape give the group. Classes run from frequent to rare. The further left a hollow mark, the wider "
        "all intervals of that class."
    )
    return Section(
        "data", "Data and imbalance", _with_notes(content, [FigureBlock(caption, chart), tables.class_counts(rows)])
    )


def alignment(content: ReportContent) -> Section:
    """Does saliency lie where the expert drew, beyond chance?"""
    title = "Alignment of saliency and annotation"
    rows = by_class(content, content.alignment, ALIGNMENT_COLUMNS)
    if not rows:
        why = "no pair of saliency map and annotation was measured (no annotations, or the lens was not asked for)"
        return Section("alignment", title, (not_shown(why), *difference_tables(content, {"alignment"}, ())))
    blocks: list[Block] = []
    keys = list(dict.fromkeys((text_of(row["metric"]), text_of(row["method"])) for row in rows))
    keys.sort(key=lambda key: (key[0] != "mass_inside", key[1] != "gradcam"))
    groups = {key: [row for row in rows if (row["metric"], row["method"]) == key] for key in keys}
    first = keys[0]
    shown = [{**row, "value": row["excess"]} for row in groups[first]]
    caption = (
        f"Excess over chance of {metric_name(first[0])} ({first[1]}) per class and arm{_with_intervals(shown)}. At the "
        "dashed line the maps know no more about the place of the finding than an uninformed map; right of it they do."
    )
    panel = (f"{metric_name(first[0])}, excess over chance", shown)
    blocks.append(
        FigureBlock(caption, figures.interval_chart([panel], class_names(content), content.arms, has_zero=True))
    )
    best = tables.attainable(rows)
    blocks.extend([best] if best.rows else [])
    blocks.extend(
        tables.alignment(*key, groups[key], is_open=key == first and len(groups[key]) <= MOST_OPEN) for key in keys
    )
    blocks.extend(details(content))
    return Section("alignment", title, (*blocks, *difference_tables(content, {"alignment"}, ("mass_inside",))))


def units(content: ReportContent) -> Section:
    """What single units respond to."""
    title = "Units and concepts"
    rows = by_class(content, content.units, UNIT_COLUMNS)
    layers = rows_of(ranked(filled(content.layers, LAYER_COLUMNS), "arm", content.arms))
    if not rows:
        why = "no unit was compared with an annotation (no annotations, or the lens was not asked for)"
        blocks: tuple[Block, ...] = (not_shown(why), *([tables.layers(layers)] if layers else []))
        if content.trajectory is not None and len(content.trajectory):
            order = page_order(content)
            blocks = (*blocks, *trajectory_blocks(content.trajectory, content.first_epochs, order))
        return Section("units", title, (*blocks, *difference_tables(content, {"dissection"}, ())))
    caption = (
        f"How well the best unit of the layer marks each class, beyond its null, per arm{_with_intervals(rows)}. At "
        "the dashed line no unit answers to the class better than to other patients' annotations."
    )
    panel = ("matched IoU of the best unit, minus its null", [{**row, "value": row["crossfit"]} for row in rows])
    found: list[Block] = [
        FigureBlock(caption, figures.interval_chart([panel], class_names(content), content.arms, has_zero=True))
    ]
    found.append(tables.units(rows, is_open=len(rows) <= MOST_OPEN))
    found.extend([tables.layers(layers)] if layers else [not_shown("no layer summary was handed over")])
    found.extend(unit_details(content))
    differences = difference_tables(content, {"dissection"}, ("best_iou_matched",))
    return Section("units", title, (*found, *differences))


def representation(content: ReportContent) -> Section:
    """Did the features change, or only the head?"""
    order = page_order(content)
    blocks = representation_blocks(content.representation, order)
    differences = difference_tables(content, {"representation"}, ("probe_auroc",))
    return Section("representation", "Features or only the head?", (*blocks, *differences))


def _with_intervals(rows: Rows) -> str:
    return ", with 95 % intervals" if has_intervals(rows) else ""


def provenance(content: ReportContent) -> Section:
    """What the numbers came from."""
    blocks: list[Block] = []
    history = rows_of(ranked(filled(content.history, HISTORY_COLUMNS), "arm", content.arms))
    if history:
        caption = (
            "Training loss and validation AUROC per epoch, one line per run, coloured by arm and dashed where a colour "
            "comes again. Losses of different treatments have different scales: compare shapes, not heights."
        )
        blocks.append(FigureBlock(caption, figures.history_chart(history, content.arms)))
    else:
        blocks.append(not_shown("no training history was handed over (brought checkpoints have none)"))
    facts = _flat(content.provenance)
    if facts:
        caption = "Versions, hardware, seeds, timings and fingerprints. Equal fingerprints mean equal inputs."
        lines = tuple((Cell(name), Cell(value)) for name, value in facts)
        blocks.append(Table(caption, ("fact", "value"), lines, title="Facts", is_open=False))
    else:
        blocks.append(not_shown("no provenance was handed over"))
    if content.settings_yaml:
        blocks.append(Listing((content.settings_yaml,), "typed", "Configuration as resolved"))
    return Section("provenance", "Provenance", tuple(blocks))


def _with_notes(content: ReportContent, blocks: list[Block]) -> tuple[Block, ...]:
    notes = [Listing(content.notes, "bullets", "What was decided about the data")] if content.notes else []
    return (*blocks, *notes)


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, text), in the order given."""
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{name}.{key}" if name else str(key))]
    if isinstance(value, (list, tuple)):
        return [(name, ", ".join(map(str, value)))]
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value))]
