"""Does the shortcut audit order networks by how far they rely on a shortcut?

Phantoms with a chest tube tied to pneumothorax at strengths 0, .5 and .9; three networks each. Of every network, on
the same test images with a tube and pneumothorax: the share of the pneumothorax saliency on the tube and on the
lesion, the standardised fall of the logit when the tube is inpainted (the library's own removal) and when the phantom
is rendered without it (the truth), and AUROC where the tube is free and where it is tied. Prints a table, draws a
figure, and ends with an error if the audit does not order the strengths rightly.

Run: ``python validation/shortcut_phantom.py [--figure shortcut.png]`` (about 5 minutes on two cores); ``--quick`` is a
smoke test.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from looking import Probe, all_methods, auroc_on_test, maps_of
from markdown import number, table
from numpy.typing import NDArray
from training_runs import LAYER, TIED, TUBE, Trainer, tie

from tailscope.alignment import METRICS, score_pairs
from tailscope.core import ExperimentData
from tailscope.data import DATASETS
from tailscope.data.phantom_rendering import COLUMNS
from tailscope.experiment.confounders import Confounder
from tailscope.experiment.removal import LogitScale, removal_effect
from tailscope.models import Network
from tailscope.training import predict

STRENGTHS = (0.0, 0.5, 0.9)
PHANTOM: dict[str, Any] = {
    "train": 2400,
    "val": 200,
    "test": 800,
    "subtlety": 0.7,
    "prevalence": {TIED: 0.3, "mass": 0.2},
    "minimum_positives": 20,
}
QUICK: dict[str, Any] = {**PHANTOM, "train": 96, "val": 60, "test": 80, "minimum_positives": 8}
ORDERED = ("on tube", "removal", "gap")
WORDS = {
    "on tube": "saliency on the tube, excess",
    "on lesion": "saliency on the lesion, excess",
    "removal": "fall of the logit, tube inpainted (sd)",
    "truth": "fall of the logit, rendered without (sd)",
    "free": "AUROC, tube free",
    "tied": "AUROC, tube tied",
    "gap": "AUROC tied − free",
}


@dataclass(frozen=True)
class Bench:
    """What every network is put to.

    Args:
        free: Test split in which the tube tells nothing.
        tied: Test split in which it is tied as in the strongest training.
        probe: Pneumothorax images, half of them with a tube.
        without: (N, H, W, C) the probed images that have a tube, rendered without it.
    """

    free: ExperimentData
    tied: ExperimentData
    probe: Probe
    without: NDArray[np.uint8]

    @classmethod
    def of(cls, settings: Mapping[str, Any], trainer: Trainer, images: int) -> Bench:
        """Render the three test splits, and the probed images once more without their tube."""
        strongest = {**settings, "shortcuts": tie(STRENGTHS[-1])}
        probed = {**settings, "shortcuts": tie(0.5), "test_shortcuts": "tied"}
        probe = Probe(trainer.data("phantom", probed), TIED, (TUBE, TIED), most=images)
        return cls(
            free=trainer.data("phantom", strongest),
            tied=trainer.data("phantom", {**strongest, "test_shortcuts": "tied"}),
            probe=probe,
            without=_without_tube(probed, probe),
        )

    def measure(self, network: Network) -> dict[str, float]:
        """All numbers of one network."""
        probe = self.probe
        on = {region: self._on(network, region) for region in probe.regions}
        free, tied = (auroc_on_test(network, data, TIED) for data in (self.free, self.tied))
        removal, truth = self._falls(network)
        return {
            "on tube": on[TUBE],
            "on lesion": on[TIED],
            "removal": removal,
            "truth": truth,
            "free": free,
            "tied": tied,
            "gap": tied - free,
        }

    def _on(self, network: Network, region: str) -> float:
        maps = maps_of(all_methods(LAYER, ["gradcam"])["gradcam"], network, self.probe)
        places = self.probe.places(region)
        masks, patients = self.probe.masks[region][places], self.probe.patients(region)
        scores = score_pairs(maps[places], masks, patients, {"mass_inside": METRICS.build("mass_inside")})
        return float(scores["excess"].mean())

    def _falls(self, network: Network) -> tuple[float, float]:
        """Mean standardised fall of the logit: tube inpainted, beyond the placebo; and tube never drawn."""
        probe, number_of_class = self.probe, self.probe.data.classes.index(TIED)
        spread = predict(network, self.free.pixels, self.free.rows("test")).astype(np.float64).std(axis=0)
        scale = LogitScale(network, lambda logits: logits.astype(np.float64), spread, 64)
        places = probe.places(TUBE)
        rows = probe.rows[places]
        found = removal_effect(
            scale, probe.data, Confounder(TUBE, rows, probe.masks[TUBE][places]), np.arange(rows.size)
        )
        inpainted = np.nanmean((found.value - found.placebo)[:, number_of_class])
        fall = (scale.logits(probe.data.pixels[rows]) - scale.logits(self.without)) / spread
        return float(inpainted), float(fall[:, number_of_class].mean())


def _without_tube(settings: Mapping[str, Any], probe: Probe) -> NDArray[np.uint8]:
    read = DATASETS.build("phantom", **settings)(None).read_pixels
    rows = read.rows.copy()
    rows[:, COLUMNS.index(TUBE)] = False
    bare = replace(read, rows=rows)
    return np.stack([bare(row)[..., None] for row in probe.rows[probe.places(TUBE)].tolist()])


def compare(settings: Mapping[str, Any], trainer: Trainer, seeds: int, images: int) -> pd.DataFrame:
    """One row per network: strength, seed and its numbers."""
    bench = Bench.of(settings, trainer, images)
    rows = []
    for strength in STRENGTHS:
        data = trainer.data("phantom", {**settings, "shortcuts": tie(strength)})
        for seed in range(seeds):
            network = trainer.train(data, seed=1000 * round(10 * strength) + seed)
            rows.append({"strength": strength, "seed": seed, **bench.measure(network)})
    return pd.DataFrame(rows)


def ordered_share(found: pd.DataFrame, measure: str) -> float:
    """Share of the ways to take one network of each strength in which the measure rises with every step.

    >>> numbers = pd.DataFrame({"strength": [0.0, 0.5, 0.9, 0.9], "on tube": [0.0, 0.1, 0.2, 0.05]})
    >>> ordered_share(numbers, "on tube")
    0.5
    """
    groups = [part[measure].to_numpy() for _, part in found.groupby("strength", sort=True)]
    return float(np.mean([bool((np.diff(taken) > 0).all()) for taken in product(*groups)]))


def means_rise(found: pd.DataFrame, measure: str) -> bool:
    """Whether the mean over seeds rises with the strength."""
    return bool((np.diff(found.groupby("strength", sort=True)[measure].mean()) > 0).all())


def as_markdown(found: pd.DataFrame) -> str:
    """The networks one by one, and how often each measure orders them rightly."""
    columns = ["strength", "seed", *WORDS.values()]
    rows = [
        [number(row["strength"], 1), str(int(row["seed"])), *(row[name] for name in WORDS)]
        for _, row in found.iterrows()
    ]
    order = [[WORDS[name], "yes" if means_rise(found, name) else "no", ordered_share(found, name)] for name in ORDERED]
    agreement = found["removal"].corr(found["truth"])
    return "\n\n".join(
        [
            table(columns, rows, 3),
            table(["measure", "means rise with the strength", "share of triples in order"], order),
            f"Correlation of both falls of the logit over networks: {number(agreement)}.",
        ]
    )


def draw(found: pd.DataFrame, path: Path) -> None:
    """Strength against each measure: one point per network, a line through the means."""
    long = found.melt(["strength", "seed"], [*ORDERED, "on lesion"], "measure")
    long["measure"] = long["measure"].map(WORDS)
    base = alt.Chart().encode(x=alt.X("strength:Q", title="strength of the tie", axis=alt.Axis(values=list(STRENGTHS))))
    value = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    points = base.mark_circle(size=60, color="#0072B2").encode(y=value)
    line = base.mark_line(color="#222222").encode(y=alt.Y("mean(value):Q", title=None))
    chart = alt.layer(line, points, data=long).properties(width=240, height=180)
    facets = chart.facet(alt.Facet("measure:N", title=None), columns=2).resolve_scale(y="independent")
    facets.save(path, ppi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test; the order is not checked")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=150, help="most images looked at")
    parser.add_argument("--figure", type=Path, help="PNG to draw")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        trainer = Trainer(Path(place), epochs=1 if arguments.quick else 4)
        small = (QUICK, trainer, 1, 8)
        found = compare(*small) if arguments.quick else compare(PHANTOM, trainer, arguments.seeds, arguments.images)
    print(as_markdown(found))
    if arguments.figure:
        draw(found, arguments.figure)
    wrong = [] if arguments.quick else [WORDS[name] for name in ORDERED if not means_rise(found, name)]
    if wrong:
        raise SystemExit(f"the strengths are not ordered rightly by: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
