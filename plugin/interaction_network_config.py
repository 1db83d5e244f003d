"""Shape of the interaction network, for what builds it with torch and what does without."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class InteractionNetworkConfig:
    """Shape of the network."""

    edge_features: int  # columns of `Graph.edge_features`
    triplet_features: int  # columns of `Graph.triplet_features`
    layer_pairs: int  # layer pairs of the map; each has an embedding
    width: int = 32  # hidden channels
    steps: int = 5  # message-passing steps
    embedding: int = 8  # channels of the layer-pair embedding

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights and biases, by their names in `InteractionNetwork`."""
        h = self.width
        shapes: dict[str, tuple[int, ...]] = {"embed.weight": (self.layer_pairs, self.embedding)}

        def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> None:
            shapes[f"{name}.weight"] = (outputs, inputs)
            if bias:
                shapes[f"{name}.bias"] = (outputs,)

        def mlp(name: str, inputs: int, outputs: int = h) -> None:
            linear(f"{name}.0", inputs, h)
            linear(f"{name}.2", h, outputs)

        mlp("encode_edge", self.edge_features + self.embedding)
        mlp("encode_triplet", self.triplet_features)
        for k in range(self.steps):
            linear(f"first.{k}", h, h)
            linear(f"second.{k}", h, h, bias=False)
            linear(f"state.{k}", h, h, bias=False)
            linear(f"message.{k}", h, h)
            mlp(f"update.{k}", 3 * h)
            for norm in (f"message_norm.{k}", f"update_norm.{k}"):
                shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (h,)
        mlp("edge_score", h, 1)
        mlp("triplet_score", 3 * h, 1)
        return shapes
