"""How long do data-parallel processes wait for each other, when graphs differ in size?

    python bench/load_balance.py --work .bench/balance

simulates four events at each of μ = 20, 60, 140, 200 and 300, makes their layer-map graphs, and
trains a small interaction GNN on two CPU processes with three ways of making batches:

    events          one event each, in random order, as a DistributedSampler deals them out
    like sizes      one event each, but events of like size in the same step
    edges           batches of several events with nearly equal numbers of edges (trkx' default
                    when batch_edges is set)

It prints the share of time that processes wait in each: from the numbers of edges, and from the
CPU seconds that each process spent on its batches. CPU seconds, because a wait is then what it
would be with a core for each process, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PILEUP = (20, 60, 140, 200, 300)
EVENTS = 4  # of each
PLANS: dict[str, dict[str, Any]] = {
    "events": {"balance": False},
    "like sizes": {},
    "edges": {"batch_edges": -1},  # edges of the largest event
}
EPOCHS = 3


def simulate(folder: Path, threads: int) -> None:
    """Events of all pile-ups, unless they are there."""
    from trkx.algorithms.cli.main import main

    for mu in PILEUP:
        out = folder / f"mu{mu}"
        if not out.exists():
            options = ["--events", str(EVENTS), "--pileup", str(mu), "--seed", str(1000 + mu)]
            main(["simulate", *options, "--out", str(out), "--threads", str(threads)])


def make_examples(folder: Path):
    """Graphs of all events, on disk; made once."""
    from trkx.algorithms.training_events import StoredEvents
    from trkx.plugin.load import load_pipeline
    from trkx.plugin.training.edge_stages import EdgeDataConfig, GraphMaker
    from trkx.plugin.training.edge_training import GraphExample, join_graphs, n_edges
    from trkx.plugin.training.examples import DiskExamples
    from trkx.plugin.training.stages import Prefix, TrainingRequest

    examples = DiskExamples(folder / "examples", GraphExample, n_edges, join_graphs)
    if not examples.open("balance"):
        events = StoredEvents([str(folder / f"mu{mu}") for mu in PILEUP])
        before = Prefix(load_pipeline("classical").graph_constructor)
        request = TrainingRequest("interaction_gnn", folder, folder, before=before)
        make = GraphMaker(request, EdgeDataConfig())
        examples.build(lambda: events, make, "balance")
    return examples


def train(folder: Path, plan: str) -> None:
    """Train with one plan in this process and the one that Lightning starts; write the times."""
    import torch

    from trkx.plugin.edge_network import make_network
    from trkx.plugin.training.edge_training import EdgeTraining
    from trkx.plugin.training.fit import fit
    from trkx.plugin.training.settings import FitSettings

    examples = make_examples(folder)
    options = dict(PLANS[plan])
    if options.get("batch_edges") == -1:
        options["batch_edges"] = int(examples.sizes.max())
    settings = FitSettings(
        epochs=EPOCHS, processes=2, threads=1, logger="none", checkpoint_minutes=60.0, **options
    )
    rows = []

    class Timed(EdgeTraining):
        def on_train_batch_start(self, batch, batch_idx):
            self.begin = time.process_time(), time.perf_counter()

        def on_train_batch_end(self, outputs, batch, batch_idx):
            # The optimizer's step is the same for all, and small.
            cpu, wall = time.process_time() - self.begin[0], time.perf_counter() - self.begin[1]
            rows.append((len(batch.label), cpu, wall))
            np.save(folder / f"{plan}-{self.trainer.global_rank}.npy", np.array(rows))

    torch.manual_seed(1)
    network = make_network(
        "interaction_gnn", {"node_features": 5, "edge_features": 6, "width": 16, "steps": 2}
    )
    fit(Timed(network, settings), examples, settings, folder / f"fit-{plan}", progress=False)


def table(folder: Path) -> str:
    """The share of waiting of all plans."""
    from trkx.plugin.training.batching import idle_share

    lines = [f"{'batches':<12}{'steps':>7}{'idle, edges':>13}{'idle, CPU s':>13}{'CPU s':>8}"]
    for plan in PLANS:
        ranks = [np.load(folder / f"{plan}-{rank}.npy") for rank in (0, 1)]
        edges, cpu = (np.stack([r[:, i] for r in ranks], axis=1) for i in (0, 1))
        lines.append(
            f"{plan:<12}{len(edges):>7}{idle_share(edges):>12.1%} {idle_share(cpu):>12.1%} "
            f"{cpu.sum():>7.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2, help="of the simulation (default 2)")
    parser.add_argument("--plan", choices=PLANS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plan:
        train(args.work, args.plan)
        return
    simulate(args.work, args.threads)
    sizes = make_examples(args.work).sizes
    print(f"{len(sizes)} events with {sizes.min()} to {sizes.max()} edges")
    for plan in PLANS:
        subprocess.run(
            [sys.executable, __file__, "--work", str(args.work), "--plan", plan], check=True
        )
    print(table(args.work))


if __name__ == "__main__":
    main()
