"""Pipelines from TOML files: three tables of stages and their settings, checked before use.

    name = "mine"
    description = "one sentence"
    target = "pt1"                  # or a list; the first is the default

    [graph_construction]
    stage = "layer_map"

    [[edge_classification]]         # none, one or several, in their order
    stage = "fast"

    [track_building]
    stage = "viterbi"

    [shared_clusters]               # optional: see `trkx.plugin.shared_clusters`
    max_tracks = 1

What else a table holds are settings of its stage. Files that it names are relative to the TOML
file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trkx.plugin.errors import StageError, TrackFindingError, need
from trkx.plugin.pipeline import Pipeline, Resolver
from trkx.plugin.registry import OWN_PACKAGE, find_stage
from trkx.plugin.stage_settings import StageContext
from trkx.plugin.weights import TARGETS

SHIPPED_PIPELINES = Path(__file__).parent / "pipelines"
# Table of the file → kind of stage.
TABLES = {
    "graph_construction": "graph_constructors",
    "edge_classification": "edge_classifiers",
    "track_building": "track_builders",
}
# Stages that read a model folder ('trkx train' without a stage) rather than weights of their own.
MODEL_STAGES = ("layer_map", "fast")
SHARED_CLUSTERS = "shared_clusters"
_KEYS = ("name", "description", "target", *TABLES, SHARED_CLUSTERS)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class StageTable:
    """One stage of a pipeline file."""

    label: str  # the table, as messages call it
    kind: str  # of registry.KINDS
    stage: str  # name in the registry
    settings: Mapping[str, Any]  # of the stage


@dataclass(frozen=True)
class PipelineFile:
    """A pipeline file that has been read and checked; no stage is loaded yet."""

    path: Path
    name: str
    description: str
    targets: tuple[str, ...]  # that it is made for; the first is the default
    graph_construction: StageTable
    edge_classification: tuple[StageTable, ...]
    track_building: StageTable
    shared_clusters: Mapping[str, Any] | None = None  # settings; None: clusters may be shared

    @property
    def stages(self) -> tuple[StageTable, ...]:
        """All stages, in the order they run."""
        return (self.graph_construction, *self.edge_classification, self.track_building)

    @property
    def where(self) -> str:
        """How messages call it."""
        return f"pipeline '{self.name}'" if self.is_shipped else f"pipeline file {self.path}"

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with trkx."""
        return self.path.resolve().parent == SHIPPED_PIPELINES.resolve()

    @property
    def reads_model(self) -> bool:
        """Whether a stage reads the model folder of its target: maps and networks of one kind."""
        return any(table.stage in MODEL_STAGES for table in self.stages)

    @classmethod
    def read(cls, source: Path | str) -> PipelineFile:
        """Read a file, or the shipped pipeline of that name.

        Raises:
            StageError: no such file or pipeline, not TOML, or a bad table; names file and table.
        """
        path = find_pipeline_file(source)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StageError(f"pipeline file {path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StageError(f"pipeline file {path}: not TOML: {error}") from error
        try:
            return cls(path=path, **_checked(content))
        except StageError as error:
            raise StageError(f"pipeline file {path}{error}") from error

    def check_target(self, target: str | None) -> str:
        """The target asked for, or the default one.

        Raises:
            StageError: the pipeline is not made for it.
        """
        if target is None:
            return self.targets[0]
        if target not in self.targets:
            raise StageError(
                f"{self.where}: made for target {' and '.join(self.targets)}, not for '{target}'; "
                f"pass --target {self.targets[0]}, or choose another pipeline"
            )
        return target

    def build(
        self, device: str = "cpu", target: str | None = None, model: Path | str | None = None
    ) -> Pipeline:
        """Make the pipeline with its maps and networks.

        Args:
            device: 'cpu' or 'cuda', for the networks.
            target: 'pt1' or 'pt05'; None: the file's first.
            model: folder of 'trkx train' for stages that read the shipped model otherwise.

        Raises:
            StageError: a bad setting, names file and table.
            WeightsError, DeviceError, MissingExtraError: see there.
        """
        target = self.check_target(target)
        folder = Path(model) if model is not None else None
        constructor, *classifiers, builder = (
            self.make_stage(table, device, target, folder) for table in self.stages
        )
        return Pipeline(
            graph_constructor=constructor,
            edge_classifiers=classifiers,
            track_builder=builder,
            meta={
                "pipeline": self.name,
                "target": target,
                "stages": [{"stage": t.stage, **t.settings} for t in self.stages],
            },
            shared_clusters=self._resolver(),
        )

    def _resolver(self) -> Resolver | None:
        if self.shared_clusters is None:
            return None
        need("numba", "local", f"[{SHARED_CLUSTERS}]")
        from trkx.plugin.shared_clusters import SharedClusters

        try:
            return SharedClusters.from_settings(self.shared_clusters)
        except StageError as error:
            raise StageError(f"{self.where}: {error}") from error

    def make_stage(
        self, table: StageTable, device: str, target: str, model: Path | None = None
    ) -> Any:
        """One stage with its map or network; arguments and errors as for `build`."""
        context = StageContext(
            folder=self.path.parent, device=device, target=target, stage=table.stage, model=model
        )
        try:
            entry = find_stage(table.kind, table.stage)
            kind: Any = entry.load()
            try:
                return kind.from_settings(table.settings, context)
            except TrackFindingError:
                raise
            except Exception as error:
                if entry.package == OWN_PACKAGE:
                    raise
                raise StageError(
                    f"stage '{entry.name}' of {entry.origin} failed: {type(error).__name__}: "
                    f"{error}"
                ) from error
        except TrackFindingError as error:
            raise type(error)(f"{self.where}, {table.label}: {error}") from error


def shipped_pipelines() -> list[str]:
    """Names of the pipelines that come with trkx."""
    return sorted(path.stem for path in SHIPPED_PIPELINES.glob("*.toml"))


def find_pipeline_file(source: Path | str) -> Path:
    """The path of a pipeline file, or of the shipped pipeline of that name.

    Raises:
        StageError: neither is there; with the nearest name.
    """
    path = Path(source)
    if str(source) in shipped_pipelines():
        return SHIPPED_PIPELINES / f"{source}.toml"
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise StageError(f"pipeline file {path}: {what}")
    raise StageError(
        f"no pipeline '{source}'{_nearest(str(source), shipped_pipelines())} "
        f"Shipped: {', '.join(shipped_pipelines())}. For a file of your own give its path, "
        f"such as {source}.toml"
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else "."


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `PipelineFile` from the content of a file; messages begin after its name."""
    for key in content:
        if key not in _KEYS:
            raise StageError(
                f": unknown key '{key}'{_nearest(key, _KEYS)} Known: {', '.join(_KEYS)}"
            )
    name = content.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        found = "none" if name is None else repr(name)
        raise StageError(
            f": key 'name' is {found}; give one of small letters, digits and underscores, such as "
            'name = "mine"'
        )
    description = content.get("description", "")
    if not isinstance(description, str):
        raise StageError(f": key 'description' is {description!r}; expected a sentence in quotes")
    wanted = content.get("target", TARGETS[0])
    targets = tuple(wanted) if isinstance(wanted, list) else (wanted,)
    if not targets or any(target not in TARGETS for target in targets):
        raise StageError(f": key 'target' is {wanted!r}; expected {' or '.join(TARGETS)}, or both")
    classifiers = content.get("edge_classification", [])
    if isinstance(classifiers, Mapping):  # [edge_classification] for [[edge_classification]]
        classifiers = [classifiers]
    if not isinstance(classifiers, list):
        raise StageError(f": 'edge_classification' is {classifiers!r}; expected a table")
    shared = content.get(SHARED_CLUSTERS)
    if shared is not None and not isinstance(shared, Mapping):
        raise StageError(f": '{SHARED_CLUSTERS}' is {shared!r}; expected a table of settings")
    return {
        "name": name,
        "description": description,
        "targets": targets,
        "graph_construction": _table("graph_construction", content.get("graph_construction")),
        "edge_classification": tuple(
            _table("edge_classification", table, number if len(classifiers) > 1 else None)
            for number, table in enumerate(classifiers, start=1)
        ),
        "track_building": _table("track_building", content.get("track_building")),
        "shared_clusters": shared,
    }


def _table(key: str, table: Any, number: int | None = None) -> StageTable:
    brackets = f"[[{key}]]" if key == "edge_classification" else f"[{key}]"
    label = brackets if number is None else f"{brackets} number {number}"
    if table is None:
        raise StageError(f": no table {label}; every pipeline needs one")
    if not isinstance(table, Mapping):
        raise StageError(f": '{key}' is {table!r}; expected a table {label} with a key 'stage'")
    settings = dict(table)
    stage = settings.pop("stage", None)
    if not isinstance(stage, str):
        found = "no key 'stage'" if stage is None else f"key 'stage' is {stage!r}"
        raise StageError(f", {label}: {found}; name the stage, as `trkx stages` lists them")
    try:
        find_stage(TABLES[key], stage)
    except StageError as error:
        raise StageError(f", {label}: {error}") from None
    return StageTable(label, TABLES[key], stage, settings)
