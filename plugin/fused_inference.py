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
from trkx.plugin.interaction_network_config import InteractionNetworkConfig
from trkx.plugin.triplets import group_by
from trkx.plugin.workers import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trkx.plugin.interaction_network import InteractionNetwork

# Rows of a block: its matrix products stay under the size at which BLAS starts threads, so that
# events in flight do not oversubscribe the cores.
BLOCK = 128
_EPS = np.float32(1e-5)  # of torch's LayerNorm


@njit(**JIT)
def _add_norm(x, y, own_bias, gain, bias):
    """x += LayerNorm(y + own_bias), row by row."""
    n, h = y.shape
    inverse = np.float32(1.0) / np.float32(h)
    for r in range(n):
        mean = np.float32(0)
        for c in range(h):
            value = y[r, c] + own_bias[c]
            y[r, c] = value
            mean += value
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
def _encode(begin, end, features, w1, b1, w2, b2, out):
    """out = MLP(features). Products go straight to their buffers: allocation costs more."""
    u = np.empty((BLOCK, w1.shape[1]), np.float32)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        n = stop - start
        np.dot(features[start:stop], w1, u[:n])
        _bias_relu(u[:n], b1)
        np.dot(u[:n], w2, out[start:stop])
        _bias(out[start:stop], b2)


@njit(**JIT)
def _project(begin, end, v, weight, bias, out):
    """out = v @ weight + bias, the maps to both ends of a triplet side by side."""
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
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
def _gather_sums(s, m, start, offset_b, offset_a, order_a):
    """Sums of the messages into (first half) and out of (second half) the edges from `start` on.

    The triplets lie grouped by their second edge b; `order_a` groups them by their first.
    """
    h = m.shape[1]
    for r in range(len(s)):
        e = start + r
        for c in range(2 * h):
            s[r, c] = 0
        for t in range(offset_b[e], offset_b[e + 1]):
            for c in range(h):
                s[r, c] += m[t, c]
        for x in range(offset_a[e], offset_a[e + 1]):
            t = order_a[x]
            for c in range(h):
                s[r, h + c] += m[t, c]


@njit(**JIT)
def _add_bias_relu(u, y, bias):
    for r in range(u.shape[0]):
        for c in range(u.shape[1]):
            u[r, c] = max(u[r, c] + y[r, c] + bias[c], np.float32(0))


@njit(**JIT)
def _messages(begin, end, m, p, a, b, w_state, w_message, b_message, gain, bias):
    """One step on the triplets: m += LayerNorm(MLP(m, both edges))."""
    h = m.shape[1]
    u = np.empty((BLOCK, h), np.float32)
    y = np.empty((BLOCK, h), np.float32)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        n = stop - start
        block = m[start:stop]
        np.dot(block, w_state, u[:n])
        _gather_relu(u[:n], p, a[start:stop], b[start:stop])
        np.dot(u[:n], w_message, y[:n])
        _add_norm(block, y[:n], b_message, gain, bias)


@njit(**JIT)
def _update(begin, end, v, m, p, offset_b, offset_a, order_a, w_own, w_sums, b1, w2, b2, gain, bias,
            w_next, b_next):  # fmt: skip
    """One step on the edges: v += LayerNorm(MLP(v, sums)), and p = v @ w_next for the next."""
    h = v.shape[1]
    u = np.empty((BLOCK, h), np.float32)
    y = np.empty((BLOCK, h), np.float32)
    sums = np.empty((BLOCK, 2 * h), np.float32)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        n = stop - start
        block = v[start:stop]
        _gather_sums(sums[:n], m, start, offset_b, offset_a, order_a)
        np.dot(block, w_own, u[:n])
        np.dot(sums[:n], w_sums, y[:n])
        _add_bias_relu(u[:n], y[:n], b1)
        np.dot(u[:n], w2, y[:n])
        _add_norm(block, y[:n], b2, gain, bias)
        np.dot(block, w_next, p[start:stop])
        _bias(p[start:stop], b_next)


@njit(**JIT)
def _triplet_scores(begin, end, m, p, a, b, w_state, w_out, b_out, out):
    h = m.shape[1]
    u = np.empty((BLOCK, h), np.float32)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
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

    def __init__(self, config: InteractionNetworkConfig, state: Mapping[str, np.ndarray]) -> None:
        """Arrange the weights of a network, named and shaped as in `config.state_shapes()`."""
        self.config = config

        def matrix(name: str) -> np.ndarray:
            return np.ascontiguousarray(state[name].T)

        def mlp(name: str) -> tuple[np.ndarray, ...]:
            return (
                matrix(f"{name}.0.weight"),
                state[f"{name}.0.bias"],
                matrix(f"{name}.2.weight"),
                state[f"{name}.2.bias"],
            )

        def norm(name: str) -> tuple[np.ndarray, np.ndarray]:
            return state[f"{name}.weight"], state[f"{name}.bias"]

        self._embed = state["embed.weight"]
        self._encode_edge, self._encode_triplet = mlp("encode_edge"), mlp("encode_triplet")
        self._edge_score = mlp("edge_score")
        h, steps = self.config.width, range(self.config.steps)
        self._messages = [
            (
                matrix(f"state.{k}.weight"),
                matrix(f"message.{k}.weight"),
                state[f"message.{k}.bias"],
                *norm(f"message_norm.{k}"),
            )
            for k in steps
        ]
        self._updates = [
            (*_split(h, *mlp(f"update.{k}")), *norm(f"update_norm.{k}")) for k in steps
        ]
        w1, b1, w2, b2 = mlp("triplet_score")
        self._triplet_score = (
            np.ascontiguousarray(w1[2 * h :]),
            np.ascontiguousarray(w2[:, 0]),
            b2[0],
        )
        # Maps of an edge's state to the triplets it begins and ends: of each step, of the scores.
        firsts = [(matrix(f"first.{k}.weight"), state[f"first.{k}.bias"]) for k in steps]
        seconds = [matrix(f"second.{k}.weight") for k in steps]
        self._projections = [
            (np.concatenate([first, second], axis=1), np.append(bias, np.zeros(h, np.float32)))
            for (first, bias), second in zip(
                [*firsts, (w1[:h], b1)], [*seconds, w1[h : 2 * h]], strict=True
            )
        ]

    @classmethod
    def of(cls, network: InteractionNetwork) -> FusedInference:
        """The forward pass of a torch module."""
        state = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
        return cls(network.config, state)

    def __call__(self, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        """Logits of the E edges and T triplets of a graph, float32."""
        h = self.config.width
        n, t = graph.n_edges, graph.n_triplets
        a = np.ascontiguousarray(graph.triplet_index[0])
        b = np.ascontiguousarray(graph.triplet_index[1])
        offset_b, _ = group_by(b, n)
        offset_a, order_a = group_by(a, n)
        v = np.empty((n, h), np.float32)
        m = np.empty((t, h), np.float32)
        p = np.empty((n, 2 * h), np.float32)
        features = np.concatenate([graph.edge_features, self._embed[graph.edge_pair]], axis=1)
        triplet_features = np.ascontiguousarray(graph.triplet_features)
        run(_encode, n, features, *self._encode_edge, v, block=BLOCK)
        run(_encode, t, triplet_features, *self._encode_triplet, m, block=BLOCK)
        run(_project, n, v, *self._projections[0], p, block=BLOCK)
        for message, update, projection in zip(
            self._messages, self._updates, self._projections[1:], strict=True
        ):
            run(_messages, t, m, p, a, b, *message, block=BLOCK)
            groups = offset_b, offset_a, order_a
            run(_update, n, v, m, p, *groups, *update, *projection, block=BLOCK)
        edge = np.empty((n, 1), np.float32)
        run(_encode, n, v, *self._edge_score, edge, block=BLOCK)
        triplet = np.empty(t, np.float32)
        run(_triplet_scores, t, m, p, a, b, *self._triplet_score, triplet, block=BLOCK)
        return edge[:, 0], triplet


def _split(h: int, w1: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, ...]:
    """The rows of `w1` that act on the edge's own state, and on the sums of messages."""
    return np.ascontiguousarray(w1[:h]), np.ascontiguousarray(w1[h:]), *rest
