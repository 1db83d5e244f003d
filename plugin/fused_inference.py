"""The interaction network's forward pass on a CPU, fused and in cache-sized blocks.

The same sums as `InteractionNetwork.forward` in float32. Arrays of all edges or triplets are
read and written once per step; everything between stays in blocks of a few tens of kilobytes,
where a chain of torch operators would move each intermediate result through memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from trkx.plugin.geometry_kernels import JIT
from trkx.plugin.graph import Graph

if TYPE_CHECKING:
    from trkx.plugin.interaction_network import InteractionNetwork

# Rows of a block: its matrix products stay under the size at which BLAS starts threads, so that
# events in flight do not oversubscribe the cores.
BLOCK = 128
_EPS = np.float32(1e-5)  # of torch's LayerNorm


@njit(**JIT)
def _add_norm(x, y, gain, bias):
    """x += LayerNorm(y), row by row."""
    n, h = y.shape
    inverse = np.float32(1.0) / np.float32(h)
    for r in range(n):
        mean = np.float32(0)
        for c in range(h):
            mean += y[r, c]
        mean *= inverse
        var = np.float32(0)
        for c in range(h):
            d = y[r, c] - mean
            var += d * d
        scale = np.float32(1.0) / np.sqrt(var * inverse + _EPS)
        for c in range(h):
            x[r, c] += (y[r, c] - mean) * scale * gain[c] + bias[c]


@njit(**JIT)
def _bias_relu(x, bias):
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[r, c] = max(x[r, c] + bias[c], np.float32(0))


@njit(**JIT)
def _bias(x, bias):
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[r, c] += bias[c]


@njit(**JIT)
def _encode(features, w1, b1, w2, b2, out):
    """out[:, :h] = MLP(features)."""
    h = w2.shape[1]
    for start in range(0, len(features), BLOCK):
        stop = min(start + BLOCK, len(features))
        u = np.dot(features[start:stop], w1)
        _bias_relu(u, b1)
        y = np.dot(u, w2)
        for r in range(stop - start):
            for c in range(h):
                out[start + r, c] = y[r, c] + b2[c]


@njit(**JIT)
def _project(x, h, weight, bias, out):
    """out = x[:, :h] @ weight + bias, both maps of a step side by side."""
    v = np.empty((BLOCK, h), np.float32)
    for start in range(0, len(x), BLOCK):
        stop = min(start + BLOCK, len(x))
        v[: stop - start] = x[start:stop, :h]
        y = np.dot(v[: stop - start], weight)
        _bias(y, bias)
        out[start:stop] = y


@njit(**JIT)
def _messages(x, m, p, a, b, w_state, w_message, b_message, gain, bias):
    """One step on the triplets: update m, and sum it at both edges into x."""
    h = m.shape[1]
    x[:, h:] = 0
    for start in range(0, len(m), BLOCK):
        stop = min(start + BLOCK, len(m))
        block = m[start:stop]
        u = np.dot(block, w_state)
        for r in range(stop - start):
            i, j = a[start + r], b[start + r]
            for c in range(h):
                u[r, c] = max(u[r, c] + p[i, c] + p[j, h + c], np.float32(0))
        y = np.dot(u, w_message)
        _bias(y, b_message)
        _add_norm(block, y, gain, bias)
        for r in range(stop - start):
            i, j = a[start + r], b[start + r]
            for c in range(h):
                x[j, h + c] += block[r, c]
                x[i, 2 * h + c] += block[r, c]


@njit(**JIT)
def _update(x, h, w1, b1, w2, b2, gain, bias):
    """One step on the edges: x[:, :h] += LayerNorm(MLP(x))."""
    for start in range(0, len(x), BLOCK):
        block = x[start : min(start + BLOCK, len(x))]
        u = np.dot(block, w1)
        _bias_relu(u, b1)
        y = np.dot(u, w2)
        _bias(y, b2)
        _add_norm(block, y, gain, bias)


@njit(**JIT)
def _triplet_scores(m, p, a, b, w_state, bias, w_out, b_out, out):
    h = m.shape[1]
    for start in range(0, len(m), BLOCK):
        stop = min(start + BLOCK, len(m))
        u = np.dot(m[start:stop], w_state)
        for r in range(stop - start):
            i, j = a[start + r], b[start + r]
            total = b_out
            for c in range(h):
                value = u[r, c] + p[i, c] + p[j, h + c] + bias[c]
                total += max(value, np.float32(0)) * w_out[c]
            out[start + r] = total


class FusedInference:
    """Forward pass of one interaction network; safe to call from several threads."""

    def __init__(self, network: InteractionNetwork) -> None:
        state = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
        self._config = network.config

        def matrix(name: str) -> np.ndarray:
            return np.ascontiguousarray(state[name].T)

        def mlp(name: str) -> tuple[np.ndarray, ...]:
            return (
                matrix(f"{name}.0.weight"),
                state[f"{name}.0.bias"],
                matrix(f"{name}.2.weight"),
                state[f"{name}.2.bias"],
            )

        self._embed = state["embed.weight"]
        self._encode_edge, self._encode_triplet = mlp("encode_edge"), mlp("encode_triplet")
        self._edge_score, self._triplet_score = mlp("edge_score"), mlp("triplet_score")
        h = self._config.width
        zero = np.zeros(h, np.float32)
        self._steps = []
        for k in range(self._config.steps):
            both = np.concatenate([matrix(f"first.{k}.weight"), matrix(f"second.{k}.weight")], 1)
            self._steps.append(
                (
                    (np.ascontiguousarray(both), np.concatenate([state[f"first.{k}.bias"], zero])),
                    (
                        matrix(f"state.{k}.weight"),
                        matrix(f"message.{k}.weight"),
                        state[f"message.{k}.bias"],
                        state[f"message_norm.{k}.weight"],
                        state[f"message_norm.{k}.bias"],
                    ),
                    (
                        *mlp(f"update.{k}"),
                        state[f"update_norm.{k}.weight"],
                        state[f"update_norm.{k}.bias"],
                    ),
                )
            )

    def __call__(self, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        """Logits of the E edges and T triplets of a graph, float32."""
        h = self._config.width
        n, t = graph.n_edges, graph.n_triplets
        a = np.ascontiguousarray(graph.triplet_index[0])
        b = np.ascontiguousarray(graph.triplet_index[1])
        x = np.empty((n, 3 * h), np.float32)  # edge state, sum of messages in, sum out
        m = np.empty((t, h), np.float32)
        p = np.empty((n, 2 * h), np.float32)
        features = np.concatenate([graph.edge_features, self._embed[graph.edge_pair]], axis=1)
        _encode(features, *self._encode_edge, x)
        _encode(np.ascontiguousarray(graph.triplet_features), *self._encode_triplet, m)
        for projection, message, update in self._steps:
            _project(x, h, *projection, p)
            _messages(x, m, p, a, b, *message)
            _update(x, h, *update)
        edge = np.empty((n, 1), np.float32)
        _encode(np.ascontiguousarray(x[:, :h]), *self._edge_score, edge)
        w1, b1, w2, b2 = self._triplet_score
        both = np.ascontiguousarray(np.concatenate([w1[:h], w1[h : 2 * h]], axis=1))
        _project(x, h, both, np.zeros(2 * h, np.float32), p)
        triplet = np.empty(t, np.float32)
        _triplet_scores(
            m, p, a, b, np.ascontiguousarray(w1[2 * h :]), b1, np.ascontiguousarray(w2[:, 0]),
            b2[0], triplet,
        )  # fmt: skip
        return edge[:, 0], triplet
