"""Configs by their suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from losslang.config import form, tree
from losslang.config.tree import Node
from losslang.sema.unit import Unit
from losslang.source import Source

SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def is_config(path: Path) -> bool:
    """Whether a file is a config, by its name."""
    return path.suffix.lower() in SUFFIXES


def from_file(source: Source, file: Path) -> Unit:
    """The objective of a config file; modules that it uses lie beside it.

    Raises:
        LosslangError: LL07xx for what is wrong with the config, and syntax errors, each in its place.
    """
    return form.unit(_reader(file.suffix.lower())(source), file)


def from_mapping(mapping: Mapping[Any, Any]) -> Unit:
    """The objective of a config that was read already: a mapping of Python.

    Raises:
        LosslangError: as `from_file`.
    """
    return form.unit(tree.from_python(mapping))


def _reader(suffix: str) -> Callable[[Source], Node]:
    """Readers load what they need when they are needed."""
    if suffix == ".toml":
        from losslang.config import toml_reader

        return toml_reader.read
    if suffix == ".json":
        from losslang.config import json_reader

        return json_reader.read
    from losslang.config import yaml_reader

    return yaml_reader.read
