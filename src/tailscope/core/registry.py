"""Look up a named choice and build it from its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Generic, ParamSpec, TypeVar

from tailscope.core.errors import InputError, UnknownNameError

Built = TypeVar("Built")
Settings = ParamSpec("Settings")


def nearest(name: str, known: tuple[str, ...]) -> str:
    """The end of an error message: the nearest known name, if one is near, and all of them.

    >>> nearest("focla", ("control", "focal"))
    "; did you mean 'focal'? Known: control, focal"
    """
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known) or 'none'}"


class Registry(Generic[Built]):
    """Choices of one kind, by name.

    A choice is a frozen dataclass: its fields are its settings and calling it does the work. Other packages add
    theirs through the entry-point group ``tailscope.<kind>``.

    Args:
        kind: The word for one choice, e.g. ``"treatment"``; it stands in every message.

    Example:
        >>> import dataclasses
        >>> speeds: Registry[Callable[[], int]] = Registry("speed")
        >>> @speeds.register("walk")
        ... @dataclasses.dataclass(frozen=True)
        ... class Walk:
        ...     '''Go at a walking pace, in km/h.'''
        ...     pace: int = 5
        ...     def __call__(self) -> int:
        ...         return self.pace
        >>> speeds.build("walk", pace=6)()
        6
        >>> speeds.build("wlak")
        Traceback (most recent call last):
            ...
        tailscope.core.errors.UnknownNameError: no speed is named 'wlak'; did you mean 'walk'? Known: walk
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._choices: dict[str, Callable[..., Built]] = {}
        self._plugins_read = False

    def register(self, name: str) -> Callable[[Callable[Settings, Built]], Callable[Settings, Built]]:
        """Give a class its name; a taken name, a mutable class or a missing docstring is refused."""

        def add(choice: Callable[Settings, Built]) -> Callable[Settings, Built]:
            if name in self._choices:
                raise ValueError(f"{self.kind} {name!r} is taken by {self._choices[name]!r}; choose another name")
            if not _is_frozen_dataclass(choice):
                raise TypeError(f"{self.kind} {name!r} must be a frozen dataclass, so that its settings are on record")
            if not _has_own_docstring(choice):
                raise TypeError(f"{self.kind} {name!r} has no docstring; say what it computes and where it comes from")
            self._choices[name] = choice
            return choice

        return add

    def find(self, name: str) -> Callable[..., Built]:
        """The class called ``name``.

        Raises:
            UnknownNameError: No choice has this name; the nearest is proposed.
        """
        if name not in self._choices:
            self._read_plugins()
        if name not in self._choices:
            raise UnknownNameError(f"no {self.kind} is named {name!r}{nearest(name, self.names())}")
        return self._choices[name]

    def settings(self, name: str) -> tuple[str, ...]:
        """The names of the settings of the choice called ``name``."""
        return tuple(inspect.signature(self.find(name)).parameters)

    def build(self, name: str, /, **settings: Any) -> Built:
        """Make the choice called ``name``, with these settings.

        Raises:
            UnknownNameError: No choice has this name.
            InputError: The choice has no such setting, refuses its value, or needs one that is missing.
        """
        choice = self.find(name)
        accepted = self.settings(name)
        if stray := sorted(set(settings) - set(accepted)):
            hint = nearest(stray[0], accepted)
            raise InputError(f"{self.kind} {name!r} has no setting {', '.join(map(repr, stray))}{hint}")
        if missing := [key for key in self._mandatory(name) if key not in settings]:
            raise InputError(f"{self.kind} {name!r} needs the setting {', '.join(map(repr, missing))}; state it")
        return choice(**settings)

    def _mandatory(self, name: str) -> list[str]:
        parameters = inspect.signature(self.find(name)).parameters.values()
        return [one.name for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]

    def names(self) -> tuple[str, ...]:
        """Every known name, sorted."""
        self._read_plugins()
        return tuple(sorted(self._choices))

    def _read_plugins(self) -> None:
        if not self._plugins_read:
            self._plugins_read = True
            for entry in entry_points(group=f"tailscope.{self.kind}"):
                choice = entry.load()
                if self._choices.get(entry.name) is not choice:  # loading it may have registered it already
                    self.register(entry.name)(choice)


def _is_frozen_dataclass(choice: object) -> bool:
    params = getattr(choice, "__dataclass_params__", None)
    return isinstance(choice, type) and params is not None and bool(params.frozen)


def _has_own_docstring(choice: object) -> bool:
    doc = getattr(choice, "__doc__", None)
    name = getattr(choice, "__name__", "")
    return bool(doc) and not str(doc).startswith(f"{name}(")  # a dataclass without one gets its signature
