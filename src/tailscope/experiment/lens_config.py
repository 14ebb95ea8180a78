"""The lenses of a configuration: which there are, and what each can be told."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from tailscope.alignment import METRICS, REFERENCE_MAPS, AlignmentMetric, ReferenceMap
from tailscope.attribution import ATTRIBUTIONS
from tailscope.experiment.sections import OpenSection, Section, named

_OVERLAPS = ("iou", "ior", "iobb")
_DEFAULT_METRICS = ("mass_inside", "pointing_game", "iobb", "ior", "iou", "iou_at_area")


class AttributionSection(OpenSection):
    """One attribution method with its settings."""

    name: str

    @model_validator(mode="after")
    def _method_exists(self) -> AttributionSection:
        ATTRIBUTIONS.build(self.name, **self.settings)
        return self


class MetricSection(OpenSection):
    """One alignment metric with its settings."""

    name: str

    @model_validator(mode="after")
    def _metric_exists(self) -> MetricSection:
        METRICS.build(self.name, **self.settings)
        if self.name in _OVERLAPS and self.settings.get("variant") == "as_published":
            raise ValueError(
                f"{self.name!r} as_published reads maps that are already scaled to [0, 1], and the lens keeps maps as "
                "they are; leave the variant out here, and use that form from Python"
            )
        return self

    @property
    def key(self) -> str:
        """The metric with its stated settings, as it stands in the tables."""
        stated = ",".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        return f"{self.name}[{stated}]" if stated else self.name


class PerformanceLens(Section):
    """How well the classifier ranks, on all test images and in subgroups of them.

    ``subgroups`` are columns of the images (sex, age, view, or any other that splits the test images into few groups)
    and extra masks, by whether they stand on the image; null takes all that qualify, an empty list none.
    """

    subgroups: tuple[str, ...] | None = None


class SoundnessSection(Section):
    """The checks of each attribution method, on up to ``pairs`` annotated pairs of the first seed of every arm.

    ``permuted_labels`` trains one more network, control's on permuted training labels, to which maps must not be like.
    """

    pairs: int = Field(24, ge=4)
    permuted_labels: bool = True


class ShortcutSection(Section):
    """The shortcut audit: how much saliency lies on what is no finding, and what its removal does to the logits.

    ``confounders`` are names of the data set's extra masks and ``outside_body``; None takes all that there are, an
    empty list none. Up to ``images`` test images are looked at for each.
    """

    confounders: tuple[str, ...] | None = None
    images: int = Field(200, ge=10)
    removal: bool = True


class AlignmentLens(Section):
    """Where the classifier looks, relative to what the expert drew.

    ``references`` are maps that know no model, ``untrained`` the network before training; excess over each stands
    beside the value of every pair. ``soundness`` and ``shortcuts`` are left out where they are null.
    """

    attributions: tuple[Annotated[AttributionSection, BeforeValidator(named)], ...] = (
        AttributionSection(name="gradcam"),
    )
    metrics: tuple[Annotated[MetricSection, BeforeValidator(named)], ...] = tuple(
        MetricSection(name=name) for name in _DEFAULT_METRICS
    )
    layer: str = "auto"
    batch_size: int = Field(64, ge=1)
    references: tuple[str, ...] = ("centre_gaussian", "class_mean_annotation", "edge", "random")
    untrained: bool = True
    soundness: SoundnessSection | None = SoundnessSection()
    shortcuts: ShortcutSection | None = ShortcutSection()

    def built_metrics(self) -> dict[str, AlignmentMetric]:
        """The metrics by the name in the tables."""
        return {metric.key: METRICS.build(metric.name, **metric.settings) for metric in self.metrics}

    def built_references(self) -> dict[str, ReferenceMap]:
        """The reference maps by name."""
        return {name: REFERENCE_MAPS.build(name) for name in self.references}

    def pairs(self) -> list[tuple[AttributionSection, MetricSection]]:
        """Every method with every metric."""
        return [(method, metric) for method in self.attributions for metric in self.metrics]

    @model_validator(mode="after")
    def _each_once(self) -> AlignmentLens:
        chosen = {
            "attributions": [method.name for method in self.attributions],
            "metrics": [metric.key for metric in self.metrics],
        }
        for what, names in chosen.items():
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"`{what}` holds {repeated[0]!r} twice; evidence and findings name each once")
            if not names:
                raise ValueError(f"`{what}` is empty; name at least one, or set the lens to null")
        self.built_references()
        return self


class CauseSection(Section):
    """Does the class depend on its detectors? Each class's ``top`` best units are set to their mean.

    Ranked on one half of the patients and tested on the other, both ways, over ``splits`` splits.
    """

    top: int = Field(5, ge=1)
    splits: int = Field(20, ge=1)


class PublishedSection(Section):
    """Concept counts as the paper's program makes them, thresholds per batch included; beside the corrected ones."""

    batch_size: int = Field(64, ge=1)
    quantile: float = Field(0.96, gt=0, lt=1)


def _layer_names(value: object) -> object:
    """Refuse what is neither a name nor a list of names, in words of one's own."""
    if isinstance(value, str) or (isinstance(value, list | tuple) and value and all(isinstance(n, str) for n in value)):
        return value
    raise ValueError(f"must be the name of a layer, a list of names, or auto; got {value!r}")


class _LayeredLens(Section):
    """A lens that looks at one layer or several: ``auto`` (the last spatial one), a name, or a list of names."""

    layer: Annotated[str | tuple[str, ...], BeforeValidator(_layer_names)] = "auto"
    batch_size: int = Field(64, ge=1)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers; the first one is the one whose findings count."""
        return (self.layer,) if isinstance(self.layer, str) else self.layer

    @model_validator(mode="after")
    def _each_layer_once(self) -> Self:
        if repeated := sorted({name for name in self.layers if self.layers.count(name) > 1}):
            raise ValueError(f"`layer` holds {repeated[0]!r} twice; name each layer once")
        return self


class DissectionLens(_LayeredLens):
    """What single units respond to, in each of the layers.

    ``derangements`` are behind the test of detectors, ``fractions`` behind the curve; ``confounders`` adds the extra
    masks of the data set as concepts; ``cards`` is the number of unit cards per class and arm; ``causes`` and
    ``as_published`` are left out where they are null.
    """

    top_fraction: float = Field(0.005, gt=0, lt=0.5)
    derangements: int = Field(1000, ge=100)
    fractions: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1)
    confounders: bool = True
    cards: int = Field(1, ge=0, le=5)
    causes: CauseSection | None = CauseSection()
    as_published: PublishedSection | None = None


class RepresentationLens(_LayeredLens):
    """Did the features change, or only the head? Similarity of the layers between runs, and probes of the features.

    ``minibatch`` images at a time go into the unbiased similarity (CKA).
    """

    minibatch: int = Field(64, ge=4)


class Lenses(Section):
    """The ways of looking at each run; a lens that is null is left out."""

    performance: PerformanceLens = PerformanceLens()
    alignment: AlignmentLens | None = AlignmentLens()
    dissection: DissectionLens | None = DissectionLens()
    representation: RepresentationLens | None = RepresentationLens()
