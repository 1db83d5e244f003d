"""Stages by name: those of trkx, and those that other packages add through entry points.

A package adds a stage with an entry point of the group `trkx.<kind>`, whose value is the class:

    [project.entry-points."trkx.track_builders"]
    my_builder = "my_package.my_module:MyBuilder"

The class needs `from_settings(settings, context)` and is called as `trkx.plugin.stages` says.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trkx.plugin.errors import MissingExtraError, StageError, need

KINDS = ("graph_constructors", "edge_classifiers", "track_builders")
OWN_PACKAGE = "trkx"

# Name → (module:class, modules of the extra 'local' that it needs).
_NUMBA, _TORCH = ("numba",), ("torch", "safetensors")
_EDGE_NETWORK = ("trkx.plugin.edge_network:EdgeNetworkClassifier", _TORCH)
_FOREIGN_NETWORK = ("trkx.plugin.foreign_networks:ForeignEdgeClassifier", _TORCH)
# One class serves all edge networks; what they are, the networks say.
_DESCRIBED = {
    "filter": "trkx.plugin.filter_mlp:FilterMlp",
    "interaction_gnn": "trkx.plugin.interaction_gnn:InteractionGnn",
    "attention_gnn": "trkx.plugin.attention_gnn:AttentionGnn",
    "heterogeneous_gnn": "trkx.plugin.heterogeneous_gnn:HeterogeneousGnn",
}
BUILT_IN: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "graph_constructors": {
        "layer_map": ("trkx.plugin.layer_map_graph:LayerMapGraph", _NUMBA),
        "metric_learning": ("trkx.plugin.metric_learning:MetricLearning", (*_TORCH, *_NUMBA)),
        "exatrkx": ("trkx.plugin.exatrkx_graph:ExatrkxGraph", (*_TORCH, *_NUMBA)),
        "module_map": ("trkx.plugin.module_map_graph:ModuleMapGraph", _NUMBA),
        "geometric": ("trkx.plugin.geometric_cuts:GeometricCuts", ()),
        "graph_files": ("trkx.plugin.graph_files:GraphFiles", ()),
        "displaced": ("trkx.plugin.displaced_graph:DisplacedGraph", _NUMBA),
        "second_pass": ("trkx.plugin.second_pass:SecondPass", _NUMBA),
    },
    "edge_classifiers": {
        "fast": ("trkx.plugin.network_classifier:NetworkClassifier", ("safetensors", *_NUMBA)),
        "filter": _EDGE_NETWORK,
        "interaction_gnn": _EDGE_NETWORK,
        "attention_gnn": _EDGE_NETWORK,
        "heterogeneous_gnn": _EDGE_NETWORK,
        "torchscript": _FOREIGN_NETWORK,
        "onnx": _FOREIGN_NETWORK,
    },
    "track_builders": {
        "viterbi": ("trkx.plugin.viterbi:ViterbiTrackBuilder", _NUMBA),
        "walkthrough": ("trkx.plugin.walkthrough:Walkthrough", _NUMBA),
        "connected_components": ("trkx.plugin.connected_components:ConnectedComponents", _NUMBA),
        "components_and_walkthrough": (
            "trkx.plugin.components_and_walkthrough:ComponentsAndWalkthrough",
            _NUMBA,
        ),
        "hierarchical": ("trkx.plugin.hierarchical_builder:HierarchicalBuilder", _TORCH),
    },
}


@dataclass(frozen=True)
class StageEntry:
    """Where the class of a stage is; nothing is imported before `load`."""

    kind: str  # of KINDS
    name: str  # as pipeline files call it
    target: str  # 'module:Class'
    package: str = OWN_PACKAGE  # distribution that brings it
    version: str = ""  # of that distribution
    needs: tuple[str, ...] = ()  # modules of the extra 'local'
    described: str = ""  # 'module:Class' whose docstring says what it is; '': that of `target`

    @property
    def origin(self) -> str:
        """'trkx', or name and version of the package."""
        return f"{self.package} {self.version}".strip()

    @property
    def extra(self) -> str:
        """The extra of trkx it needs; '' for none, or where trkx cannot know."""
        return "local" if self.needs else ""

    def load(self) -> type:
        """Import the class.

        Raises:
            MissingExtraError: what it needs is not installed.
            StageError: it cannot be imported, or is no stage; names the package.
        """
        for module in self.needs:
            need(module, "local", f"stage '{self.name}'")
        module, _, attribute = self.target.partition(":")
        where = f"stage '{self.name}' of {self.origin} ({self.target})"
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except MissingExtraError:
            raise
        except Exception as error:  # foreign code may fail in any way
            advice = (
                "install trkx anew"
                if self.package == OWN_PACKAGE
                else f"mend or remove it: pip install --upgrade {self.package}, or pip uninstall "
                f"{self.package}"
            )
            raise StageError(
                f"{where} cannot be imported: {type(error).__name__}: {error}; {advice}"
            ) from error
        if not callable(getattr(found, "from_settings", None)):
            raise StageError(
                f"{where} is no stage: it has no class method from_settings(settings, context)"
            )
        if not inspect.isclass(found) or "__call__" not in dir(found):
            raise StageError(f"{where} is no stage: expected a class whose instances are called")
        return found

    def summary(self) -> str:
        """First line of the class's docstring, from the source: nothing is imported."""
        module, _, attribute = (self.described or self.target).partition(":")
        try:
            spec = importlib.util.find_spec(module)
            source = Path(spec.origin).read_text() if spec and spec.origin else ""
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ClassDef) and node.name == attribute:
                    return (ast.get_docstring(node) or "").partition("\n")[0]
        except Exception as error:  # a listing must not fail for one broken package
            return f"(broken: {type(error).__name__}: {error})"
        return f"(broken: no class {attribute} in {module})"


def _built_in(kind: str) -> dict[str, StageEntry]:
    return {
        name: StageEntry(kind, name, target, needs=needs, described=_DESCRIBED.get(name, ""))
        for name, (target, needs) in BUILT_IN[kind].items()
    }


def _third_party(kind: str) -> list[StageEntry]:
    """Entry points of other packages, in the order of stage and package."""
    found = {}
    for point in importlib.metadata.entry_points(group=f"trkx.{kind}"):
        package = "unknown package" if point.dist is None else point.dist.name
        version = "" if point.dist is None else point.dist.version
        # A package that is on the path twice is one package.
        found[point.name, package] = StageEntry(kind, point.name, point.value, package, version)
    return [found[key] for key in sorted(found)]


def stage_entries(kind: str) -> list[StageEntry]:
    """All stages of a kind: those of trkx first, then those of other packages.

    A name that two have appears twice; `find_stage` refuses it, unless one of them is trkx.
    """
    return [*_built_in(kind).values(), *_third_party(kind)]


def find_stage(kind: str, name: str) -> StageEntry:
    """The stage of that kind and name; a name that trkx has is always trkx's own.

    Raises:
        StageError: no such stage, with the nearest name, or one that several packages add.
    """
    built_in = _built_in(kind)
    if name in built_in:
        return built_in[name]
    entries = _third_party(kind)
    found = [entry for entry in entries if entry.name == name]
    if len(found) > 1:
        raise StageError(
            f"stage '{name}' is added by several packages: "
            f"{', '.join(entry.origin for entry in found)}; uninstall all but one"
        )
    if found:
        return found[0]
    known = [*built_in, *(entry.name for entry in entries)]
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    other = next((k for k in KINDS if k != kind and name in _names(k)), None)
    if other:
        hint = f": it is one of the {other.replace('_', ' ')}."
    raise StageError(
        f"no stage '{name}' among the {kind.replace('_', ' ')}{hint} Known: {', '.join(known)}"
    )


def _names(kind: str) -> set[str]:
    return {entry.name for entry in stage_entries(kind)}
