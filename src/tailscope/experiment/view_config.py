"""The section of a configuration that names label views: what training takes labels for, as a factor."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tailscope.data import DataSettings
from tailscope.data.policies import WRITTEN, require_policies
from tailscope.experiment.sections import Section

_Policy = Annotated[str, Field(pattern=WRITTEN)]


def _policies(value: Any) -> Any:
    """Refused here in one sentence; the union would name each of its members."""
    if value is not None:
        require_policies(value)
    return value


Policies = Annotated[_Policy | dict[str, _Policy], BeforeValidator(_policies)]
Unmentioned = Literal["negative", "ignore"]


def stated_view(value: Any) -> Any:
    """A bare policy stands for a view that differs in what becomes of uncertain labels."""
    return {"uncertain": value} if isinstance(value, str) else value


def view_arm(arm: str, view: str) -> str:
    """Label of an arm under a further view.

    >>> view_arm("focal", "ones")
    'focal [ones]'
    """
    return f"{arm} [{view}]"


class LabelViewSection(Section):
    """One view: labels of training and validation. What it does not state is as in ``data``."""

    uncertain: Annotated[Policies | None, BeforeValidator(_policies)] = None
    unmentioned: Unmentioned | None = None
    label_readers: str | None = None
    label: str | None = Field(None, min_length=1)

    @property
    def stated(self) -> dict[str, Any]:
        """The settings in which the view may differ from ``data``."""
        of = {"uncertain": self.uncertain, "unmentioned": self.unmentioned, "label_readers": self.label_readers}
        return {key: value for key, value in of.items() if value is not None}

    @property
    def name(self) -> str:
        """The label, by default the policy for uncertain labels, and the other settings by name."""
        if self.label is not None:
            return self.label
        told = [_told(key, value) for key, value in self.stated.items()]
        return ", ".join(told) or "as in data"

    def settings(self, base: DataSettings) -> DataSettings:
        """The settings of ``data`` with those of the view.

        Raises:
            InputError: They do not go together.
        """
        return replace(base, **self.stated)


def _told(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={policy}" for name, policy in value.items())
    return str(value) if key == "uncertain" else f"{key}={value}"
