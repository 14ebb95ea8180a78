from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from tailscope.core import InputError, Registry, UnknownNameError
from tailscope.core import registry as registry_module


@dataclass(frozen=True)
class Walk:
    """Go at a walking pace."""

    pace: int = 5
    name: str = "slow"

    def __call__(self) -> int:
        return self.pace


@pytest.fixture
def speeds() -> Registry[Callable[[], int]]:
    registry: Registry[Callable[[], int]] = Registry("speed")
    registry.register("walk")(Walk)
    return registry


def test_a_choice_is_built_with_its_settings(speeds):
    assert speeds.build("walk", pace=7)() == 7


def test_a_setting_may_be_called_name(speeds):
    assert speeds.build("walk", name="fast").name == "fast"


def test_an_unknown_name_proposes_the_nearest_and_lists_all(speeds):
    with pytest.raises(UnknownNameError, match=r"no speed is named 'wlak'; did you mean 'walk'\? Known: walk"):
        speeds.build("wlak")


def test_an_unknown_name_is_a_key_error_and_an_input_error(speeds):
    with pytest.raises(KeyError):
        speeds.find("x")
    with pytest.raises(InputError):
        speeds.find("x")


def test_a_stray_setting_is_named_with_the_nearest(speeds):
    with pytest.raises(InputError, match=r"speed 'walk' has no setting 'pacee'; did you mean 'pace'\?"):
        speeds.build("walk", pacee=3)


def test_a_missing_setting_is_named(speeds):
    @speeds.register("run")
    @dataclass(frozen=True)
    class Run:
        """Go at a stated pace."""

        pace: int

        def __call__(self) -> int:
            return self.pace

    with pytest.raises(InputError, match="speed 'run' needs the setting 'pace'; state it"):
        speeds.build("run")
    assert speeds.build("run", pace=3)() == 3


def test_a_taken_name_is_refused(speeds):
    with pytest.raises(ValueError, match="speed 'walk' is taken by"):
        speeds.register("walk")(Walk)


def test_a_class_that_is_not_frozen_is_refused(speeds):
    @dataclass
    class Run:
        """Run."""

    with pytest.raises(TypeError, match="speed 'run' must be a frozen dataclass"):
        speeds.register("run")(Run)


def test_a_class_without_docstring_is_refused(speeds):
    @dataclass(frozen=True)
    class Run:
        pace: int = 1

    with pytest.raises(TypeError, match="speed 'run' has no docstring"):
        speeds.register("run")(Run)


def test_other_packages_add_choices_through_entry_points(speeds, monkeypatch):
    def found(group: str) -> list[EntryPoint]:
        assert group == "tailscope.speed"
        return [EntryPoint("stroll", f"{__name__}:Walk", group)]

    monkeypatch.setattr(EntryPoint, "load", lambda self: Walk)
    monkeypatch.setattr(registry_module, "entry_points", found)
    assert speeds.build("stroll")() == 5
    assert speeds.names() == ("stroll", "walk")


def test_a_plugin_may_register_itself_when_it_is_loaded(speeds, monkeypatch):
    def load(entry: EntryPoint) -> type[Walk]:
        return speeds.register("stroll")(Walk)

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [EntryPoint("stroll", "x:Walk", group)])
    assert speeds.names() == ("stroll", "walk")


def test_a_plugin_cannot_replace_a_built_in(speeds, monkeypatch):
    monkeypatch.setattr(EntryPoint, "load", lambda entry: type("Other", (Walk,), {"__doc__": "Other."}))
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [EntryPoint("walk", "x:Other", group)])
    with pytest.raises(ValueError, match="speed 'walk' is taken by"):
        speeds.names()
