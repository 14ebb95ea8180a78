"""How the treatments stand: mean ranks, the trend toward the tail, and what this experiment could have found."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pandas as pd

from tailscope.report.blocks import Block, Cell, Figure, Listing, Notes, Paragraph, Table, figure_cell, not_shown, word
from tailscope.report.figures import interval_chart
from tailscope.report.forest import Scale, common_scale, interval_picture
from tailscope.report.frames import float_of, has_intervals, text_of
from tailscope.report.numbers import count, decimal, interval, p_value, plural, share, signed
from tailscope.report.page_order import PageOrder, Rows, class_cell, grouped, names_in
from tailscope.report.words import metric_name

RANK_COLUMNS = ("metric", "arm", "mean_rank", "lo", "hi", "first", "classes", "reason")
TREND_COLUMNS = ("metric", "arm", "slope", "lo", "hi", "p", "classes", "left_out", "reason")
PRECISION_COLUMNS = (
    "metric", "class", "arm", "n", "patients", "se", "mde", "margin", "seed_share", "patient_share", "seeds_needed",
    "positives_needed", "verdict", "reason",
)  # fmt: skip

COULD_HAVE_FOUND = "What this experiment could have found"


def standing_blocks(
    ranks: pd.DataFrame | None, trends: pd.DataFrame | None, precision: pd.DataFrame | None, order: PageOrder
) -> tuple[Block, ...]:
    """Mean ranks as a figure and a table, trends as sentences and a table, precision as sentences and a folded table.

    Args:
        ranks: metric, arm, mean_rank (1 is best), lo, hi, first (share of draws), classes, reason.
        trends: metric, arm, slope (change of the difference per tenfold rarer class), lo, hi, p, classes, left_out
            (classes with too few patients), reason.
        precision: metric, class, arm, n, patients, se, mde, margin, seed_share, patient_share, seeds_needed,
            positives_needed, verdict, reason.
        order: Of classes and arms.
    """
    return (
        *_ranks(order.rows(ranks, RANK_COLUMNS), order),
        *_trends(order.rows(trends, TREND_COLUMNS)),
        *_precision(order.rows(precision, PRECISION_COLUMNS)),
    )


def _ranks(rows: Rows, order: PageOrder) -> tuple[Block, ...]:
    if not rows:
        return (not_shown("no arm can be ranked against another, so there are no mean ranks"),)
    rows = _by_metric(rows)
    table = _rank_table(rows)
    points = [{**row, "class": metric_name(text_of(row["metric"])), "value": row["mean_rank"]} for row in rows]
    if not any(math.isfinite(float_of(row["value"])) for row in points):
        return (table,)
    ends = (
        " Lines are 95 % intervals, over patients and seeds, of the mean rank to expect if the experiment were "
        "repeated; noise draws it toward the middle, so arms that lie close are neither shown to be equal nor to be in "
        "this order."
        if has_intervals(rows)
        else " With one seed there are no intervals, and the order means little."
    )
    caption = (
        f"Mean rank of each arm among {len(names_in(rows, 'arm'))} over the classes: 1 is the best arm in every class, "
        f"so further left is better. A rank says which arm leads, not by how much.{ends}"
    )
    picture = interval_chart([("mean rank over classes, 1 is best", points)], names_in(points, "class"), order.arms)
    return Figure(caption, picture), table


def _rank_table(rows: Rows) -> Table:
    notes = Notes()
    return Table(
        "Mean rank over the classes, with the 95 % interval of what a repetition would give. First is the share of the "
        "draws of patients and seeds in which the arm has the best mean rank; it is not the probability that the arm "
        "is the best treatment.",
        ("metric", "arm", "mean rank", "first", "classes"),
        tuple(
            (
                Cell(metric_name(text_of(row["metric"]))),
                word(row["arm"]),
                figure_cell(decimal(row["mean_rank"], 2), row["mean_rank"], row["reason"], notes,
                            detail=_rank_interval(row)),
                figure_cell(share(row["first"]), row["first"], row["reason"], notes),
                figure_cell(count(row["classes"]), row["classes"]),
            )
            for row in rows
        ),
        title="Mean ranks",
        is_open=False,
        notes=notes.lines(),
    )  # fmt: skip


def _rank_interval(row: dict[str, Any]) -> str:
    return f"[{decimal(row['lo'], 2)}, {decimal(row['hi'], 2)}]" if has_intervals([row]) else ""


def _trends(rows: Rows) -> tuple[Block, ...]:
    if not rows:
        return (not_shown("no treatment is compared with control, so there is no trend toward the tail"),)
    rows = _by_metric(rows)
    return Listing(_trend_sentences(rows)), _trend_table(rows)


def _trend_sentences(rows: Rows) -> tuple[str, ...]:
    """The trends whose interval leaves out 0, or that there is none; how many were looked at stands with them."""
    known = [row for row in rows if has_intervals([row])]
    if not known:
        reasons = dict.fromkeys(text_of(row["reason"]) for row in rows)
        return (f"No trend toward the tail can be estimated: {'; '.join(filter(None, reasons))}.",)
    clear = [row for row in known if float_of(row["lo"]) > 0 or float_of(row["hi"]) < 0]
    looked = f"{plural(len(known), 'trend')} looked at, each by itself and without adjustment"
    if not clear:
        return (f"No trend toward the tail is shown: every 95 % interval holds 0 ({looked}).",)
    return (
        *(_trend_sentence(row) for row in clear),
        f"These are {len(clear)} of {looked}: take them as descriptions, not as verdicts.",
    )


def _trend_sentence(row: dict[str, Any]) -> str:
    metric, gains = metric_name(text_of(row["metric"])), float_of(row["slope"]) > 0
    ends = interval(row["lo"], row["hi"], is_difference=True)
    return (
        f"Per tenfold rarer class, the difference of {row['arm']} from control in {metric} changes by "
        f"{signed(row['slope'])} {ends}: it {'rises' if gains else 'falls'} toward the tail."
    )


def _trend_table(rows: Rows) -> Table:
    notes = Notes()
    scales = {
        key: common_scale([row[end] for row in mine for end in ("slope", "lo", "hi")])
        for key, mine in grouped(rows, "metric").items()
    }
    thin = dict.fromkeys(text_of(row["left_out"]) for row in rows if text_of(row["left_out"]))
    left_out = f" Left out for too few patients: {'; '.join(thin)}." if thin else ""
    return Table(
        "Trend toward the tail: by how much the signed difference from control changes when the training prevalence of "
        "a class falls tenfold. Above 0, rare classes gain more from the arm, or lose less, than frequent ones. "
        "The line is fitted over the classes with weights by inverse variance; its 95 % interval holds patients, "
        "seeds, and the classes that stand off the line. p is not adjusted. Each metric has its own scale."
        f"{left_out}",
        ("metric", "arm", "per tenfold rarer class", "", "p", "classes"),
        tuple(_trend_row(row, scales[text_of(row["metric"]),], notes) for row in rows),
        title="Trend toward the tail",
        notes=notes.lines(),
    )


def _trend_row(row: dict[str, Any], scale: Scale, notes: Notes) -> tuple[Cell, ...]:
    ends = interval(row["lo"], row["hi"], is_difference=True)
    return (
        Cell(metric_name(text_of(row["metric"]))),
        word(row["arm"]),
        figure_cell(signed(row["slope"]), row["slope"], row["reason"], notes, detail=ends),
        Cell("", picture=interval_picture(row["slope"], row["lo"], row["hi"], scale), style="picture"),
        figure_cell(p_value(row["p"]), row["p"]),
        figure_cell(count(row["classes"]), row["classes"]),
    )


def _precision(rows: Rows) -> tuple[Block, ...]:
    if not rows:
        return (not_shown("no comparison of a primary metric was handed over, so nothing is said of its precision"),)
    rows = _by_metric(rows)
    reminder = Paragraph(
        "Undecided is not “no difference”: a difference smaller than the detectable one would mostly have been missed."
    )
    told = [_precision_sentence(metric, mine) for (metric,), mine in grouped(rows, "metric").items()]
    sentences = tuple(filter(None, told))
    return (reminder, *([Listing(sentences)] if sentences else []), _precision_table(rows))


def _precision_sentence(metric: str, rows: Rows) -> str:
    """The smallest and the largest detectable difference, and whose noise it is; nothing where none is known."""
    known = [row for row in rows if math.isfinite(float_of(row["mde"]))]
    if not known:
        return ""
    known.sort(key=lambda row: float_of(row["mde"]))
    low, high = known[0], known[-1]
    reach = f"{decimal(low['mde'])} ({low['class']}, {low['arm']})"
    if high is not low:
        reach = f"between {reach} and {decimal(high['mde'])} ({high['class']}, {high['arm']})"
    shares = [float_of(row["seed_share"]) for row in known if math.isfinite(float_of(row["seed_share"]))]
    whose = f" Seeds make {share(median(shares))} of the variance (median), patients the rest." if shares else ""
    return f"{metric_name(metric)}: the detectable difference is {reach}.{whose}"


def _precision_table(rows: Rows) -> Table:
    notes = Notes()
    return Table(
        f"{COULD_HAVE_FOUND}. Detectable is the difference that it would have found four times out of five after "
        "Holm's correction; where it is larger than the margin, an undecided row leaves differences that matter "
        "open. The variance is split into the part that more seeds lessen and the part that more patients lessen. "
        "Seeds and positives needed would decide an undecided row if its difference stayed as it is and the other "
        "number too, before correction for many tests; a dash there means that this alone cannot, or that the row "
        "is decided.",
        ("metric", "class", "arm", "n", "patients", "SE", "detectable", "margin", "seeds' share", "patients' share",
         "seeds needed", "positives needed", "verdict"),
        tuple(_precision_row(row, notes) for row in rows),
        title=COULD_HAVE_FOUND,
        is_open=False,
        notes=notes.lines(),
        is_dense=True,
    )  # fmt: skip


def _precision_row(row: dict[str, Any], notes: Notes) -> tuple[Cell, ...]:
    return (
        Cell(metric_name(text_of(row["metric"]))),
        class_cell(text_of(row["class"])),
        word(row["arm"]),
        *(figure_cell(count(row[name]), row[name]) for name in ("n", "patients")),
        figure_cell(decimal(row["se"]), row["se"], row["reason"], notes),
        figure_cell(decimal(row["mde"]), row["mde"], row["reason"], notes),
        figure_cell(decimal(row["margin"], 2), row["margin"]),
        *(figure_cell(share(row[name]), row[name]) for name in ("seed_share", "patient_share")),
        *(figure_cell(count(row[name]), row[name]) for name in ("seeds_needed", "positives_needed")),
        word(row["verdict"]),
    )


def _by_metric(rows: Rows) -> Rows:
    """The rows, metric after metric as they first appear; within each as the page orders them."""
    return [row for mine in grouped(rows, "metric").values() for row in mine]
