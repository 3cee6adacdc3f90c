"""What the user has decided: which file, which model, how many threads, where models are kept.

A value comes from, in this order: the command line, an environment variable, the configuration file, the default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from vstore.config import CODES_MB, SLOW_SEARCH_MS
from vstore.errors import ConfigError, InputError
from vstore.paths import expanded
from vstore.types import DEFAULT_COLLECTION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its name in the file, its environment variable, what it means and its type."""

    name: str
    variable: str
    meaning: str
    kind: type = str


KEYS = (
    Key("db", "VSTORE_DB", "path of the store"),
    Key("model", "VSTORE_MODEL", "embedding model of new stores: a registered name or a model folder"),
    Key("collection", "VSTORE_COLLECTION", "collection that new documents go to"),
    Key("threads", "VSTORE_THREADS", "threads of the embedding model; 0 for all cores", int),
    Key("models", "VSTORE_MODELS", "folder where downloaded models are kept"),
    Key("log", "VSTORE_LOG", "whether queries are kept in the store, on or off", bool),
    Key("metrics", "VSTORE_METRICS", "whether searches are counted and timed in the store, on or off", bool),
    Key("codes_mb", "VSTORE_CODES_MB", "MiB of memory for the codes of vectors; 0 to read them from the file", int),
    Key("slow_ms", "VSTORE_SLOW_MS", "milliseconds after which a search is kept as slow; 0 for never", int),
)

_WANTED = {str: "a text", int: "a whole number", bool: "on or off"}
_SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def config_path() -> Path:
    """The configuration file; VSTORE_CONFIG overrides the platform's usual place."""
    override = os.environ.get("VSTORE_CONFIG")
    return Path(override) if override else Path(platformdirs.user_config_dir("vstore")) / "config.toml"


def defaults() -> dict[str, Any]:
    """The value each setting has when nobody decided."""
    return {
        "db": str(Path(platformdirs.user_data_dir("vstore")) / "memory.db"),
        "model": DEFAULT_MODEL,
        "collection": DEFAULT_COLLECTION,
        "threads": 0,
        "models": str(Path(platformdirs.user_cache_dir("vstore")) / "models"),
        "log": True,
        "metrics": True,
        "codes_mb": CODES_MB,
        "slow_ms": SLOW_SEARCH_MS,
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force; `sources` says for each name where its value came from."""

    db: Path
    model: str
    collection: str
    threads: int
    models: Path
    log: bool
    metrics: bool
    codes_mb: int
    slow_ms: int
    sources: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only: name -> value and source."""
        return {
            known.name: {
                "value": _plain(getattr(self, known.name)),
                "source": self.sources[known.name],
                "meaning": known.meaning,
            }
            for known in KEYS
        }


def load(db: str | None = None) -> Settings:
    """Read file and environment; `db` is the command line's. Raises ConfigError for a value that cannot be meant."""
    values = defaults()
    sources = dict.fromkeys(values, "default")
    for name, value in read_file().items():
        values[name], sources[name] = value, str(config_path())
    for known in KEYS:
        text = os.environ.get(known.variable)
        if text:
            values[known.name], sources[known.name] = _parse_from(known.variable, known.name, text), known.variable
    if db is not None:
        values["db"], sources["db"] = db, "--db"
    return Settings(
        db=_path(sources["db"], values["db"]),
        model=values["model"],
        collection=values["collection"],
        threads=values["threads"],
        models=_path(sources["models"], values["models"]),
        log=values["log"],
        metrics=values["metrics"],
        codes_mb=values["codes_mb"],
        slow_ms=values["slow_ms"],
        sources=sources,
    )


def _path(source: str, text: str) -> Path:
    try:
        return expanded(text)
    except InputError as error:
        raise ConfigError(f"{source}: {error}") from error


def read_file() -> dict[str, Any]:
    """The configuration file's values, checked; empty when there is no file."""
    source = str(config_path())
    return {name: _parse_from(source, name, value) for name, value in _read_unchecked().items()}


def _read_unchecked() -> dict[str, Any]:
    path = config_path()
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); correct or delete it") from error


def write_value(name: str, text: str | None) -> Path:
    """Set one value in the configuration file, or remove it (None). Returns the file's path.

    The other values are not checked, so that a bad one can be corrected or removed. Raises ConfigError when the name is
    unknown, the value does not fit, or the file cannot be read or written.
    """
    import tomli_w

    content = _read_unchecked()
    if text is not None:
        content[name] = parse(name, text)
    elif name in content:
        del content[name]
    else:
        key(name)
    path = config_path()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(tomli_w.dumps(content), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}); check its folder, or set VSTORE_CONFIG") from error
    return path


def parse(name: str, text: str) -> Any:
    """A setting's value from text. Raises ConfigError when the text does not fit."""
    if not text.strip():
        raise ConfigError(f"{name} is empty; give it a value, or remove it with: vstore config unset {name}")
    kind = key(name).kind
    if kind is bool and text.lower() in _SWITCH:
        return _SWITCH[text.lower()]
    if kind is bool:
        raise ConfigError(f"{name} is on or off, not {text!r}")
    if kind is not int:
        return text
    try:
        number = int(text)
    except ValueError as error:
        raise ConfigError(f"{name} is a whole number, not {text!r}") from error
    if number < 0:
        raise ConfigError(f"{name} is 0 or more, not {number}")
    return number


def _parse_from(source: str, name: str, value: Any) -> Any:
    """`parse` for a text or a TOML value; the error says where it stands."""
    try:
        if type(value) not in (str, key(name).kind):  # not isinstance(), which takes True for a whole number
            raise ConfigError(f"{name} is {_WANTED[key(name).kind]}, not {value!r}")
        return parse(name, str(value))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def key(name: str) -> Key:
    """A setting by its name. Raises ConfigError when there is none."""
    for known in KEYS:
        if known.name == name:
            return known
    raise ConfigError(f"there is no setting {name!r}; there are {', '.join(known.name for known in KEYS)}")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
