"""Look at a finished run through every lens; evidence that is there and whose inputs are unchanged stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from tailscope import __version__
from tailscope.core import Progress
from tailscope.experiment.annotated import AnnotatedPairs
from tailscope.experiment.folder import ExperimentFolder, Stage
from tailscope.experiment.layer_store import remove_scratch
from tailscope.experiment.lens_config import AlignmentLens
from tailscope.experiment.plan import Run
from tailscope.experiment.preparing import Prepared
from tailscope.experiment.ranking import look_at_performance
from tailscope.experiment.references import measure_references, measure_untrained, untrained_part
from tailscope.experiment.run_lenses import RunLenses, Work
from tailscope.experiment.timing import Timings


@dataclass(frozen=True, eq=False)
class Looking:
    """All lenses of one experiment.

    Args:
        folder: Where the evidence goes.
        prepared: Configuration with layers found, and data.
        runs: All runs whose networks are looked into.
        timings: Where the seconds are added up.
        progress: Who watches.
    """

    folder: ExperimentFolder
    prepared: Prepared
    runs: tuple[Run, ...]
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
            for seed in config.every_seed if lens.untrained else ():
                do = partial(measure_untrained, self.folder, config, self.pairs, seed, progress=self.progress)
                self._once(untrained_part(seed), lens, do)

    def at(self, run: Run, *, has_network: bool) -> None:
        """Every lens on one run; one that has the network of another arm is judged by its performance alone."""
        lenses = RunLenses(self.folder, self.prepared, self.pairs, run, self.runs, self.progress)
        predictions = self.folder.predictions(run.name)
        ranks = partial(look_at_performance, self.folder, run, self.prepared.data)
        self._do(run, Work("performance", predictions, {}, ranks))
        if has_network:
            for work in lenses.works():
                self._do(run, work)
            remove_scratch(self.folder.scratch(run.name))

    def _do(self, run: Run, work: Work) -> None:
        marker = self.folder.evidence_file(work.lens, f"stage-{run.name}.json")
        outputs = (self.folder.evidence(work.lens, run.name), *work.outputs)
        stage = Stage.of(marker, outputs, run.name, work.settings, __version__, work.source)
        with self.timings.stage(work.of or work.lens):
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
