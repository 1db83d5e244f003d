"""How is the second pass of the pipeline `large_radius` trained?

    python examples/large_radius_training.py --work training --out models/large_radius

Simulates decays of heavy neutral leptons, K0S and Λ with radii up to 300 mm: alone, for the
windows of the layer map, and in events with 200 pile-up collisions, for the network. The windows
are learned from 56 events without pile-up (half a minute); the network learns, from 32 events,
which of the doublets that the pipeline `fast` leaves over belong together (15 minutes).
Writes a model folder, to be named as `model` in a copy of plugin/pipelines/large_radius.toml:

    trkx run --input sample --pipeline mine.toml --out tracks

What there is already is not made again: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from trkx.algorithms.labelled_events import labelled_events
from trkx.algorithms.simulation import simulate
from trkx.algorithms.simulation.settings import GunSettings, SimulationSettings
from trkx.algorithms.training_folder import CHECKPOINTS, make_folder, write_model
from trkx.algorithms.training_input import input_provenance, open_training_events
from trkx.plugin import load_pipeline
from trkx.plugin.displaced_graph import DisplacedGraph
from trkx.plugin.free_map_learning import FreeMapConfig, learn_free_map
from trkx.plugin.interaction_network import InteractionNetworkConfig
from trkx.plugin.layer_map import LayerMap
from trkx.plugin.network_training import GraphDataset, TrainingConfig, train_network
from trkx.plugin.second_pass import SecondPass
from trkx.plugin.space_points import LabelledEvent
from trkx.plugin.weights import find_model

PT_MIN = 1.0  # GeV
HARD = SimulationSettings(process="hnl", pileup=0, gun=GunSettings(pt_min=5.0, pt_max=50.0))
SOFT = replace(HARD, gun=GunSettings(pt_min=1.5, pt_max=10.0, mass=4.0))
V0 = SimulationSettings(process="v0", pileup=0, gun=GunSettings(pt_min=1.0, pt_max=15.0))
# Sample → settings, seed, events, long-lived particles per event.
Samples = dict[str, tuple[SimulationSettings, int, int, int]]
FOR_MAP: Samples = {
    "map_hnl": (HARD, 2001, 20, 400),
    "map_soft": (SOFT, 2002, 20, 400),
    "map_v0": (V0, 2003, 16, 400),
}
FOR_NETWORK: Samples = {
    "train_hnl": (HARD, 2011, 16, 100),
    "train_soft": (SOFT, 2012, 8, 100),
    "train_v0": (replace(V0, gun=replace(V0.gun, pt_max=20.0)), 2013, 8, 100),
}


def makeSamples(work: Path, samples: Samples, pileup: float, share: float) -> list[str]:
    """Simulate what is not there yet; returns the folders.

    Args:
        work: where the folders are.
        samples: of this module.
        pileup: mean number of collisions.
        share: of the events to make.
    """
    folders = []
    for name, (settings, seed, events, multiplicity) in samples.items():
        folder = work / name
        if not (folder / "hits.root").exists():
            gun = replace(settings.gun, multiplicity=multiplicity)
            settings = replace(settings, pileup=pileup, seed=seed, gun=gun)
            print(f"simulates {name}")
            simulate(settings, folder, max(1, round(events * share)))
        folders.append(str(folder))
    return folders


def eventsOf(folders: Sequence[str]) -> Iterator[LabelledEvent]:
    """All events of the folders."""
    for folder in folders:
        yield from labelled_events(open_training_events([folder]))


def learnMap(folders: Sequence[str]) -> LayerMap:
    """Windows of displaced tracks, for the layers of the shipped map."""
    like = find_model("pt1").layer_map()
    return learn_free_map(eventsOf(folders), like, meta={"target": "pt1", "detector": "generic"})


def runTraining(
    work: Path, out: Path, pileup: float = 200.0, share: float = 1.0, epochs: int = 8
) -> None:
    """Simulate, learn the map, train the network, and write the model folder `out`."""
    map_folders = makeSamples(work, FOR_MAP, 0.0, share)
    layer_map = learnMap(map_folders)
    print(f"layer map with {len(layer_map.pair_inner)} layer pairs")
    folders = makeSamples(work, FOR_NETWORK, pileup, share)
    make_folder(out)
    training = TrainingConfig(epochs=epochs, pt_min=0.9 * PT_MIN)
    graphs = SecondPass(load_pipeline("fast"), DisplacedGraph(layer_map))
    dataset = GraphDataset(eventsOf(folders), graphs, training.pt_min)
    edges, _, triplets, *_ = dataset[0]
    network = train_network(
        dataset,
        InteractionNetworkConfig(
            edge_features=edges.shape[1],
            triplet_features=triplets.shape[1],
            layer_pairs=len(layer_map.pair_inner),
            width=training.width,
            steps=training.steps,
        ),
        training,
        checkpoint_dir=str(out / CHECKPOINTS),
        progress=False,
    )
    about = {
        "detector": "generic",
        "target": "pt1",
        "pt_min": PT_MIN,
        "map_config": asdict(FreeMapConfig()),
        "map_input": input_provenance(map_folders),
        "training_config": asdict(training),
        "training_input": input_provenance(folders),
    }
    write_model(out, layer_map, network, about)
    print(f"network of {sum(p.numel() for p in network.parameters())} weights -> {out}")


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("training"), help="folder for events")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--pileup", type=float, default=200.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the events, for a quick try")
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runTraining(args.work, args.out, args.pileup, args.share, args.epochs)


if __name__ == "__main__":
    main()
