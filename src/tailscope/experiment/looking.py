"""Look at a finished run through every lens; evidence that is there and whose inputs are unchanged stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tailscope import __version__
from tailscope.core import Progress, digest
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.fitting import trained_network
from tailscope.experiment.folder import ExperimentFolder, Stage
from tailscope.experiment.lens_config import AlignmentLens, DissectionLens
from tailscope.experiment.permuted import permuted_network, permuted_run, wants_permuted
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.ranking import look_at_performance
from tailscope.experiment.references import measure_references, measure_untrained, untrained_part
from tailscope.experiment.saliency import LOCALIZATION, look_at_alignment, maps_path
from tailscope.experiment.shortcuts import look_at_shortcuts
from tailscope.experiment.soundness import Examined, measure_soundness
from tailscope.experiment.timing import Timings
from tailscope.experiment.units import crossfit_path, layer_path, look_at_units
from tailscope.models import Network


@dataclass(frozen=True)
class _Work:
    """One lens on one run: what it depends on, what it leaves behind, and how it is done.

    Args:
        lens: Name of the evidence.
        source: File that the work reads.
        settings: What decides its result besides.
        outputs: Files beyond the table of the lens.
        do: The work.
    """

    lens: str
    source: Path
    settings: dict[str, Any]
    do: Callable[[], None]
    outputs: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Looking:
    """All lenses of one experiment.

    Args:
        folder: Where the evidence goes.
        prepared: Configuration with layers found, and data.
        timings: Where the seconds are added up.
        progress: Who watches.
    """

    folder: ExperimentFolder
    prepared: Prepared
    timings: Timings
    progress: Progress

    @cached_property
    def pairs(self) -> AnnotatedPairs:
        """The annotated test pairs, the same for all runs."""
        return AnnotatedPairs.of(self.prepared.data)

    def at_references(self) -> None:
        """What is measured once for all runs: reference maps, and the untrained network of every seed."""
        lens = self.prepared.config.lenses.alignment
        if lens is None:
            return
        with self.timings.stage("alignment"):
            self._once("static", lens, lambda: measure_references(self.folder, self.pairs, lens))
            config = self.prepared.config
            for seed in config.seeds if lens.untrained else ():
                do = partial(measure_untrained, self.folder, config, self.pairs, seed, progress=self.progress)
                self._once(untrained_part(seed), lens, do)

    def at(self, run: Run, *, has_network: bool) -> None:
        """Every lens on one run; one that has the network of another arm is judged by its performance alone."""
        for work in self._works(run, has_network=has_network):
            marker = self.folder.evidence_file(work.lens, f"stage-{run.name}.json")
            outputs = (self.folder.evidence(work.lens, run.name), *work.outputs)
            stage = Stage.of(marker, outputs, run.name, work.settings, __version__, work.source)
            with self.timings.stage(work.lens):
                if not stage.is_done:
                    work.do()
                    stage.finish()

    def _once(self, part: str, lens: AlignmentLens, do: Callable[[], None]) -> None:
        marker = self.folder.evidence_file("reference_maps", f"stage-{part}.json")
        outputs = (self.folder.evidence("reference_maps", part),)
        config, data = self.prepared.config, self.prepared.data
        settings = [lens.model_dump(exclude={"soundness", "shortcuts"}), config.model.model_dump(), data.fingerprint]
        stage = Stage.of(marker, outputs, part, settings, __version__)
        if not stage.is_done:
            do()
            stage.finish()

    def _works(self, run: Run, *, has_network: bool) -> Iterator[_Work]:
        predictions = self.folder.run(run.name) / "predictions.parquet"
        ranks = partial(look_at_performance, self.folder, run, self.prepared.data)
        yield _Work("performance", predictions, {}, ranks)
        if not has_network:
            return
        one = _OneRun(self, run)
        lenses = self.prepared.config.lenses
        if lenses.alignment is not None:
            yield from one.alignment(lenses.alignment)
        if lenses.dissection is not None:
            yield one.dissection(lenses.dissection)


@dataclass(frozen=True, eq=False)
class _OneRun:
    """The lenses that need the network of one run."""

    all: Looking
    run: Run

    @cached_property
    def network(self) -> Network:
        """Read once, and only if a lens needs it."""
        prepared = self.all.prepared
        return trained_network(self.all.folder, prepared.config, prepared.data, self.run)

    @property
    def weights(self) -> Path:
        """The file that the network is read from."""
        return self.all.folder.run(self.run.name) / "weights.safetensors"

    @property
    def predictions(self) -> Path:
        """The logits of the run."""
        return self.all.folder.run(self.run.name) / "predictions.parquet"

    def alignment(self, lens: AlignmentLens) -> Iterator[_Work]:
        """Maps and scores, shortcuts, and on the first seed the soundness of the methods."""
        folder, name = self.all.folder, self.run.name
        outputs = (
            folder.evidence(LOCALIZATION, name),
            *(maps_path(folder, name, method.name) for method in lens.attributions),
        )
        apart = {"soundness", "shortcuts"}
        settings = lens.model_dump(exclude=apart)
        yield _Work("alignment", self.weights, settings, lambda: self._map(lens), outputs)
        asking = lens.model_dump(exclude={*apart, "metrics", "references", "untrained"})
        if lens.shortcuts is not None:
            settings = {**asking, **lens.shortcuts.model_dump(), "predictions": digest(self.predictions)}
            yield _Work("shortcuts", self.weights, settings, lambda: self._look(look_at_shortcuts, lens))
        if lens.soundness is not None and self.run.seed == self.all.prepared.config.seeds[0]:
            config, data = self.all.prepared.config, self.all.prepared.data
            permuted = permuted_run(config, data).name if wants_permuted(config, data) else None
            settings = {**asking, **lens.soundness.model_dump(), "permuted": permuted}
            yield _Work("soundness", self.weights, settings, lambda: self._check(lens))

    def dissection(self, lens: DissectionLens) -> _Work:
        """What single units respond to."""
        folder, name = self.all.folder, self.run.name
        outputs = (crossfit_path(folder, name), layer_path(folder, name))
        return _Work("dissection", self.weights, lens.model_dump(), lambda: self._look(look_at_units, lens), outputs)

    def _look(self, look: Callable[..., None], lens: AlignmentLens | DissectionLens) -> None:
        look(self.all.folder, self.run, self.network, self.all.prepared.data, lens, self.all.progress)

    def _map(self, lens: AlignmentLens) -> None:
        look_at_alignment(self.all.folder, self.run, self.network, self.all.pairs, lens, self.all.progress)

    def _check(self, lens: AlignmentLens) -> None:
        prepared, permuted = self.all.prepared, None
        if wants_permuted(prepared.config, prepared.data):
            permuted = permuted_network(self.all.folder, prepared.config, prepared.data, self.all.progress)
        examined = Examined(self.network, permuted)
        measure_soundness(self.all.folder, self.run, examined, prepared.data, lens, self.all.progress)
