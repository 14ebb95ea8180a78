"""The data sets of a configuration: the one that networks are trained with, and others that they are tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tailscope.data import DATASETS, DataSettings, OtherTest, SplitSettings
from tailscope.experiment.sections import Section
from tailscope.experiment.view_config import Policies, Unmentioned


def _pair(value: Any) -> Any:
    """A bare number stands for a square."""
    return (value, value) if isinstance(value, int) else value


def _several(value: Any) -> Any:
    """A bare name stands for one class."""
    return (value,) if isinstance(value, str) else value


_POLICIES = ("hierarchy", "class_map", "uncertain", "unmentioned", "readers", "label_readers", "near_duplicates")


class _LabelledSource(Section):
    """Which images, and what becomes of their labels; ``args`` are the settings of the source."""

    source: str
    root: Path | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    hierarchy: dict[str, tuple[str, ...]] | None = None
    class_map: dict[str, Annotated[tuple[str, ...], BeforeValidator(_several)]] | None = None
    uncertain: Policies = "ignore"
    unmentioned: Unmentioned = "negative"
    readers: str = "union"
    label_readers: str = "any"
    near_duplicates: Literal["refuse", "report"] = "refuse"

    @model_validator(mode="after")
    def _source_exists(self) -> _LabelledSource:
        DATASETS.build(self.source, **self.args)
        return self

    @property
    def _policies(self) -> dict[str, Any]:
        """The late choices about labels and shapes, by the names of the settings."""
        return {name: getattr(self, name) for name in _POLICIES}


class DataSection(_LabelledSource):
    """The data that networks are trained with, and tested on."""

    cache: Path | None = None
    image_size: Annotated[tuple[int, int], BeforeValidator(_pair)] = (224, 224)
    resize: Literal["stretch", "pad"] = "stretch"
    channels: Literal[1, 3] | None = None
    classes: tuple[str, ...] | None = None
    labels: Literal["multi_label", "binary"] = "multi_label"
    split: SplitSettings = Field(default_factory=SplitSettings)

    @model_validator(mode="after")
    def _is_large_enough(self) -> DataSection:
        if min(self.image_size) < 16:
            raise ValueError(f"`image_size` must be 16 pixels or more; got {self.image_size}")
        self.view()  # refuses choices that do not go together
        return self

    def view(self) -> DataSettings:
        """The late choices about labels, split and pixels."""
        return DataSettings(
            image_size=self.image_size,
            resize=self.resize,
            channels=self.channels,
            classes=self.classes,
            labels=self.labels,
            split=self.split,
            **self._policies,
        )


class OtherTestSection(_LabelledSource):
    """A further data set that every run is tested on; size, resizing and channels are those of ``data``.

    ``class_map`` leads from the classes of the networks to those of this set; without it, classes of the same name are
    taken for the same.
    """

    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    part: Literal["test", "all"] = "test"
    population: Literal["all", "as_published"] = "all"

    @property
    def title(self) -> str:
        """The stated name, by default that of the source."""
        return self.name or self.source

    def other_test(self) -> OtherTest:
        """How it is used, with its late choices about labels."""
        return OtherTest(self.title, DataSettings(**self._policies), self.part, self.population)
