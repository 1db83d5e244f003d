"""Embedding network of metric learning: hits of a track come to lie close together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

# What the network reads, and what it is divided by. Cluster sizes tell the slope of the track.
EMBEDDING_FEATURES = ("cos_phi", "sin_phi", "r", "z", "eta", "size0", "size1")
EMBEDDING_SCALES = (1.0, 1.0, 500.0, 1000.0, 2.0, 4.0, 4.0)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Shape of the network."""

    features: int = len(EMBEDDING_FEATURES)  # columns of the input
    width: int = 128  # hidden channels
    depth: int = 4  # hidden layers
    dimensions: int = 8  # of the embedding space
    rotations: int = 2  # pairs of those that turn with the azimuth; 0: a plain network

    def __post_init__(self) -> None:
        if min(self.features, self.width, self.depth, self.dimensions) < 1 or self.rotations < 0:
            raise ValueError(f"embedding: a size is below 1 in {self.to_dict()}")
        if 2 * self.rotations > self.dimensions or (self.rotations and self.features < 3):
            raise ValueError(
                f"embedding: {self.rotations} rotating pairs do not fit {self.dimensions} "
                f"dimensions and {self.features} features; cos_phi and sin_phi come first"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Embedding(nn.Module):
    """A multilayer perceptron from hit features to a space where distance means kinship.

    References: Ju et al., Eur. Phys. J. C 81, 876 (2021), arXiv:2103.06995; Choma et al.,
    arXiv:2007.00149. Departure: with `rotations` the network does not see the azimuth. Some of
    its outputs are vectors in the transverse plane that turn with the hit, so that distances do
    not change when the event is turned, and nothing has to be learned for every azimuth anew.
    """

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.config = config
        self.rotations = config.rotations
        layers: list[nn.Module] = []
        inputs = config.features - (2 if config.rotations else 0)
        for _ in range(config.depth):
            layers += [nn.Linear(inputs, config.width), nn.LayerNorm(config.width), nn.SiLU()]
            inputs = config.width
        self.network = nn.Sequential(*layers, nn.Linear(inputs, config.dimensions))

    def forward(self, x: Tensor) -> Tensor:
        """Embed hits.

        Args:
            x: (N, features) float32, scaled; with rotations, cos and sin of the azimuth first.

        Returns:
            (N, dimensions) float32.
        """
        k = self.rotations
        if k == 0:
            return self.network(x)
        out = self.network(x[:, 2:])
        cos, sin = x[:, 0:1], x[:, 1:2]
        u, v = out[:, :k], out[:, k : 2 * k]
        return torch.cat([u * cos - v * sin, u * sin + v * cos, out[:, 2 * k :]], dim=1)
