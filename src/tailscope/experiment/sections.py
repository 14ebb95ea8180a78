"""What the sections of a configuration have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def named(value: Any) -> Any:
    """A bare name stands for a choice without settings."""
    return {"name": value} if isinstance(value, str) else value


class Section(BaseModel):
    """A section with these keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenSection(BaseModel):
    """A section whose further keys are the settings of the choice that it names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the named choice."""
        return dict(self.model_extra or {})
