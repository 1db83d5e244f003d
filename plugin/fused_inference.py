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
    """out = MLP(features). Products go straight to their buffers: allocation costs more."""
    u = np.empty((BLOCK, w1.shape[1]), np.float32)
    for start in range(0, len(features), BLOCK):
        stop = min(start + BLOCK, len(features))
        n = stop - start
        np.dot(features[start:stop], w1, u[:n])
        _bias_relu(u[:n], b1)
        np.dot(u[:n], w2, out[start:stop])
        _bias(out[start:stop], b2)


@njit(**JIT)
def _project(v, weight, bias, out):
    """out = v @ weight + bias, the maps to both ends of a triplet side by side."""
    for start in range(0, len(v), BLOCK):
        stop = min(start + BLOCK, len(v))
        np.dot(v[start:stop], weight, out[start:stop])
        _bias(out[start:stop], bias)


# The inner loops are functions of their own: the compiler vectorises them only apart from the
# matrix products.
@njit(**JIT)
def _gather_relu(u, p, a, b):
    """u = relu(u + p[a, first half] + p[b, second half])."""
    h = u.shape[1]
    for r in range(len(a)):
        i, j = a[r], b[r]
        for c in range(h):
            u[r, c] = max(u[r, c] + p[i, c] + p[j, h + c], np.float32(0))


@njit(**JIT)
def _scatter(m, a, b, sums):
    """Sum messages at both edges: into b, out of a."""
    h = m.shape[1]
    for r in range(len(a)):
        i, j = a[r], b[r]
        for c in range(h):
            sums[j, c] += m[r, c]
            sums[i, h + c] += m[r, c]


@njit(**JIT)
def _add_bias_relu(u, y, bias):
    for r in range(u.shape[0]):
        for c in range(u.shape[1]):
            u[r, c] = max(u[r, c] + y[r, c] + bias[c], np.float32(0))


@njit(**JIT)
def _messages(m, p, a, b, sums, w_state, w_message, b_message, gain, bias):
    """One step on the triplets: update m, and sum it at both edges: into b, out of a."""
    h = m.shape[1]
    sums[:] = 0
    u = np.empty((BLOCK, h), np.float32)
    y = np.empty((BLOCK, h), np.float32)
    for start in range(0, len(m), BLOCK):
        stop = min(start + BLOCK, len(m))
        n = stop - start
        block = m[start:stop]
        np.dot(block, w_state, u[:n])
        _gather_relu(u[:n], p, a[start:stop], b[start:stop])
        np.dot(u[:n], w_message, y[:n])
        _bias(y[:n], b_message)
        _add_norm(block, y[:n], gain, bias)
        _scatter(block, a[start:stop], b[start:stop], sums)


@njit(**JIT)
def _update(v, sums, w_own, w_sums, b1, w2, b2, gain, bias):
    """One step on the edges: v += LayerNorm(MLP(v, sums))."""
    h = v.shape[1]
    u = np.empty((BLOCK, h), np.float32)
    y = np.empty((BLOCK, h), np.float32)
    for start in range(0, len(v), BLOCK):
        stop = min(start + BLOCK, len(v))
        n = stop - start
        np.dot(v[start:stop], w_own, u[:n])
        np.dot(sums[start:stop], w_sums, y[:n])
        _add_bias_relu(u[:n], y[:n], b1)
        np.dot(u[:n], w2, y[:n])
        _bias(y[:n], b2)
        _add_norm(v[start:stop], y[:n], gain, bias)


@njit(**JIT)
def _triplet_scores(m, p, a, b, w_state, w_out, b_out, out):
    h = m.shape[1]
    u = np.empty((BLOCK, h), np.float32)
    for start in range(0, len(m), BLOCK):
        stop = min(start + BLOCK, len(m))
        n = stop - start
        np.dot(m[start:stop], w_state, u[:n])
        for r in range(n):
            i, j = a[start + r], b[start + r]
            total = b_out
            for c in range(h):
                total += max(u[r, c] + p[i, c] + p[j, h + c], np.float32(0)) * w_out[c]
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
                        *_split(h, *mlp(f"update.{k}")),
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
        v = np.empty((n, h), np.float32)
        m = np.empty((t, h), np.float32)
        p = np.empty((n, 2 * h), np.float32)
        sums = np.empty((n, 2 * h), np.float32)
        features = np.concatenate([graph.edge_features, self._embed[graph.edge_pair]], axis=1)
        _encode(features, *self._encode_edge, v)
        _encode(np.ascontiguousarray(graph.triplet_features), *self._encode_triplet, m)
        for projection, message, update in self._steps:
            _project(v, *projection, p)
            _messages(m, p, a, b, sums, *message)
            _update(v, sums, *update)
        edge = np.empty((n, 1), np.float32)
        _encode(v, *self._edge_score, edge)
        w1, b1, w2, b2 = self._triplet_score
        both = np.ascontiguousarray(np.concatenate([w1[:h], w1[h : 2 * h]], axis=1))
        _project(v, both, np.concatenate([b1, np.zeros(h, np.float32)]), p)
        triplet = np.empty(t, np.float32)
        w_state = np.ascontiguousarray(w1[2 * h :])
        _triplet_scores(m, p, a, b, w_state, np.ascontiguousarray(w2[:, 0]), b2[0], triplet)
        return edge[:, 0], triplet


def _split(h: int, w1: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, ...]:
    """The rows of `w1` that act on the edge's own state, and on the sums of messages."""
    return np.ascontiguousarray(w1[:h]), np.ascontiguousarray(w1[h:]), *rest
