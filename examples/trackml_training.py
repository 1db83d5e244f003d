"""How are the pipelines `trackml` and `trackml_pt05` trained?

    python examples/trackml_training.py --target pt1 --work training --out models/trackml_pt1
    python examples/trackml_training.py --target pt1 --work training  # validate

The events are simulated: with the sensors, the field and the lost hits of the TrackML challenge
(docs/trackml.md says what these are, and how they are known). The layer map is learned from them;
its windows hold the luminous region to 3.6 widths. The network is the one of the pipeline `fast`,
whose features mean the same, and learns on from there: only the embeddings of layer pairs that are
new begin at the mean of the others. Axes of barrel modules are turned by the Lorentz angle, since
the length of a cluster tells the angle between the track and the drifting charge.

In the end the quality of tracks is learned from events that the network has not seen.

What there is already is not made again: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from trkx.algorithms.charge_drift import drifted_event
from trkx.algorithms.detector import buildGenericDetector
from trkx.algorithms.labelled_events import labelled_event
from trkx.algorithms.module_frames import moduleFrames
from trkx.algorithms.simulation import simulate
from trkx.algorithms.simulation.modules import module_table, read_readout
from trkx.algorithms.simulation.sequence import digitization_config
from trkx.algorithms.simulation.settings import SimulationSettings
from trkx.algorithms.track_counts import TrackCounts
from trkx.algorithms.track_quality import learn_quality
from trkx.algorithms.trackml_sensors import turned_layers
from trkx.algorithms.training_folder import CHECKPOINTS, make_folder, write_model
from trkx.algorithms.training_input import PT_MIN, input_provenance, open_training_events
from trkx.plugin import load_pipeline
from trkx.plugin.interaction_network import InteractionNetwork
from trkx.plugin.layer_map import Z0_HIGH, Z0_LOW, LayerMap
from trkx.plugin.layer_map_graph import LayerMapGraph, LayerMapGraphConfig
from trkx.plugin.layer_map_learning import LayerMapConfig, learn_layer_map
from trkx.plugin.layers import learn_layers
from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.weights import Model, find_model

SETTINGS = SimulationSettings(seed=300, digitization="trackml", field="solenoid", hit_loss=0.01)
# Graphs of trackml_pt05 are large: its network learns from events with less pile-up.
NETWORK_SETTINGS = {"pt1": SETTINGS, "pt05": replace(SETTINGS, seed=301, pileup=60.0)}
NETWORK_EVENTS = {"pt1": 30, "pt05": 48}
EPOCHS = {"pt1": 3, "pt05": 4}
MAP_EVENTS = 40
QUALITY_EVENTS = 10  # the last of those of the map
VALIDATION_SETTINGS = replace(SETTINGS, seed=600300)
VALIDATION_EVENTS = {"pt1": 8, "pt05": 4}
PIPELINES = {"pt1": "trackml", "pt05": "trackml_pt05"}
DISPLACED_COPIES = {"pt1": 3, "pt05": 0}
Z0_MIN = 200.0  # mm; 3.6 widths of the luminous region
GRAPH = LayerMapGraphConfig(soft_factor=1.5)  # as in the pipelines


def trainingEvents(folder: Path, first: int, stop: int) -> Iterator[LabelledEvent]:
    """Simulated events with drifting charge."""
    modules, readout = module_table(), read_readout(digitization_config(SETTINGS))
    with open_training_events([str(folder)]) as files:
        for number in files.numbers[first:stop]:
            yield labelled_event(drifted_event(files.read(number, truth=True), modules, readout))


def learnMap(sample: Path, target: str, config: LayerMapConfig) -> LayerMap:
    """The layer map, with the axes that clusters in the challenge see."""
    _, geometry = buildGenericDetector()
    layers = learn_layers(list(trainingEvents(sample, 0, 4)), moduleFrames(geometry))
    events = trainingEvents(sample, 0, MAP_EVENTS)
    # Completion reads the threshold in the map.
    about = {"target": target, "pt_min": PT_MIN[target]}
    found = learn_layer_map(events, turned_layers(layers), config, about)
    windows, used = found.windows.copy(), found.edges[:, :-1] < found.edges.max()
    windows[:, :, Z0_LOW][used] = np.minimum(windows[:, :, Z0_LOW][used], -Z0_MIN)
    windows[:, :, Z0_HIGH][used] = np.maximum(windows[:, :, Z0_HIGH][used], Z0_MIN)
    return replace(found, windows=windows)


def pairNames(layer_map: LayerMap) -> list[tuple[int, int, int, int]]:
    """Volume and layer of both ends of each layer pair."""
    layers = layer_map.layers
    ends = [
        (layers.volume[i], layers.layer[i]) for i in (layer_map.pair_inner, layer_map.pair_outer)
    ]
    return list(zip(*(column.tolist() for end in ends for column in end), strict=True))


def networkOn(layer_map: LayerMap, model: Model) -> InteractionNetwork:
    """The network of `model`, with an embedding for each layer pair of another map."""
    network = model.network()
    row = {name: i for i, name in enumerate(pairNames(model.layer_map()))}
    state = network.state_dict()
    known = state["embed.weight"]
    names = pairNames(layer_map)
    state["embed.weight"] = torch.stack(
        [known[row[name]] if name in row else known.mean(dim=0) for name in names]
    )
    begun = InteractionNetwork(dataclasses.replace(network.config, layer_pairs=len(names)))
    begun.load_state_dict(state)
    return begun


def simulated(work: Path, settings: SimulationSettings, events: int) -> Path:
    """A sample of these settings, simulated where it is not there yet."""
    sample = work / f"trackml_seed{settings.seed}"
    if not (sample / "measurements.root").exists():
        simulate(settings, sample, events, force=True)
    return sample


def runTraining(target: str, work: Path, out: Path) -> Model:
    """Simulate, learn the map, train the network, and write the model of one target."""
    torch.set_num_threads(1)
    network_events = NETWORK_EVENTS[target]
    sample = simulated(work, SETTINGS, MAP_EVENTS)
    network_sample = simulated(work, NETWORK_SETTINGS[target], network_events)
    make_folder(out)
    pt_min = PT_MIN[target]
    map_config = LayerMapConfig(pt_min=0.95 * pt_min, displaced_copies=DISPLACED_COPIES[target])
    layer_map = learnMap(sample, target, map_config)
    begun = networkOn(layer_map, find_model(target))
    config = TrainingConfig(
        epochs=EPOCHS[target],
        learning_rate=1e-3,
        width=begun.config.width,
        steps=begun.config.steps,
        pt_min=0.9 * pt_min,
    )
    graphs = GraphDataset(
        trainingEvents(network_sample, 0, network_events),
        LayerMapGraph(layer_map, GRAPH),
        config.pt_min,
        config.displaced_weight,
    )
    folder = str(out / CHECKPOINTS)
    network = train_network(graphs, begun.config, config, checkpoint_dir=folder, start=begun)
    about = {
        "detector": "generic, as in the TrackML challenge",
        "target": target,
        "pt_min": pt_min,
        "map_config": asdict(map_config),
        "map_events": MAP_EVENTS,
        "map_input": input_provenance([str(sample)]),
        "training_config": asdict(config),
        "training_events": network_events,
        "training_input": input_provenance([str(network_sample)]),
        "training_start": f"generic_{target}",
        "quality_events": QUALITY_EVENTS,
    }
    write_model(out, layer_map, network, about)
    events = trainingEvents(sample, MAP_EVENTS - QUALITY_EVENTS, MAP_EVENTS)
    pipeline = load_pipeline("gnn", weights=out, target=target)
    quality = learn_quality(events, pipeline, pt_min)
    return write_model(out, replace(layer_map, quality=quality), network, about)


def validated(target: str, work: Path) -> TrackCounts:
    """Counts of the shipped pipeline on simulated validation events."""
    sample = simulated(work, VALIDATION_SETTINGS, max(VALIDATION_EVENTS.values()))
    pipeline = load_pipeline(pipeline=PIPELINES[target], threads=1)
    counts = TrackCounts()
    for event in trainingEvents(sample, 0, VALIDATION_EVENTS[target]):
        counts.add(event, pipeline(event.space_points), PT_MIN[target])
    return counts


def main() -> None:
    """Read the command line; train, or validate."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--target", choices=tuple(PT_MIN), default="pt1")
    add("--work", type=Path, required=True, help="folder for the simulated events")
    add("--out", type=Path, help="folder of the model; without, the shipped one is validated")
    args = parser.parse_args()
    if args.out is not None:
        runTraining(args.target, args.work, args.out)
        return
    counts = validated(args.target, args.work)
    print(f"{counts.targets} targets, {counts.tracks} tracks, {counts.fakes} fakes")
    print(", ".join(f"{name} {100 * value:.2f}%" for name, value in counts.summary().items()))


if __name__ == "__main__":
    main()
