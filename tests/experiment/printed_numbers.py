"""What a page prints, and what should be printed: rounding as the page states it, written a second time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
from reading import section

PREVALENCE = {"effusion": 0.4, "mass": 0.3, "nodule": 0.25, "pneumonia": 0.2}
AGGREGATES = ("macro", "head", "medium", "tail")
NAMES = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "ap_gain": "AP gain",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "specificity_at_sensitivity": "specificity at 90 % sensitivity",
    "sensitivity_at_half": "sensitivity at one half",
    "specificity_at_half": "specificity at one half",
    "mass_inside": "mass inside",
    "pointing_game": "pointing game",
    "on_other_classes": "mass on other classes' annotations",
    "degenerate_share": "share of degenerate maps",
    "best_iou_matched": "best unit, cross-fitted",
    "units_per_100": "units active inside, per 100",
    "components_per_100": "regions active inside, per 100",
}


_SEPARATION = {"control": (3.0, 2.0, 1.0, 1.5), "weighted_sampling": (2.8, 0.2, 4.0, 1.6)}  # of the classes, in logits


def telling(predict):
    """Predictions that tell the classes apart as no network of one epoch does: worse for one class, better for one."""

    def predictions(run, *others):
        table = predict(run, *others)
        noise = np.random.default_rng(run.seed).normal(size=len(table))
        separation = table["class"].map(dict(zip(PREVALENCE, _SEPARATION[run.arm], strict=True)))
        signal = separation * (table["target"].fillna(0.5) - 0.5)
        return table.assign(logit=(signal + noise - 1).astype(np.float32))

    return predictions


@dataclass(frozen=True)
class Shown:
    """A page and the folder that it was made from."""

    folder: Path
    page: str

    def table(self, name):
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def evidence(self, lens):
        frame = pd.concat(map(pd.read_parquet, sorted((self.folder / "evidence" / lens).glob("part-*.parquet"))))
        return frame.assign(arm=frame["run"].map(self.arms))

    @property
    def arms(self):
        """Run to arm."""
        tables = (pd.read_parquet(path) for path in sorted((self.folder / "runs").glob("*/history.parquet")))
        return {table["run"].iloc[0]: table["arm"].iloc[0] for table in tables}

    @property
    def performance(self):
        estimates = self.table("estimates")
        return estimates[estimates["lens"] == "performance"]

    @property
    def predictions(self):
        frame = pd.concat(map(pd.read_parquet, sorted((self.folder / "runs").glob("*/predictions.parquet"))))
        return frame.assign(arm=frame["run"].map(self.arms))

    def part(self, name):
        return section(self.page, name)


def rounded(value, digits=3, *, plus=False):
    """As printed: rounded half to even, with a true minus, and a sign of every difference but zero."""
    if pd.isna(value):
        return "–"
    number = Decimal(float(value)).quantize(Decimal(1).scaleb(-digits))
    sign = "−" if number < 0 else "+" if plus and (number > 0) else ""
    return f"{sign}{abs(number)}"


def ends(lo, hi, **how):
    return "" if pd.isna(lo) or pd.isna(hi) else f"[{rounded(lo, **how)}, {rounded(hi, **how)}]"


def estimate(value, lo, hi, **how):
    """A value with its interval where it has one."""
    return f"{rounded(value, **how)} {ends(lo, hi, **how)}".strip() if not pd.isna(value) else "–"


def over_seeds(values, show):
    """The mean over seeds, with the lowest and the highest where they read otherwise; a dash without any."""
    known = [float(value) for value in values if not math.isnan(value)]
    if not known:
        return "–"
    low, high = show(min(known)), show(max(known))
    return f"{show(math.fsum(known) / len(known))} {f'{low} to {high}' if low != high else ''}".strip()


def chance(p):
    return "<0.001" if p < 0.001 else rounded(p)


def percent(value):
    number = 100 * float(value)
    if math.isnan(number):
        return "–"
    digits = 0 if abs(number) >= 10 or number == 0 else 1 if abs(number) >= 1 else 2
    return f"{number:.{digits}f} %"


def whole(value):
    return "–" if pd.isna(value) else f"{round(value):,}"


def named(name):
    return f"{name} (average)" if name in AGGREGATES else name


def title_of(metric):
    return NAMES[metric][:1].upper() + NAMES[metric][1:]


def rows_by(frame, *columns):
    """The only row of each address."""
    assert not frame.duplicated(list(columns)).any()
    return {tuple(row[column] for column in columns): row for row in frame.to_dict("records")}


def printed(rows, *columns):
    """The printed rows by the texts of some columns."""
    found = {tuple(row[column] for column in columns): row for row in rows}
    assert len(found) == len(rows) > 0
    return found
