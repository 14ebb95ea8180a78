"""From which dose on does the audit see a shortcut, in real chest radiographs?

Phantom lesions and tubes are pasted into real 64 px radiographs (source ``pasted``). Networks are trained with the
tube tied to pneumothorax at strengths 0, .3, .6 and .9, several seeds each, twice as many at strength 0. All look at
one test split, in whose pneumothorax images a tube stands half of the time. Counted per method and metric: power, the
share of comparisons with strength 0 in which the map moved onto the tube, or away from the lesion (p < .05 by the
library's own test, over seeds and patients); and false alarms: strength 0 against strength 0, a marker that is tied to
nothing, and the map of a class that is tied to nothing.

Run: ``python validation/dose_response.py [--root ../shared/data/nih1000_64px]`` (about 8 minutes on two cores);
``--quick`` is a smoke test, on a phantom base where ``--base phantom`` asks for it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counting import Runs
from looking import Looks, Probe, all_methods, all_metrics, auroc_on_test, look
from markdown import number, pivot, table
from training_runs import LAYER, TIED, TUBE, Trainer, tie

ROOT = Path(__file__).resolve().parents[2] / "shared" / "data" / "nih1000_64px"
STRENGTHS = (0.3, 0.6, 0.9)
OTHER, MARKER = "mass", "laterality_marker"
# Cheap ones by default: fifteen networks are looked at. The table of recovery has all.
METHODS = ("gradcam", "gradcam_pp", "hirescam", "layercam", "eigencam", "input_gradient", "gradient_x_input",
           "integrated_gradients", "guided_backprop", "occlusion")  # fmt: skip
PASTED: dict[str, Any] = {"findings": {TIED: 0.3, OTHER: 0.3}, "subtlety": 0.2, "contrast": 1.6, "copies": 4}
PHANTOM_BASE: dict[str, Any] = {
    "base": "phantom",
    "base_args": {"train": 60, "val": 20, "test": 20, "prevalence": {"hernia": 0.1}, "minimum_positives": 2},
    "copies": 2,
}


@dataclass(frozen=True)
class Study:
    """One dose-response study.

    Args:
        settings: Of the source ``pasted``.
        root: Of its base.
        seeds: Networks per strength; twice as many at strength 0.
        size: Networks on each side of a comparison.
        images: Most images looked at.
        methods: Their names.
        strengths: Doses above 0.
    """

    settings: dict[str, Any] = field(default_factory=lambda: dict(PASTED))
    root: Path | None = ROOT
    seeds: int = 3
    size: int = 3
    images: int = 80
    methods: Sequence[str] = METHODS
    strengths: Sequence[float] = STRENGTHS

    def run(self, trainer: Trainer) -> str:
        """Train, look and count; the tables as Markdown."""
        probed = trainer.data("pasted", {**self.settings, "shortcuts": tie(0.5), "test_shortcuts": "tied"}, self.root)
        probe = Probe(probed, TIED, (TIED, TUBE, MARKER), most=self.images)
        other = Probe(probed, OTHER, (TUBE, OTHER), most=self.images)
        methods, metrics = all_methods(LAYER, self.methods), all_metrics()
        looks: list[Looks] = []
        others: list[Looks] = []
        scores: dict[float, list[float]] = {}
        for strength in (0.0, *self.strengths):
            data = trainer.data("pasted", {**self.settings, "shortcuts": tie(strength)}, self.root)
            for seed in range(self.seeds * (1 if strength else 2)):
                network = trainer.train(data, seed=1000 * round(10 * strength) + seed)
                looks.append(look(network, probe, methods, metrics))
                others.append(look(network, other, methods, metrics))
                scores.setdefault(strength, []).append(auroc_on_test(network, data, TIED))
        counts = {name: probe.places(name).size for name in probe.regions}
        counts[f"{TUBE} and {OTHER}"] = other.places(TUBE).size
        return "\n\n".join(
            [_setting(scores, counts), *self._tables(Runs(probe, looks, self.size), Runs(other, others, self.size))]
        )

    def _runs_of(self, dose: int) -> range:
        """Numbers of the runs at one dose; 0 is strength 0."""
        start = 0 if dose == 0 else self.seeds * (1 + dose)
        return range(start, start + self.seeds * (2 if dose == 0 else 1))

    def _tables(self, runs: Runs, others: Runs) -> list[str]:
        clean, strongest = self._runs_of(0), self._runs_of(len(self.strengths))
        sections = []
        for region, direction, words in ((TUBE, 1.0, "onto the tube"), (TIED, -1.0, "away from the lesion")):
            for dose, strength in enumerate(self.strengths, 1):
                power = runs.power(region, self._runs_of(dose), clean, direction)
                sections.append((f"Power at strength {strength:g}: the map moved {words}", power))
        same = [(a, b) for a in clean for b in clean if a < b]
        top = f"{self.strengths[-1]:g}"
        sections += [
            ("False alarms: strength 0 against strength 0, tube and lesion", runs.false_alarms((TUBE, TIED), clean)),
            ("False alarms of one run against one, patients alone, tube", runs.pair_flags(TUBE, same)),
            (f"Untied artifact: moved onto the marker at {top}", runs.power(MARKER, strongest, clean, 1.0)),
            (
                f"Untied class: the map of {OTHER} moved onto the tube at {top}",
                others.power(TUBE, strongest, clean, 1.0),
            ),
        ]
        return [f"### {title}\n\n{pivot(cells, 'method')}" for title, cells in sections]


def _setting(scores: dict[float, list[float]], counts: dict[str, int]) -> str:
    rows = [
        [number(strength, 1), str(len(found)), sum(found) / len(found), min(found), max(found)]
        for strength, found in scores.items()
    ]
    images = ", ".join(f"{count} with {name}" for name, count in counts.items())
    return f"Images looked at: {images}.\n\n" + table(
        ["strength", "networks", "AUROC, tube free: mean", "lowest", "highest"], rows, 3
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the NIH images")
    parser.add_argument("--base", choices=("nih_chestxray14", "phantom"), default="nih_chestxray14")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--seeds", type=int, default=3, help="networks per strength; twice as many at strength 0")
    parser.add_argument("--images", type=int, default=80, help="most images looked at")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    arguments = parser.parse_args()
    made_up = PHANTOM_BASE if arguments.base == "phantom" else {}
    settings, root = {**PASTED, **made_up}, None if made_up else arguments.root
    if arguments.quick:
        study = Study({**settings, "copies": 1}, root, 2, 2, 8, ("gradcam", "input_gradient"), (0.9,))
    else:
        study = Study(settings, root, arguments.seeds, min(3, arguments.seeds), arguments.images, arguments.methods)
    with tempfile.TemporaryDirectory() as place:
        print(study.run(Trainer(Path(place), epochs=1 if arguments.quick else arguments.epochs)))


if __name__ == "__main__":
    main()
