"""Do the library's statistics keep what they promise? Thousands of experiments whose truth is known.

Scores of networks that were never trained go through the library's own resampling, comparison, verdicts and hidden
differences. Counted are false claims where nothing differs, false hidden differences in the hardest cases, wrong
claims of equivalence at the margin, what 95 % intervals cover, and how often a true hidden difference is found.

Run: ``python validation/statistics_simulation.py --out docs/reference/statistics_simulation.md`` (1,000 experiments per
setting; about an hour on two free cores); ``--experiments 20`` is a smoke test. With ``--keep FOLDER`` a simulation
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from kept_records import Keeper
from markdown import number, table
from monte_carlo import Rate, repeat
from simulated_experiment import AP, AUROC, LENS, SETTINGS, Design, Truth, judge, patient_variance, simulate, truth_of
from simulated_scores import auroc_of_signal

from tailscope.stats import MetricSamples, arm_estimate

Record = dict[str, float]
Measure = Callable[[Design, tuple[Truth, ...], int], Record]
CLASSES = 14
LEVELS = (0.9, 0.8, 0.85, 0.75)  # AUROC of control, class by class
LONG_TAIL = Design(
    "long tail", tuple(np.geomspace(0.2, 0.005, CLASSES)), tuple(LEVELS[at % 4] for at in range(CLASSES))
)
COMMON = replace(
    LONG_TAIL, name="common classes", prevalences=tuple(np.geomspace(0.3, 0.1, CLASSES)), own=0.04, noise=0.5
)
MARGIN, DELTA = SETTINGS.equivalence_margin, SETTINGS.lens_margin
EDGES = {
    "lens at Δ, AUROC and AP equal": replace(COMMON, name="lens at edge", lens_differences=(DELTA, -DELTA) * 2),
    "the same, seed noise 3": replace(
        COMMON, name="lens at edge, loud", lens_differences=(DELTA, -DELTA) * 2, own=0.01, noise=3.0
    ),
    "AUROC at the margin, lens differs by 0.2": replace(
        COMMON, name="auroc at margin", shifts=(MARGIN, -MARGIN) * 2, lens_differences=(0.2,) * 4
    ),
    "AP at the margin, lens differs by 0.2": replace(
        COMMON, name="ap at margin", precision_shifts=(MARGIN, -MARGIN) * 2, lens_differences=(0.2,) * 4
    ),
}  # fmt: skip
SIZES = (5, 10, 20, 30, 50, 100, 200, 400)
POWER = tuple((patients, size) for patients in (1000, 4000) for size in (0.06, 0.1, 0.2))
COVERED = {
    f"covers {AUROC}": "difference in AUROC",
    f"covers {AP}": "difference in AP",
    f"covers {LENS}": "difference in the lens",
    "covers level": "AUROC of an arm",
    "percentile": "percentile interval of AUROC",
}
CLAIMED = {
    f"test {AUROC}": "AUROC at ±margin: test",
    f"verdict {AUROC}": "AUROC at ±margin: verdict",
    f"test {AP}": "AP at ±margin: test",
    f"verdict {AP}": "AP at ±margin: verdict",
}
SIMULTANEOUS = 1.7  # 3.3 standard errors, not 1.96: one page of a hundred true rates in twenty has a false alarm
DIFFERS = ("better", "worse", "higher", "lower", "differs, within the margin")


@dataclass(frozen=True)
class Promise:
    """What METHODS says of a rate: at most .05, or of coverage: at least .95."""

    words: str
    rate: Rate
    limit: float = 0.05

    @property
    def excess(self) -> float:
        """How far the rate is on the wrong side of its limit."""
        return self.limit - self.rate.value if self.limit > 0.5 else self.rate.value - self.limit

    @property
    def is_broken(self) -> bool:
        """Whether it is there by more than the simulation leaves uncertain, in any of a hundred rates."""
        away = self.rate.hi - self.rate.value if self.limit > 0.5 else self.rate.value - self.rate.lo
        return self.excess > SIMULTANEOUS * away


@dataclass(frozen=True)
class Study:
    """A table, and the promises it is about."""

    text: str
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True)
class Simulation:
    """All studies at one size.

    Args:
        experiments: Per setting.
        workers: Processes.
        keeper: Keeps what is done.
    """

    experiments: int = 1000
    workers: int = 2
    keeper: Keeper = field(default_factory=Keeper)

    def of(self, design: Design, measure: Measure) -> pd.DataFrame:
        """One row per experiment."""
        setting = (design, measure.__name__, self.experiments)
        return self.keeper.get(design.name, setting, partial(self._simulated, design, measure))

    def _simulated(self, design: Design, measure: Measure) -> pd.DataFrame:
        begun = time.perf_counter()
        work = partial(measure, design, truth_of(design))
        found = pd.DataFrame(repeat(work, range(self.experiments), self.workers))
        print(f"{design.name}: {self.experiments} in {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        return found

    def nothing_differs(self) -> Study:
        """Control against control."""
        rows, promises = [], []
        words = {"hidden": "any hidden difference", "candidate": "any candidate", AUROC: "any difference in AUROC",
                 AP: "any in AP", LENS: "any in the lens"}  # fmt: skip
        for seeds in (3, 5):
            for noise in (1.0, 3.0):
                found = self.of(replace(LONG_TAIL, seeds=seeds, noise=noise, name=f"null {seeds} {noise}"), family)
                rates = {name: _rate(found, name) for name in words}
                spread = [number(float(found[f"noise {metric}"].median()), 1) for metric in (AUROC, AP, LENS)]
                rows.append([str(seeds), f"{noise:g}", *map(str, rates.values()), " / ".join(spread)])
                promises += [
                    Promise(f"nothing differs, {seeds} seeds, noise {noise:g}: {words[name]}", rate)
                    for name, rate in rates.items()
                    if name != "candidate"
                ]
        text = table(["seeds", "noise set", *words.values(), "noise found: AUROC / AP / lens"], rows)
        return Study(text, tuple(promises))

    def edges(self) -> Study:
        """The truth lies where a hidden difference just is none."""
        rows, promises = [], []
        for words, design in EDGES.items():
            found = self.of(design, family)
            names = ("hidden", f"beyond {LENS}", f"equivalent {AUROC}", f"equivalent {AP}")
            rates = [_rate(found, name) for name in names]
            rows.append([words, *map(str, rates)])
            promises.append(Promise(f"{words}: any hidden difference", rates[0]))
        columns = ["any hidden difference", "cells: lens beyond Δ", "AUROC equivalent", "AP equivalent"]
        return Study(table(["truth", *columns], rows), tuple(promises))

    def thin_classes(self) -> Study:
        """One class, from 5 to 400 positive patients."""
        sections: dict[str, list[list[str]]] = {"coverage": [], "claims": []}
        promises = []
        for noise in (0.25, 1.0):
            for size in SIZES:
                found = self.of(thin(size, noise), cells_of_one_class)
                covered, claimed = ({name: _rate(found, name) for name in words} for words in (COVERED, CLAIMED))
                sections["coverage"].append([f"{noise:g}", str(size), *map(str, covered.values())])
                sections["claims"].append([f"{noise:g}", str(size), *map(str, claimed.values())])
                where = f"{size} positive patients, noise {noise:g}"
                promises += [Promise(f"{where}: {CLAIMED[name]}", rate) for name, rate in claimed.items()
                             if name.startswith("verdict")]  # fmt: skip
                promises += [Promise(f"{where}: coverage, {COVERED[name]}", rate, 0.95)
                             for name, rate in covered.items()
                             if size >= SETTINGS.min_patients_equivalent and name != "percentile"]  # fmt: skip
        first = ["noise", "positive patients"]
        coverage = table([*first, *COVERED.values()], sections["coverage"])
        claims = table([*first, *CLAIMED.values()], sections["claims"])
        text = f"### What 95 % intervals cover\n\n{coverage}\n\n### Wrong claims of equivalence\n\n{claims}"
        return Study(text, tuple(promises))

    def power(self) -> Study:
        """How often a true hidden difference is found, class by class."""
        rows: dict[str, list[str]] = {}
        few = replace(self, experiments=max(self.experiments // 5, 2))
        for patients, size in POWER:
            design = replace(COMMON, patients=patients, lens_differences=(size, 0.0, 0.0, 0.0))
            found = few.of(replace(design, name=f"power {patients} {size}"), hits)
            for name in found.columns[:: CLASSES // 3]:
                rows.setdefault(str(name).split(": ")[1], []).append(str(_rate(found, str(name))))
        columns = [f"{size:g}, {patients} patients" for patients, size in POWER]
        return Study(table(["prevalence", *columns], [[name, *cells] for name, cells in rows.items()]))


def thin(size: int, noise: float) -> Design:
    """One class with so many positive patients; two treatments at the margin of AUROC, two at that of AP."""
    return Design(
        f"thin {size} {noise}", (0.1,), (0.85,), shifts=(MARGIN, -MARGIN, 0.0, 0.0),
        precision_shifts=(np.nan, np.nan, MARGIN, -MARGIN), lens_differences=(0.0, 0.05, -0.05, 0.1),
        noise=noise, positive=size,
    )  # fmt: skip


def family(design: Design, truths: tuple[Truth, ...], number: int) -> Record:
    """Whether anything is claimed in one experiment, and how its noise and its tests came out."""
    cells = simulate(design, truths, number)
    findings, hidden = judge(cells)
    enough = findings[findings[["positives", "negatives"]].min(axis=1) >= SETTINGS.min_patients_equivalent]
    record = {kind: float((hidden["kind"] == words).any()) for kind, words in
              (("hidden", "hidden difference"), ("candidate", "candidate"))}  # fmt: skip
    for metric in (AUROC, AP, LENS):
        record[metric] = float(findings.loc[findings["metric"] == metric, "verdict"].isin(DIFFERS).any())
        judged = enough[enough["metric"] == metric]
        record[f"beyond {metric}"] = float((judged["p_beyond_margin"] < SETTINGS.alpha).mean())
        record[f"equivalent {metric}"] = float((judged["p_equivalence"] < SETTINGS.alpha).mean())
        record[f"noise {metric}"] = _noise([cell for cell in cells if cell.metric == metric])
    return record


def _noise(cells: Sequence[MetricSamples]) -> float:
    """Median over classes of the seeds' standard deviation over √v_P."""
    usable = [(cell.seed_variance, patient_variance(cell)) for cell in cells if not cell.why_missing]
    return float(np.median([np.sqrt(seeds / patients) for seeds, patients in usable if patients > 0]))


def cells_of_one_class(design: Design, truths: tuple[Truth, ...], number: int) -> Record:
    """Shares of one class's comparisons whose interval holds the truth, and that claim equivalence at the margin."""
    cells = simulate(design, truths, number)
    rows = judge(cells)[0].assign(truth=lambda found: [true_difference(design, truths[0], row) for row in
                                                       found[["metric", "arm"]].itertuples(index=False)])  # fmt: skip
    covers = ((rows["lo"] <= rows["truth"]) & (rows["truth"] <= rows["hi"])).where(rows["lo"].notna())
    record: Record = {f"covers {metric}": _share(covers[rows["metric"] == metric]) for metric in (AUROC, AP, LENS)}
    ranking = rows[rows["metric"] == AUROC]
    inside = (ranking["percentile_lo"] <= ranking["truth"]) & (ranking["truth"] <= ranking["percentile_hi"])
    level = arm_estimate(cells[0], 0)
    return {
        **record,
        "percentile": _share(inside.where(ranking["percentile_lo"].notna())),
        "covers level": float(level.lo <= auroc_of_signal(truths[0].signals[0], truths[0].seed_sd) <= level.hi),
        **_claims(rows),
    }


def _claims(rows: pd.DataFrame) -> Record:
    record: Record = {}
    for metric in (AUROC, AP):
        at_margin = rows[(rows["metric"] == metric) & np.isclose(rows["truth"].abs(), MARGIN, atol=1e-6)]
        record[f"test {metric}"] = _share((at_margin["p_equivalence"] < SETTINGS.alpha).astype(float))
        record[f"verdict {metric}"] = _share(
            at_margin["verdict"].isin(["equivalent", "differs, within the margin"]).astype(float)
        )
    return record


def true_difference(design: Design, truth: Truth, row: tuple[str, str]) -> float:
    """What a finding should have been."""
    metric, arm = row[0], design.arms.index(row[1])
    if metric == LENS:
        return design.lens_differences[arm - 1]
    if metric == AP:
        return truth.precisions[arm] - truth.precisions[0]
    control, treated = (auroc_of_signal(truth.signals[at], truth.seed_sd) for at in (0, arm))
    return treated - control


def hits(design: Design, truths: tuple[Truth, ...], number: int) -> Record:
    """Class by class, whether the difference of the first treatment is found."""
    cells = simulate(design, truths, number)
    hidden = judge(cells)[1]
    found = hidden[(hidden["kind"] == "hidden difference") & (hidden["arm"] == design.arms[1])]
    names = dict.fromkeys(cell.class_name for cell in cells)
    return {name: float((found["class"] == name).any()) for name in names}


def _share(flags: pd.Series) -> float:
    known = flags.dropna()
    return float(known.astype(float).mean()) if len(known) else float("nan")


def _rate(found: pd.DataFrame, name: str) -> Rate:
    return Rate.of(found[name].tolist())


def page(simulation: Simulation) -> str:
    """The whole page, as the docs show it."""
    titles = {
        "Nothing differs": simulation.nothing_differs,
        "At the edge of the claim": simulation.edges,
        "Few positive patients": simulation.thin_classes,
        "What is found": simulation.power,
    }
    studies = {title: study() for title, study in titles.items()}
    promises = [promise for study in studies.values() for promise in study.promises]
    size = (
        f"{simulation.experiments} simulated experiments per setting, {LONG_TAIL.resamples} patient resamples in each"
    )
    sections = [f"## {title}\n\n{TEXTS[title]}\n\n{study.text}" for title, study in studies.items()]
    return "\n\n".join([INTRODUCTION.format(size=size), f"## Promises\n\n{kept(promises)}", *sections]) + "\n"


def kept(promises: Sequence[Promise]) -> str:
    """Which rates are on the wrong side of their limit, and how near the others come.

    >>> print(kept([Promise("a", Rate(0.01, 0.0, 0.02)), Promise("b", Rate(0.9, 0.88, 0.92), 0.95)]))
    1 of 2 rates are on the wrong side of their limit by more than the simulation leaves uncertain:
    <BLANKLINE>
    - b: 0.900 (0.880–0.920), limit 0.95
    """
    uncertain = "on the wrong side of its limit by more than the simulation leaves uncertain"
    broken = sorted((one for one in promises if one.is_broken), key=lambda one: -one.excess)
    if not broken:
        worst = max(promises, key=lambda one: one.excess)
        return (
            f"None of {len(promises)} rates is {uncertain} (3.3 standard errors, because there are so many). Nearest, "
            f"or furthest over: {worst.words}: {worst.rate}, limit {worst.limit:g}."
        )
    head = f"{len(broken)} of {len(promises)} rates are {uncertain.replace('its', 'their')}:"
    return "\n".join([head, "", *(f"- {one.words}: {one.rate}, limit {one.limit:g}" for one in broken)])


INTRODUCTION = """# Do the statistics keep what they promise?

For the reader who doubts a verdict. This page is the output of
`python validation/statistics_simulation.py --out docs/reference/statistics_simulation.md`; run it again rather than
edit it. {size}; an experiment of the library takes 2,000.

No network is trained. A score is a signal for positives, effects of the patient and of the image that all runs have in
common, effects of both in this arm, and noise of the image in this run; the strength of the signal varies from run to
run. Lens values of annotated images are made likewise; where they differ in truth, a quarter of the maps has moved far.
So the truth is known exactly. Everything after the scores is the library's own code: resampling, comparison, verdicts,
hidden differences.

*Noise* is the standard deviation of a metric between seeds, as a multiple of its patient standard error √v_P (of the
difference to control). It is set for AUROC and the lens; that of AP follows. In brackets stands the 95 % interval that
the number of simulated experiments leaves."""

TEXTS = {
    "Nothing differs": f"""Five arms, all the same in truth, {CLASSES} classes with prevalences from 0.2 to 0.005,
{LONG_TAIL.patients} patients with one to five images. Shares of experiments with any claim, in any class and arm; each
but the candidates should be at most 0.05. Candidates are not adjusted for the number of comparisons, and the report
says so.""",
    "At the edge of the claim": """The same with prevalences from 0.3 to 0.1 and arms that score nearly alike, so that
small differences can be told apart; seed noise 0.5 where nothing else is said. A hidden difference is just none here:
the lens differs by exactly Δ while AUROC and AP are the same, or the lens differs by far while AUROC or AP differs by
exactly the margin, in every class and arm. Any hidden difference is false, and should come in at most 0.05 of the
experiments. The other columns are shares of cells in which one of its three tests says yes: at 0.05 it is exact, far
below it the noise is too large for it to say anything.""",
    "Few positive patients": f"""One class with exactly so many positive patients, control and four treatments, three
seeds. Two treatments differ in AUROC by exactly ±{MARGIN:g}, two in AP. Coverage should be 0.95; the report flags what
rests on fewer than {SETTINGS.min_patients} positive patients, and does not call anything equivalent below
{SETTINGS.min_patients_equivalent}. Wrong claims of equivalence should be at most 0.05: `test` is the test alone,
`verdict` with these minimal counts.""",
    "What is found": """One treatment in four differs in the lens by 0.06, 0.1 or 0.2 in every class, AUROC and AP do
not; otherwise as in the section before. Shares of experiments (a fifth of the number above) in which the class's
hidden difference is found after adjustment.""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000, help="per setting")
    parser.add_argument("--workers", type=int, default=2, help="processes; the numbers do not depend on it")
    parser.add_argument("--out", type=Path, help="page to write; printed where none is named")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the records of each setting are kept")
    given = parser.parse_args()
    begun = time.perf_counter()
    text = page(Simulation(given.experiments, given.workers, Keeper(given.keep)))
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text, encoding="utf-8")
    print(f"{(time.perf_counter() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
