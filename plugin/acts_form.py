"""Our networks in the form of ACTS' GNN plugin: from what ACTS computes to what they read.

All networks of a pipeline read the same node features, those that ACTS computes, unscaled: mm and
rad. Scales, cosine and sine of the azimuth, the direction of edges and the features of edges are
inside. So one list of features serves the whole pipeline, no stage needs to select some, and edge
features are there behind any graph constructor; ACTS' own makes them in its CUDA module map only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trkx.plugin.edge_features import EDGE_FEATURES, EDGE_SCALES, HELIX_FEATURES, OWN, SLOPE_LIMIT

# Name → ACTS' NodeFeature. Sizes are of the space point's first cluster.
ACTS_FEATURES = {
    "r": "R",
    "phi": "Phi",
    "z": "Z",
    "eta": "Eta",
    "x": "X",
    "y": "Y",
    "size0": "ClusterX",
    "size1": "ClusterY",
    **{
        f"cluster{i}_{name}": f"Cluster{i}{name.capitalize()}"
        for i in (1, 2)
        for name in ("x", "y", "z", "r", "phi", "eta")
    },
}
FIRST = ("r", "phi", "z", "eta")  # every list begins with them, as ModuleMapCuda wants
_TURNED = {"cos_phi": "phi", "sin_phi": "phi"}  # made inside
COMPUTED = (*EDGE_FEATURES, *HELIX_FEATURES)


def acts_features(names: Sequence[str]) -> list[str]:
    """The features that ACTS must compute for networks that read `names`, in their order.

    What ACTS lacks is among them, see `ACTS_FEATURES`.
    """
    return list(dict.fromkeys((*FIRST, *(_TURNED.get(name, name) for name in names))))


class ActsNodes(nn.Module):
    """Scaled node features of a network from those of ACTS."""

    if TYPE_CHECKING:  # TorchScript finds out the types of buffers by itself
        column: Tensor
        is_cos: Tensor
        is_sin: Tensor
        scale: Tensor

    def __init__(
        self, have: Sequence[str], names: Sequence[str], scales: Sequence[float] | None
    ) -> None:
        """Select.

        Args:
            have: columns of x, as `acts_features` returns.
            names: what the network reads.
            scales: what these are divided by; None: 1.
        """
        super().__init__()
        column = [list(have).index(_TURNED.get(name, name)) for name in names]
        self.register_buffer("column", torch.tensor(column))
        self.register_buffer("is_cos", torch.tensor([name == "cos_phi" for name in names]))
        self.register_buffer("is_sin", torch.tensor([name == "sin_phi" for name in names]))
        self.register_buffer("scale", torch.tensor(scales or [1.0] * len(names)).float())

    def forward(self, x: Tensor) -> Tensor:
        """(N, len(names)) from (N, len(have))."""
        u = x.index_select(1, self.column)
        u = torch.where(self.is_cos, u.cos(), torch.where(self.is_sin, u.sin(), u))
        return u / self.scale


class ActsEdges(nn.Module):
    """The edge features of `trkx.plugin.edge_features`, from ACTS' node features."""

    if TYPE_CHECKING:
        order: Tensor
        scale: Tensor

    def __init__(self, names: Sequence[str], scales: Sequence[float] | None) -> None:
        """Select.

        Args:
            names: what the network reads; those of a graph constructor ('own_…') are given.
            scales: what these are divided by; None: `EDGE_SCALES`, and 1 for own ones.
        """
        super().__init__()
        self.limit = SLOPE_LIMIT
        own = [name for name in names if name.startswith(OWN)]
        order = [[*COMPUTED, *own].index(name) for name in names]
        scale = [EDGE_SCALES.get(name, 1.0) for name in COMPUTED]
        for name, value in zip(names, scales or (), strict=False):
            if name in COMPUTED:
                scale[COMPUTED.index(name)] = value
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("scale", torch.tensor(scale).float())

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """(E, len(names)); the own features of the constructor in `edge_attr`, scaled."""
        a = x.index_select(0, edge_index[0])
        b = x.index_select(0, edge_index[1])
        ra, rb, za = a[:, 0], b[:, 0], a[:, 2]
        dr, dphi, dz = rb - ra, b[:, 1] - a[:, 1], b[:, 2] - za
        dphi = dphi - 2 * math.pi * torch.round(dphi / (2 * math.pi))
        chord = torch.sqrt(dr**2 + 4 * ra * rb * torch.sin(dphi / 2) ** 2)
        slope = self.ratio(dphi, dr)
        z0 = za - ra * self.ratio(dz, dr)
        curvature = 2 * self.ratio(torch.sin(dphi), chord)
        radial = slope * (ra + rb) / 2
        columns = [dr, dphi, dz, b[:, 3] - a[:, 3], slope, radial, z0, curvature]
        table = (torch.stack(columns, dim=1) / self.scale).clamp(-self.limit, self.limit)
        if edge_attr is not None:
            table = torch.cat([table, edge_attr], dim=1)
        return table.index_select(1, self.order)

    def ratio(self, a: Tensor, b: Tensor) -> Tensor:
        """a / b; 0 where b is almost 0 mm."""
        small = b.abs() <= 1e-4
        return torch.where(
            small, torch.zeros_like(a), a / torch.where(small, torch.ones_like(b), b)
        )


class ActsEmbedding(nn.Module):
    """An embedding that reads ACTS' node features."""

    def __init__(self, network: nn.Module, nodes: ActsNodes) -> None:
        super().__init__()
        self.network, self.nodes = network, nodes

    def forward(self, x: Tensor) -> Tensor:
        """(N, d): where the hits lie."""
        return self.network(self.nodes(x))


class ActsEdgeNetwork(nn.Module):
    """An edge network that reads ACTS' node features."""

    def __init__(
        self, network: nn.Module, nodes: ActsNodes, edges: ActsEdges | None, outward: bool
    ) -> None:
        """Wrap a network.

        Args:
            network: an edge network.
            nodes: its node features.
            edges: its edge features, None: it reads none.
            outward: let all edges start at the hit that is nearer the origin; ACTS' metric
                learning gives them any direction.
        """
        super().__init__()
        self.network, self.nodes = network, nodes
        self.edges = edges
        self.outward = outward

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Logits (E,) of all edges."""
        if self.outward:
            distance = x[:, 0] ** 2 + x[:, 2] ** 2
            a, b = distance.index_select(0, edge_index[0]), distance.index_select(0, edge_index[1])
            edge_index = torch.where(a > b, edge_index.flip(0), edge_index)
        attr: Tensor | None = None
        if self.edges is not None:
            attr = self.edges(x, edge_index, edge_attr)
        return self.network(self.nodes(x), edge_index, attr)
