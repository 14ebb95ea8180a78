"""Read a configuration from YAML, apply ``--set``, and say all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tailscope.core import ConfigurationError, InputError, nearest
from tailscope.experiment.config import ExperimentConfig

# for people who do not know pydantic's types
_EXPECTED = {
    "dataclass_type": "expected keys of its own, such as `key: value`",
    "model_type": "expected keys of its own, such as `key: value`",
    "string_pattern_mismatch": "expected letters, digits, dot, dash and underscore, the first a letter or digit",
    "too_short": "expected one at least",
    "tuple_type": "expected a list such as [a, b]",
}

_PATHS = {"data": ("root", "cache"), "model": ("path", "training_list")}
_TEST_PATHS = ("root",)

Place = tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]


def load_config(path: Path, overrides: tuple[str, ...] = (), *, tune: bool = False) -> ExperimentConfig:
    """Read and validate a configuration; its relative paths are relative to its file.

    Args:
        path: A YAML file.
        overrides: ``key.key=value`` each, the value in YAML, applied before validation; paths in them are relative
            to the working directory.
        tune: Search each arm's learning rate and main parameter; a ``tune`` section that is there is kept.

    Returns:
        The configuration with absolute paths.

    Raises:
        ConfigurationError: Lists every problem.
    """
    content = _read(path)
    _anchor(content, path.resolve().parent)
    stated: dict[str, Any] = {}
    for override in overrides:
        _apply(content, override)
        _apply(stated, override)
    _anchor(stated, Path.cwd())
    given = {address: place for address, place, _ in _places(stated)}
    for address, place, keys in _places(content):
        place.update({key: given[address][key] for key in keys if key in given.get(address, {})})
    if tune and content.get("tune") is None:
        content["tune"] = {}
    return validate_config(content)


def validate_config(content: dict[str, Any]) -> ExperimentConfig:
    """Validate a configuration given as plain values.

    Raises:
        ConfigurationError: Lists every problem.
    """
    try:
        return ExperimentConfig.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        places = [problem["loc"] for problem in problems]
        # A list whose members are all wrong is "too short" as well; the members say what is the matter.
        told = [
            problem
            for problem in problems
            if problem["type"] != "too_short" or not any(_is_inside(place, problem["loc"]) for place in places)
        ]
        raise ConfigurationError([_sentence(problem) for problem in told]) from None


def dump_config(config: ExperimentConfig) -> dict[str, Any]:
    """The configuration as resolved, all defaults written out, as plain values."""
    return config.model_dump(mode="json")


def public_yaml(config: ExperimentConfig) -> str:
    """The same without the places of this machine: of paths, only the last name stays."""
    content = dump_config(config)
    for _, place, keys in _places(content):
        for key in keys:
            if isinstance(place.get(key), str):
                place[key] = Path(place[key]).name
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def config_yaml(config: ExperimentConfig) -> str:
    """The resolved configuration as YAML text."""
    return yaml.safe_dump(dump_config(config), sort_keys=False, allow_unicode=True)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigurationError(f"{path} is no file; give the path of an experiment's YAML file (`tailscope init`)")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold keys such as `data` and `model`; got {type(content).__name__}")
    return content


def _places(content: dict[str, Any]) -> list[Place]:
    """The sections that may hold paths: address, keys and values, and which keys are paths."""
    found: list[Place] = [((name,), content[name], keys) for name, keys in _PATHS.items() if _has_keys(content, name)]
    tests = content.get("test_on") or {}
    numbered = tests if isinstance(tests, dict) else {str(number): one for number, one in enumerate(tests)}
    return found + [(("test_on", key), numbered[key], _TEST_PATHS) for key in numbered if _has_keys(numbered, key)]


def _has_keys(place: dict[str, Any], name: str) -> bool:
    return isinstance(place.get(name), dict)


def _anchor(content: dict[str, Any], folder: Path) -> None:
    for _, place, keys in _places(content):
        for key in keys:
            if isinstance(place.get(key), str):
                place[key] = str((folder / Path(place[key]).expanduser()).resolve())


def _apply(content: dict[str, Any], override: str) -> None:
    address, sign, text = override.partition("=")
    if not sign or not address:
        raise ConfigurationError(f"--set {override!r}: expected key.key=value, e.g. training.epochs=2")
    *parents, last = address.split(".")
    place = content
    for key in parents:
        place = _entered(place, key)
        if not isinstance(place, dict | list):
            raise ConfigurationError(f"--set {override!r}: `{key}` holds no keys of its own; set it as a whole")
    if not isinstance(place, dict):
        raise ConfigurationError(f"--set {override!r}: `{parents[-1]}` is a list; set it as a whole")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"--set {override!r}: {text!r} is not YAML; put quotes around it") from None


def _entered(place: Any, key: str) -> Any:
    """What stands under a key, or at a number of a list; a section that is off is turned on."""
    if isinstance(place, list):
        return place[int(key)] if key.isdecimal() and int(key) < len(place) else None
    if place.get(key) is None:
        place[key] = {}
    return place[key]


def _sentence(problem: Any) -> str:
    location, kind = problem["loc"], problem["type"]
    where = ".".join(str(part) for part in location)
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"`{where}` is no setting{nearest(str(location[-1]), _known(location[:-1]))}"
    if kind == "missing":
        return f"`{where}` is missing; state it"
    if kind == "value_error":
        return f"`{where}`: {problem['ctx']['error']}" if where else str(problem["ctx"]["error"])
    expected = _EXPECTED.get(kind) or problem["msg"][0].lower() + problem["msg"][1:]
    return f"`{where}`: {expected}; got {problem['input']!r}"


def _is_inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _known(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Names of the settings at one place of the configuration."""
    place: Any = ExperimentConfig
    for key in location:
        fields = _fields(place)
        if isinstance(key, int) or key not in fields:
            continue
        place = next((kind for kind in _inside(fields[key]) if _fields(kind)), None)
    return tuple(_fields(place))


def _inside(annotation: Any) -> Iterator[Any]:
    """An annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _inside(part)


def _fields(place: Any) -> dict[str, Any]:
    if isinstance(place, type) and issubclass(place, BaseModel):
        return {name: field.annotation for name, field in place.model_fields.items()}
    return dict(getattr(place, "__annotations__", {})) if hasattr(place, "__dataclass_fields__") else {}


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration, for editors."""
    return ExperimentConfig.model_json_schema()


def require_folder(path: Path) -> Path:
    """An experiment folder that exists.

    Raises:
        InputError: It holds no ``experiment.yaml``.
    """
    if not (path / "experiment.yaml").is_file():
        if path.parent.name == "test_on":
            whole = path.parent.parent
            raise InputError(f"{path} is a further test of an experiment, and made with it; give its folder, {whole}")
        raise InputError(f"{path} is no experiment folder: it holds no experiment.yaml; `tailscope run` makes one")
    return path
