"""What does looking into a run cost, against a paper-sized training? Budget: 10 % (DESIGN section 8).

The training is timed on this machine for a short while and scaled to the paper's 50 epochs of 78,468 images; the
lenses are timed on a test split of 2,000 images with annotations and scaled to NIH's 25,596, the way their cost grows:
with the images for the passes, not at all for the annotated pairs, of which NIH has 984.

Run: ``python benchmarks/looking_share.py``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from tailscope.core import SilentProgress
from tailscope.data import DATASETS, DataSettings, prepare
from tailscope.experiment.activations import Pass
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.concept_images import concept_images
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.layer_store import LayerStore
from tailscope.experiment.lens_config import AlignmentLens, DissectionLens
from tailscope.experiment.plan import Run
from tailscope.experiment.references import measure_references
from tailscope.experiment.saliency import look_at_alignment
from tailscope.experiment.units import SeenUnits, look_at_units
from tailscope.models import MODELS, find_layer, write_weights
from tailscope.training import Job, TrainingSettings, fit
from tailscope.treatments import TREATMENTS

PAPER_IMAGES, PAPER_EPOCHS, NIH_TEST = 78_468, 50, 25_596
TRAIN, TEST = 640, 2000


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        source = DATASETS.build("phantom", train=TRAIN, val=160, test=TEST)(None)
        data = prepare(source, DataSettings(image_size=(64, 64)), Path(place) / "cache")
        torch.manual_seed(0)
        network = MODELS.build("timm", name="resnet18", args={"output_stride": 8})(len(data.classes), 1)
        job = Job(network, TREATMENTS.build("control")(data.counts), data, TrainingSettings(epochs=1), seed=0)
        begin = time.perf_counter()
        fit(job, Path(place) / "state")
        training = (time.perf_counter() - begin) * PAPER_EPOCHS * PAPER_IMAGES / TRAIN
        folder, run, silent = ExperimentFolder(Path(place)), Run("control", 0, "run"), SilentProgress()
        folder.run(run.name).mkdir(parents=True)
        write_weights(folder.run(run.name) / "weights.safetensors", network.module, network.preprocessing)
        lens = AlignmentLens(layer="layer4", untrained=False)
        begin = time.perf_counter()
        pairs = AnnotatedPairs.of(data)
        measure_references(folder, pairs, lens)
        look_at_alignment(folder, run, network, pairs, lens, silent)
        units = DissectionLens(layer="layer4")
        layers = (find_layer(network.module, network.preprocessing(data.pixels[:1]), "layer4"),)
        seen = Pass(network, layers, data.pixels, data.rows("test"), units.batch_size)
        store = LayerStore(folder.run(run.name), seen, "benchmark", run.name, silent)
        images = concept_images(data, confounders=units.confounders)
        kept = {"layer4": store.kept("layer4", images.classes)}
        look_at_units(folder, run, data, units, SeenUnits(images, store.activations, kept), silent)
        looking = (time.perf_counter() - begin) * NIH_TEST / TEST  # all of it scaled: an upper bound
        share = 100 * looking / training
        print(f"training {training:,.0f} s, looking at most {looking:,.0f} s: {share:.2f} % (budget 10 %)")


if __name__ == "__main__":
    main()
