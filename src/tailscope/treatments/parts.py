"""A treatment inside another: named in its settings, built when the plan is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tailscope.core.errors import InputError
from tailscope.treatments.plan import ImbalanceTreatment
from tailscope.treatments.registry import TREATMENTS

Choice: TypeAlias = "str | Mapping[str, Any] | Part"


@dataclass(frozen=True)
class Part:
    """A treatment by name, with its settings.

    Args:
        name: Name in the registry.
        settings: Its settings; what it does not state has its default.

    Example:
        >>> Part.of({"name": "focal", "gamma": 1.0}, "loss").build()
        Focal(gamma=1.0, alpha=0.25, variant='corrected')
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, choice: Choice, setting: str) -> Part:
        """From a bare name, or a mapping with ``name`` and settings; built once, so that a mistake shows at once.

        Args:
            choice: As it stands in a configuration.
            setting: Name of the setting that holds it, for messages.

        Raises:
            InputError: It is neither, or the treatment refuses its settings, or it is an ensemble.
        """
        if isinstance(choice, Part):
            return choice
        if isinstance(choice, str):
            choice = {"name": choice}
        if not isinstance(choice, Mapping) or not isinstance(choice.get("name"), str):
            raise InputError(
                f"`{setting}` must be a treatment's name, or a mapping with `name` and settings; got {choice!r}"
            )
        part = cls(choice["name"], {key: value for key, value in choice.items() if key != "name"})
        if part.name == "ensemble":
            raise InputError(f"`{setting}`: an ensemble trains nothing, so it is no part of another treatment")
        try:
            part.build()
        except InputError as error:
            raise InputError(f"`{setting}`: {error}") from None
        return part

    def build(self) -> ImbalanceTreatment:
        """The treatment."""
        return TREATMENTS.build(self.name, **self.settings)

    def __str__(self) -> str:
        stated = ", ".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        return f"{self.name} ({stated})" if stated else self.name
