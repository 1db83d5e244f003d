"""A tiny training for tests, in this process or as a script: FOLDER PROCESSES SECONDS_PER_STEP."""

import sys
import time

import torch

from trkx.plugin.training.edge_training import EdgeTraining, GraphExample, join_graphs, n_edges
from trkx.plugin.training.examples import MemoryExamples
from trkx.plugin.training.fit import fit
from trkx.plugin.training.settings import FitSettings

# Three steps per epoch: a checkpoint after steps 3, 4, 6, 8, 9, ...
STEPS = {
    "epochs": 8,
    "learning_rate": 0.01,
    "batch_edges": 120,
    "batches_per_step": 2,
    "checkpoint_steps": 4,
}


class ToyNetwork(torch.nn.Module):
    """Scores edges from the features of both nodes; with dropout, to need random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        self.unused = torch.nn.Linear(2, 2)  # as the edge update of a last layer

    def forward(self, x, edge_index, edge_attr=None):
        both = torch.cat([x[edge_index[0]], x[edge_index[1]], edge_attr], dim=1)
        return self.layers(both)[:, 0]


class SlowTraining(EdgeTraining):
    """Waits at every step, so that a test can kill it in between."""

    pause = 0.0

    def training_step(self, batch, batch_idx):
        time.sleep(self.pause)
        return super().training_step(batch, batch_idx)


def toy_graph(n_edges, generator):
    """A graph whose edges are true where both nodes are alike."""
    n = max(n_edges // 2, 2)
    x = torch.randn(n, 2, generator=generator)
    edges = torch.randint(0, n, (2, n_edges), generator=generator)
    label = ((x[edges[0]] - x[edges[1]]).norm(dim=1) < 1).float()
    attr = torch.rand(n_edges, 1, generator=generator)
    return GraphExample(x, edges, attr, label, 0.5 + attr[:, 0])


def toy_examples():
    """Sixteen graphs of 8 to 100 edges, and an empty one."""
    generator = torch.Generator().manual_seed(3)
    sizes = [0, *(8 + i * i * 92 // 225 for i in range(16))]
    return MemoryExamples((toy_graph(n, generator) for n in sizes), n_edges, join_graphs)


def toy_training(settings, dropout=0.2):
    """The same initial weights every time."""
    torch.manual_seed(5)
    network = ToyNetwork()
    network.layers[2].p = dropout
    return SlowTraining(network, settings)


def main(folder, processes, pause):
    settings = FitSettings(processes=processes, threads=1, log_steps=1, **STEPS)
    # Each process drops out other nodes: only without can one equal two.
    training = toy_training(settings, dropout=0.0 if processes > 1 else 0.2)
    training.pause = pause
    fit(training, toy_examples(), settings, folder, progress=False)
    torch.save(training.state_dict(), f"{folder}/weights.pt")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
