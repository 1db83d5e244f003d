"""Settings of stages: tables of a pipeline file become frozen dataclasses, checked once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from trkx.plugin.errors import StageError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class StageContext:
    """What a stage is built with besides its own settings."""

    folder: Path = field(default_factory=Path)  # of the pipeline file; paths in it are relative
    device: str = "cpu"  # 'cpu' or 'cuda'
    target: str = "pt1"
    stage: str = ""  # name of the stage in the pipeline file
    model: Path | None = None  # folder of 'trkx train' instead of the shipped model

    def path(self, name: str) -> Path:
        """A file that the pipeline file names."""
        return self.folder / name


def read_settings(
    kind: type[Settings], table: Mapping[str, Any], stage: str, ignore: tuple[str, ...] = ()
) -> Settings:
    """Make the dataclass `kind` from a table of settings.

    Args:
        kind: a dataclass; its `__post_init__` may raise ValueError.
        table: settings by name.
        stage: name of the stage, for messages.
        ignore: names that are for someone else.

    Raises:
        StageError: an unknown name, with the nearest known one; a value of the wrong type or range.
    """
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in ignore:
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise StageError(
                f"stage '{stage}': no setting '{name}'{hint} Known: {', '.join(known)}"
            )
        default = known[name].default
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(default, (bool, int, float, str)) and type(value) is not type(default):
            raise StageError(
                f"stage '{stage}': setting '{name}' is {value!r}; expected "
                f"{type(default).__name__}, such as {default!r}"
            )
        values[name] = value
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise StageError(f"stage '{stage}': {error}") from error
