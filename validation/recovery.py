"""How well does each attribution method, read by each metric, recover evidence that was planted on purpose?

On the phantom, a few networks are trained without any shortcut, and a few with a chest tube tied to pneumothorax. The
maps of the pneumothorax logit are scored on one test split, in whose pneumothorax images a tube stands half of the
time: inside the lesion, on the tube, and on the markers and leads, which tell nothing. Writes the page of the docs.

Run: ``python validation/recovery.py`` (about 8 minutes on two cores); ``--quick`` prints a smoke test.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from counting import Cells, Runs
from looking import Probe, all_methods, all_metrics, auroc_on_test, look
from markdown import pivot, table
from training_runs import LAYER, TIED, TUBE, Trainer, tie

from tailscope.core import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "recovery.md"
UNTIED = ("laterality_marker", "ecg_lead")
STRENGTH = 0.9
PHANTOM: dict[str, Any] = {
    "train": 2000,
    "val": 200,
    "test": 600,
    "subtlety": 0.6,
    "prevalence": {TIED: 0.3, "mass": 0.2},
    "minimum_positives": 20,
}
QUICK: dict[str, Any] = {**PHANTOM, "train": 96, "val": 60, "test": 80, "minimum_positives": 8}


def compare(settings: dict[str, Any], trainer: Trainer, clean: int, tied: int, probe_size: int, methods: Any) -> str:
    """Train, look and count; the tables as Markdown.

    Args:
        settings: Of the phantom.
        trainer: How networks are trained.
        clean: Networks without a shortcut.
        tied: Networks with it; also the size of the sets that are compared.
        probe_size: Most images looked at.
        methods: Names of methods; empty for all.
    """
    free = trainer.data("phantom", settings)
    learnt = trainer.data("phantom", {**settings, "shortcuts": tie(STRENGTH)})
    probed = trainer.data("phantom", {**settings, "shortcuts": tie(0.5), "test_shortcuts": "tied"})
    probe = Probe(probed, TIED, (TIED, TUBE, *UNTIED), most=probe_size)
    built, metrics = all_methods(LAYER, methods), all_metrics()
    looks, scores = [], []
    for number in range(clean + tied):
        network = trainer.train(free if number < clean else learnt, seed=number)
        looks.append(look(network, probe, built, metrics))
        scores.append(auroc_on_test(network, free, TIED))
    runs = Runs(probe, looks, size=tied)
    images = {region: probe.places(region).size for region in probe.regions}
    return "\n\n".join([_setting(scores, clean, images), *_tables(runs, range(clean), range(clean, clean + tied))])


def _setting(scores: list[float], clean: int, images: dict[str, int]) -> str:
    rows = [[str(at), "clean" if at < clean else f"tied {STRENGTH:g}", score] for at, score in enumerate(scores)]
    counts = ", ".join(f"{count} with {name}" for name, count in images.items())
    return f"Images looked at: {counts}.\n\n" + table(["run", "trained", "AUROC, tube free"], rows, 3)


def _tables(runs: Runs, clean: range, tied: range) -> list[str]:
    shift = runs.mean(TUBE, tied)
    before = runs.mean(TUBE, clean)
    moved = {cell: shift[cell] - before[cell] for cell in shift}
    one = list(combinations(clean, 2))
    size = runs.size
    sections: list[tuple[str, str, Cells]] = [
        (
            "Lesion, clean networks",
            "Mean excess on the lesion: the evidence recovered. 0 is an uninformed map.",
            runs.mean(TIED, clean),
        ),
        (
            "Tube, tied minus clean networks",
            "Rise of the mean excess on the tube: the planted shortcut recovered.",
            moved,
        ),
        (
            "Power, tube",
            f"Share of comparisons of {size} tied with {size} clean networks in which the map moved onto the tube "
            "(p < .05 by the library's own test, over seeds and patients).",
            runs.power(TUBE, tied, clean, 1.0),
        ),
        (
            "Power, lesion",
            "The same for a map that moved away from the lesion.",
            runs.power(TIED, tied, clean, -1.0),
        ),
        (
            "False alarms, clean against clean",
            f"Share of comparisons of {size} with {size} clean networks that call a move on the lesion or the tube; "
            ".05 is right. They share runs, so the numbers are rough.",
            runs.false_alarms((TIED, TUBE), clean),
        ),
        (
            "False alarms of one run against one",
            "The same on the lesion with one clean network on each side and patients as the only noise: why an audit "
            "of single runs cannot be believed.",
            runs.pair_flags(TIED, one),
        ),
        (
            "False alarms, untied artifacts",
            "Share of clean networks and untied artifacts (marker, lead) of which the map is said to lie on the "
            "artifact (mean excess above 0, p < .05).",
            runs.seen(UNTIED, clean),
        ),
    ]
    return [f"## {title}\n\n{text}\n\n{pivot(cells, 'method')}" for title, text, cells in sections]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test; nothing is written")
    parser.add_argument("--clean", type=int, default=6, help="networks without a shortcut")
    parser.add_argument("--tied", type=int, default=3, help="networks with it")
    parser.add_argument("--images", type=int, default=48, help="most images looked at")
    parser.add_argument("--methods", nargs="*", default=(), help="all that work on a CNN if left out")
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        trainer = Trainer(Path(place), epochs=1 if arguments.quick else 4)
        if arguments.quick:
            print(compare(QUICK, trainer, 4, 2, 8, arguments.methods))
            return
        text = compare(PHANTOM, trainer, arguments.clean, arguments.tied, arguments.images, arguments.methods)
    write_text(arguments.out, f"{_HEAD}\n{text}\n")
    print(f"wrote {arguments.out}")


_HEAD = f"""# What each method and metric recovers

Written by `python validation/recovery.py`; do not edit, run it again.

On the phantom the truth is known. The networks (the toy ResNet of timm, 64 px, control) are trained on
{PHANTOM["train"]} phantoms, either without a shortcut or with a chest tube in {STRENGTH:.0%} of the pneumothorax
positives. The maps of the pneumothorax logit are read by every metric on the same test images, in half of which a tube
stands beside the lesion. *Excess* is the value minus that of an uninformed map. One small network and one finding:
this says how sharp the instrument is here, not in general.
"""


if __name__ == "__main__":
    main()
