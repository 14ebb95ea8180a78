"""The lenses that need the network of one run, as pieces of work that can be skipped one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tailscope import __version__
from tailscope.core import Progress, digest
from tailscope.dissection import AnnotatedImages, CauseSettings
from tailscope.experiment.activations import Pass, remove_activations
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.causes import CAUSES, SeenLayer, causes_path, measure_causes
from tailscope.experiment.changes import CHANGES, Partner, measure_changes, partner_of
from tailscope.experiment.concept_images import concept_images
from tailscope.experiment.features import features_path, head_path, write_features
from tailscope.experiment.fitting import kept_of, trained_network
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.geometry import GEOMETRY, write_geometry
from tailscope.experiment.kept_evidence import KeptEvidence
from tailscope.experiment.layer_store import LayerStore
from tailscope.experiment.lens_config import AlignmentLens, DissectionLens, RepresentationLens
from tailscope.experiment.permuted import permuted_network, permuted_run, wants_permuted
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.probing import REPRESENTATION, look_at_probes, probes_path
from tailscope.experiment.saliency import LOCALIZATION, look_at_alignment, maps_path
from tailscope.experiment.shortcuts import look_at_shortcuts
from tailscope.experiment.similarity import grams_path, write_grams
from tailscope.experiment.soundness import Examined, measure_soundness
from tailscope.experiment.trajectory import TRAJECTORY, measure_trajectory
from tailscope.experiment.unit_cards import CARDS, regions_path, write_cards
from tailscope.experiment.units import SeenUnits, dissection_settings, look_at_units, unit_outputs
from tailscope.models import Layer, Network


@dataclass(frozen=True)
class Work:
    """One lens on one run: what it depends on, what it leaves behind, and how it is done.

    Args:
        lens: Name of the evidence.
        source: File that the work reads.
        settings: What decides its result besides.
        outputs: Files beyond the table of the lens.
        do: The work.
        of: Lens whose time it counts as.
    """

    lens: str
    source: Path
    settings: dict[str, Any]
    do: Callable[[], None]
    outputs: tuple[Path, ...] = ()
    of: str = ""


@dataclass(frozen=True, eq=False)
class RunLenses:
    """The lenses on one run.

    Args:
        folder: Where the evidence goes.
        prepared: Configuration with layers found, and data.
        pairs: The annotated test pairs, the same for all runs.
        run: The run.
        runs: All runs of the experiment whose networks are looked into.
        progress: Who watches.
    """

    folder: ExperimentFolder
    prepared: Prepared
    pairs: AnnotatedPairs
    run: Run
    runs: Sequence[Run]
    progress: Progress

    def works(self) -> Iterator[Work]:
        """All that is asked for, in an order in which each finds what it reads."""
        lenses = self.prepared.config.lenses
        if lenses.alignment is not None:
            yield from self._alignment(lenses.alignment)
        if lenses.dissection is not None:
            yield from self._dissection(lenses.dissection)
        if lenses.representation is not None:
            yield self._representation(lenses.representation)
        if self.prepared.config.training.keep_checkpoints:
            yield self._trajectory()

    @cached_property
    def network(self) -> Network:
        """Read once, and only if a lens needs it."""
        return self._network_of(self.run)

    def _network_of(self, run: Run) -> Network:
        return trained_network(self.folder, self.prepared.config, self.prepared.data, run)

    @property
    def _weights(self) -> Path:
        return self._weights_of(self.run)

    def _weights_of(self, run: Run) -> Path:
        return self.folder.run(run.name) / "weights.safetensors"

    @property
    def _predictions(self) -> Path:
        return self.folder.predictions(self.run.name)

    @property
    def _is_first_seed(self) -> bool:
        return self.run.seed == self.prepared.config.seeds[0]

    def _alignment(self, lens: AlignmentLens) -> Iterator[Work]:
        """Maps and scores, shortcuts, and on the first seed the soundness of the methods."""
        folder, name = self.folder, self.run.name
        outputs = (
            folder.evidence(LOCALIZATION, name),
            *(maps_path(folder, name, method.name) for method in lens.attributions),
        )
        apart = {"soundness", "shortcuts"}
        settings = lens.model_dump(exclude=apart)
        yield Work("alignment", self._weights, settings, lambda: self._map(lens), outputs)
        asking = lens.model_dump(exclude={*apart, "metrics", "references", "untrained"})
        if lens.shortcuts is not None:
            settings = {**asking, **lens.shortcuts.model_dump(), "predictions": digest(self._predictions)}
            yield Work("shortcuts", self._weights, settings, lambda: self._audit(lens))
        if lens.soundness is not None and self._is_first_seed:
            config, data = self.prepared.config, self.prepared.data
            permuted = permuted_run(config, data).name if wants_permuted(config, data) else None
            settings = {**asking, **lens.soundness.model_dump(), "permuted": permuted}
            yield Work("soundness", self._weights, settings, lambda: self._check(lens))

    def _map(self, lens: AlignmentLens) -> None:
        look_at_alignment(self.folder, self.run, self.network, self.pairs, lens, self.progress)

    def _audit(self, lens: AlignmentLens) -> None:
        look_at_shortcuts(self.folder, self.run, self.network, self.prepared.data, lens, self.progress)

    def _check(self, lens: AlignmentLens) -> None:
        prepared, permuted = self.prepared, None
        if wants_permuted(prepared.config, prepared.data):
            permuted = permuted_network(self.folder, prepared.config, prepared.data, self.progress)
        examined = Examined(self.network, permuted)
        measure_soundness(self.folder, self.run, examined, prepared.data, lens, self.progress)

    def _dissection(self, lens: DissectionLens) -> Iterator[Work]:
        """What the units respond to, whether the classes depend on them, cards, and what became of control's."""
        folder, name = self.folder, self.run.name
        settings = lens.model_dump(exclude={"causes", "cards"})
        units = partial(self._look_at_units, lens)
        yield Work("dissection", self._weights, settings, units, unit_outputs(folder, lens, name))
        if lens.causes is not None:
            settings = {**settings, **lens.causes.model_dump(), "predictions": digest(self._predictions)}
            causes = partial(self._measure_causes, lens)
            yield Work(CAUSES, self._weights, settings, causes, (causes_path(folder, name),), "dissection")
        if lens.cards and self._is_first_seed:
            settings = lens.model_dump(exclude={"causes"})
            cards = partial(self._write_cards, lens)
            yield Work(CARDS, self._weights, settings, cards, (regions_path(folder, name),), "dissection")
        partner = partner_of(self.run, self.runs, self.prepared.config.compare.control)
        if partner is not None:
            settings = {**lens.model_dump(exclude={"causes", "cards"}), "partner": digest(self._weights_of(partner))}
            changes = partial(self._measure_changes, partner, lens.batch_size)
            yield Work(CHANGES, self._weights, settings, changes, of="dissection")

    @cached_property
    def _store(self) -> LayerStore:
        config, data = self.prepared.config, self.prepared.data
        found = self.prepared.layers
        asked = (*found.get("dissection", ()), *found.get("representation", ()))
        layers = {layer.name: layer for layer in asked}
        lens = config.lenses.dissection or config.lenses.representation
        batch = lens.batch_size if lens is not None else 1  # without a lens nothing is looked at
        seen = Pass(self.network, tuple(layers.values()), data.pixels, data.rows("test"), batch)
        inputs = digest(self._weights, data.fingerprint, __version__)
        return LayerStore(self.folder.scratch(self.run.name), seen, inputs, self.run.name, self.progress)

    @property
    def _first_layer(self) -> Layer:
        return self.prepared.layers["dissection"][0]

    @cached_property
    def _images(self) -> AnnotatedImages:
        """The test images with their concepts; the masks of confounders are read to choose them, so once."""
        lens = self.prepared.config.lenses.dissection
        return concept_images(self.prepared.data, confounders=lens is not None and lens.confounders)

    def _kept(self, lens: DissectionLens, layer: str, images: AnnotatedImages) -> KeptEvidence:
        return self._store.kept(layer, images.classes, lens.model_dump(exclude={"causes", "cards", "layer"}))

    def _look_at_units(self, lens: DissectionLens) -> None:
        images = self._images
        activations = {layer: self._store.activations[layer] for layer in lens.layers}
        kept = {layer: self._kept(lens, layer, images) for layer in lens.layers}
        seen = SeenUnits(images, activations, kept)
        look_at_units(self.folder, self.run, self.prepared.data, lens, seen, self.progress)

    def _measure_causes(self, lens: DissectionLens) -> None:
        if lens.causes is None:
            return
        images, layer = self._images, self._first_layer.name
        seed = dissection_settings(lens).seed
        settings = CauseSettings(detectors=lens.causes.top, splits=lens.causes.splits, seed=seed)
        seen = SeenLayer(
            layer,
            self._store.activations[layer],
            images,
            lens.batch_size,
            settings,
            self._kept(lens, layer, images),
        )
        measure_causes(self.folder, self.run, self.network, self.prepared.data, seen, self.progress)

    def _write_cards(self, lens: DissectionLens) -> None:
        layer = self._first_layer
        seen = (layer, self._store.activations[layer.name], self._images)
        write_cards(self.folder, self.run, self.network, self.prepared.data, seen, lens.cards)

    def _measure_changes(self, partner: Run, batch_size: int) -> None:
        layer = self._first_layer
        other = Partner(partner, self._network_of(partner), batch_size)
        seen = (layer, self._store.activations[layer.name])
        measure_changes(self.folder, self.run, other, self.prepared.data, seen, self.progress)

    def _representation(self, lens: RepresentationLens) -> Work:
        folder, name = self.folder, self.run.name
        files = (head_path(folder, name), probes_path(folder, name), grams_path(folder, name))
        outputs = (*files, folder.evidence(GEOMETRY, name))
        do = partial(self._look_at_features, lens)
        return Work(REPRESENTATION, self._weights, lens.model_dump(), do, outputs)

    def _look_at_features(self, lens: RepresentationLens) -> None:
        folder, run, data = self.folder, self.run, self.prepared.data
        write_features(folder, run, self.network, data, lens.batch_size, self.progress)
        look_at_probes(folder, run, data, self.progress)
        activations = {layer: self._store.activations[layer] for layer in lens.layers}
        write_grams(grams_path(folder, run.name), data, activations, lens.minibatch)
        write_geometry(folder, run, data)
        # Only the probes read these; of a large data set they would fill the disk.
        remove_activations([features_path(folder, run.name, split) for split in ("train", "val")])

    def _trajectory(self) -> Work:
        config, alignment = self.prepared.config, self.prepared.config.lenses.alignment
        settings = {
            "epochs": list(kept_of(self.folder, config, self.run)),
            "dissection": config.lenses.dissection and config.lenses.dissection.model_dump(exclude={"causes", "cards"}),
            "alignment": alignment and alignment.model_dump(include={"layer", "batch_size", "attributions"}),
        }
        do = partial(measure_trajectory, self.folder, config, self.run, self.pairs, self.progress)
        return Work(TRAJECTORY, self._weights, settings, do)
