"""What to type into ACTS' configuration for an exported pipeline, as README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trkx.plugin.acts_form import ACTS_FEATURES

if TYPE_CHECKING:
    from trkx.plugin.export_pipeline import ExportedNetwork, ExportedPipeline

_BUILDER_CUTS = {"connected_components": ("score_cut", 0.9)}  # setting and default

_README = """\
# {name}: networks for ACTS' GNN plugin

| file | inputs | reads | greatest difference from the network |
|---|---|---|---|
{files}

All files read the same node features `x` (N, {n}), in mm and rad, in the order of `nodeFeatures`
below; `featureScales` are 1, because the networks scale for themselves. Features of edges, but for
`edge_attr` where a file has that input, are computed inside. Edge networks give logits (E, 1).
The differences are those on a toy event, relative for scores above 1.

{networks}
{notes}## ACTS

```python
import acts
from acts.examples.gnn import {imports}
from acts.examples.reconstruction import addGnn

e, level = NodeFeature, acts.logging.INFO
nodeFeatures = [{node_features}]
featureScales = [1.0] * {n}
{constructor}
edgeClassifiers = [{classifiers}]
trackBuilder = BoostTrackBuilding(level=level)
addGnn(s, graphConstructor, edgeClassifiers, trackBuilder, nodeFeatures, featureScales,
       inputSpacePoints="spacepoints", inputClusters={clusters})
```

`BoostTrackBuilding` makes a track of whatever the edges left connect, and so needs a cut on the
last scores{builder}.
Positions are relative to the origin, not to a beam spot. A filter, which looks at one edge at a
time, takes `nChunks` to save memory.

## trkx

`pipeline.toml` is the same pipeline on these files: `trkx run --pipeline pipeline.toml …`.
"""


def export_readme(result: ExportedPipeline) -> str:
    """The text for an exported pipeline."""
    pipeline = result.pipeline
    shown = [f"e.{ACTS_FEATURES.get(name, f'??? {name}')}" for name in result.node_features]
    chosen = [n for n in result.networks if _for_acts(n)]
    classifiers = [n for n in chosen if "cut" in n.settings]
    wanted = _BUILDER_CUTS.get(pipeline.track_building.stage)
    last = 0.0
    if wanted:
        last = float(pipeline.track_building.settings.get(*wanted))
    calls = [
        _classifier(n, max(n.settings["cut"], last if n is classifiers[-1] else 0.0))
        for n in classifiers
    ]
    constructor, name = _constructor(result)
    used = {name, "BoostTrackBuilding", "NodeFeature", *(call.partition("(")[0] for call in calls)}
    notes = "".join(f"- {note}\n" for note in result.notes)
    return _README.format(
        name=pipeline.name,
        files="\n".join(
            f"| `{n.file}` | {', '.join(_inputs(n))} | {len(n.features)} node and "
            f"{len(n.edge_features)} edge features | {n.difference:.1e} |"
            for n in result.networks
        ),
        n=len(shown),
        networks="\n".join(_described(n) for n in result.networks),
        notes=f"{notes}\n" if notes else "",
        imports=", ".join(sorted(used)),
        node_features=", ".join(shown),
        constructor=constructor,
        classifiers=", ".join(f"\n    {call}" for call in calls) + ("\n" if calls else ""),
        clusters='"clusters"' if any("e.C" in name for name in shown) else '""',
        builder=(
            f"; here {last:g}, the pipeline's own"
            if wanted
            else f", which '{pipeline.track_building.stage}' of trkx does not"
        ),
    )


def _for_acts(network: ExportedNetwork) -> bool:
    """ACTS reads embeddings as TorchScript only; those of ONNX are for others."""
    return "cut" in network.settings or network.file.endswith(".pt")


def _inputs(network: ExportedNetwork) -> list[str]:
    if "cut" not in network.settings:
        return ["x"]
    return ["x", "edge_index", *(["edge_attr"] if network.edge_attr else [])]


def _constructor(result: ExportedPipeline) -> tuple[str, str]:
    """The graph constructor in ACTS, and its class."""
    for n in result.networks:
        if "radius" in n.settings and n.file.endswith(".pt"):
            return (
                f'graphConstructor = TorchMetricLearning(level=level, modelPath="{n.file}",\n'
                f"    selectedFeatures=list(range({len(result.node_features)})), "
                f"embeddingDim={n.dimensions},\n"
                f"    rVal={n.settings['radius']:g}, knnVal={n.settings['k']})",
                "TorchMetricLearning",
            )
    made_by = result.pipeline.graph_construction.stage
    return (
        f"# trkx made the graph with '{made_by}'; a module map as PREFIX.doublets.root and\n"
        "# PREFIX.triplets.root is what `trkx train module_map` writes.\n"
        'graphConstructor = ModuleMapCuda(level=level, moduleMapPath="PREFIX", rScale=1.0,\n'
        "    phiScale=1.0, zScale=1.0, etaScale=1.0)",
        "ModuleMapCuda",
    )


def _classifier(network: ExportedNetwork, cut: float) -> str:
    if network.file.endswith(".onnx"):
        return f'OnnxEdgeClassifier(level=level, modelPath="{network.file}", cut={cut:g})'
    attr = ", useEdgeFeatures=True" if network.edge_attr else ""
    return (
        f'TorchEdgeClassifier(level=level, modelPath="{network.file}", cut={cut:g}, '
        f"undirected=False{attr})"
    )


def _described(network: ExportedNetwork) -> str:
    """Features of the network inside, and settings of its stage in trkx."""

    def scaled(names: Any, scales: Any) -> str:
        return ", ".join(f"{a} / {b:g}" for a, b in zip(names, scales, strict=True)) or "none"

    settings = ", ".join(f"{name} {value:g}" for name, value in network.settings.items())
    lines = [
        f"`{network.file}`, stage `{network.stage}`, {settings}:",
        "",
        f"- node features inside: {scaled(network.features, network.scales)}",
    ]
    if "cut" in network.settings:
        edges = scaled(network.edge_features, network.edge_scales)
        lines.append(f"- edge features inside: {edges}")
    lines += [f"- {note}" for note in network.notes]
    return "\n".join(lines) + "\n"
