"""Configuration files of `trkx train STAGE`: TOML, checked before anything is trained.

    target = "pt1"
    out = "filter"                  # weights: filter.safetensors, card: filter.json
    events = 200                    # number of events ...
    chunk = 50                      # ... of which each epoch uses so many; left out: all
    input = ["train"]               # folders of events; or a table [simulation]

    [simulation]                    # made as they are needed: settings of `trkx simulate`
    seed = 1
    pileup = 60.0

    [before.graph_construction]     # stages before the one that is trained, as in pipeline files
    stage = "metric_learning"
    weights = "embedding"

    [use]                           # settings of the stage itself, for scores
    cut = 0.1

    [after.track_building]          # stages after it, for scores: efficiency while it trains
    stage = "walkthrough"

    [validation]                    # events for scores: input or simulation, as above
    input = ["validation"]

    [network]                       # shape of the network
    [data]                          # what it reads and is taught
    [optimisation]                  # FitSettings

In place of [before], [use] and [after], `pipeline = "file.toml"` takes a pipeline file, in which
the stage that is trained stands in its place. Weights in [before] and [after] are looked for in
the folder of --out, those of a pipeline file beside it; folders of events in the current folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from trkx.algorithms.training_events import EventSelection
from trkx.algorithms.training_input import PT_MIN
from trkx.io.errors import ConfigError, InputFileError, nearest_name
from trkx.plugin.pipeline_file import TABLES, PipelineFile
from trkx.plugin.registry import find_stage
from trkx.plugin.stage_settings import read_settings
from trkx.plugin.training.settings import FitSettings

__all__ = ["StageSpec", "TrainingFile"]

_EVENT_KEYS = ("input", "events", "chunk", "keep", "simulation")
_STAGE_TABLES = ("before", "use", "after", "network", "data", "optimisation", "validation")
_KEYS = ("stage", "target", "out", "pipeline", *_EVENT_KEYS, *_STAGE_TABLES)


@dataclass(frozen=True)
class StageSpec:
    """A stage before or after the one that is trained."""

    kind: str  # of registry.KINDS
    stage: str
    settings: Mapping[str, Any]
    folder: Path | None = None  # of the files it names; None: that of the training's output


@dataclass(frozen=True)
class TrainingFile:
    """A configuration that has been read and checked."""

    path: Path
    stage: str
    content: Mapping[str, Any]  # as written, for the card
    target: str = "pt1"
    out: str = ""  # name of the weights; '': that of the stage
    events: EventSelection | None = None
    validation: EventSelection | None = None
    before: tuple[StageSpec, ...] = ()
    after: tuple[StageSpec, ...] = ()
    use: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    fit: FitSettings = field(default_factory=FitSettings)

    @property
    def pt_min(self) -> float:
        """GeV, of the tracks that are wanted."""
        return PT_MIN[self.target]

    @classmethod
    def read(
        cls,
        path: Path,
        stage: str,
        changes: Sequence[str] = (),
        inputs: Sequence[str] | None = None,
    ) -> Self:
        """Read a configuration.

        Args:
            path: the TOML file.
            stage: stage that is to be trained; the file must not be for another.
            changes: settings to change, such as 'optimisation.epochs=3'.
            inputs: folders of events in place of those of the file.

        Raises:
            ConfigError, InputFileError: what is wrong, and in which file.
            StageError: no such stage or pipeline, or a bad setting of the optimisation.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputFileError(f"configuration {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration {path}: not TOML: {error}") from error
        for change in changes:
            _change(content, change)
        if inputs is not None:
            content = {k: v for k, v in content.items() if k != "simulation"}
            content["input"] = list(inputs)
        try:
            return cls(path=path, stage=stage, content=content, **_checked(content, stage))
        except ConfigError as error:
            raise ConfigError(f"configuration {path}: {error}") from error


def _change(content: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {change}: give NAME=VALUE, such as optimisation.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a string without its quotes
    *tables, last = name.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {change}: '{table}' is no table")
    content[last] = value


def _checked(content: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Fields of `TrainingFile`."""
    for key in content:
        if key not in _KEYS:
            near = nearest_name(key, _KEYS)
            hint = f"; did you mean '{near}'?" if near else "."
            raise ConfigError(f"unknown key '{key}'{hint} Known: {', '.join(_KEYS)}")
    for key in (*_STAGE_TABLES, "simulation"):
        if not isinstance(content.get(key, {}), Mapping):
            raise ConfigError(f"'{key}' is {content[key]!r}; expected a table [{key}]")
    if content.get("stage", stage) != stage:
        raise ConfigError(f"is for stage '{content['stage']}', not '{stage}'")
    target = content.get("target", "pt1")
    if target not in PT_MIN:
        raise ConfigError(f"target is {target!r}; choose one of {', '.join(PT_MIN)}")
    out = content.get("out", stage)
    if not isinstance(out, str):
        raise ConfigError(f"out is {out!r}; expected the name of the weights")
    before, use, after = _stages(content, stage)
    validation = content.get("validation")
    return {
        "target": target,
        "out": out,
        "events": _selection(content, "at the top"),
        "validation": None if validation is None else _selection(validation, "[validation]"),
        "before": before,
        "after": after,
        "use": {k: v for k, v in use.items() if k != "weights"},
        "network": content.get("network", {}),
        "data": content.get("data", {}),
        "fit": read_settings(FitSettings, content.get("optimisation", {}), "[optimisation]"),
    }


def _selection(table: Mapping[str, Any], where: str) -> EventSelection:
    values = {key: table[key] for key in _EVENT_KEYS if key in table}
    if where == "[validation]":
        for key in table:
            if key not in values:
                raise ConfigError(f"[validation]: unknown key '{key}'")
    inputs = values.get("input", [])
    if isinstance(inputs, str):
        inputs = [inputs]
    for key in ("events", "chunk"):
        if type(values.get(key, 0)) is not int:
            raise ConfigError(f"{where}: {key} is {values[key]!r}; expected a whole number")
    try:
        return EventSelection(**{**values, "input": tuple(inputs)})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _stages(
    content: Mapping[str, Any], stage: str
) -> tuple[tuple[StageSpec, ...], Mapping[str, Any], tuple[StageSpec, ...]]:
    """Stages before, settings of the stage itself, stages after."""
    name = content.get("pipeline")
    if name is None:
        before = _specs(content.get("before", {}), "before")
        return before, content.get("use", {}), _specs(content.get("after", {}), "after")
    for key in ("before", "after"):
        if key in content:
            raise ConfigError(f"give either pipeline or [{key}], not both")
    file = PipelineFile.read(name)
    names = [table.stage for table in file.stages]
    if stage not in names:
        raise ConfigError(
            f"pipeline '{name}' has no stage '{stage}', so that it has no place there; its stages "
            f"are {', '.join(names)}"
        )
    place = names.index(stage)
    specs = [StageSpec(t.kind, t.stage, t.settings, file.path.parent) for t in file.stages]
    use = {**file.stages[place].settings, **content.get("use", {})}
    return tuple(specs[:place]), use, tuple(specs[place + 1 :])


def _specs(tables: Mapping[str, Any], where: str) -> tuple[StageSpec, ...]:
    """Stages of [before] or [after], in the order they run."""
    specs = []
    for key in tables:
        if key not in TABLES:
            raise ConfigError(f"[{where}]: unknown table '{key}'. Known: {', '.join(TABLES)}")
    for key, kind in TABLES.items():
        found = tables.get(key, [])
        for table in found if isinstance(found, list) else [found]:
            if not isinstance(table, Mapping) or not isinstance(table.get("stage"), str):
                raise ConfigError(f"[{where}.{key}]: no key 'stage' with the name of a stage")
            find_stage(kind, table["stage"])
            settings = {k: v for k, v in table.items() if k != "stage"}
            specs.append(StageSpec(kind, table["stage"], settings))
    return tuple(specs)
