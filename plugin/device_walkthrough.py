"""The walkthrough on torch tensors, wherever these are: the graph never leaves the device.

The same tracks as `Walkthrough` finds without a layer map. What there is one sweep over the edges
in order is a relaxation here: as many steps as the longest path has edges, each for all edges at
once. The order of the edges does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trkx.plugin.device_components import connected_labels, first_best
from trkx.plugin.walkthrough import WalkthroughConfig


def walkthrough_labels(
    edge_index: Tensor,
    probability: Tensor,
    module: Tensor,
    config: WalkthroughConfig | None = None,
) -> tuple[Tensor, Tensor]:
    """Tracks of one graph.

    Args:
        edge_index: (2, E) int64, source and target of a graph without cycles.
        probability: (E,) float32 edge scores from 0 to 1.
        module: (N,) int64 module of each node.
        config: as of `Walkthrough`; its `paths` are always the best ones, `min_pt` is not used.

    Returns:
        (N,) int64 track of each node, -1: none; (T,) float32 scores.
    """
    c = config or WalkthroughConfig()
    finder = _Finder(edge_index, probability, module, c)
    rest = finder.simple_components(c.component_cut)
    walk = rest & (probability > c.walk_cut)
    best = first_best(edge_index[0], torch.where(walk, probability, -torch.inf), len(module))
    row = torch.arange(len(probability), device=probability.device)
    walk = walk & ((probability > c.add_cut) | (best[edge_index[0]] == row))
    for _ in range(c.passes):
        if not finder.best_paths(walk):
            break
    return finder.label, finder.score


class _Finder:
    """Tracks of one graph while they are found."""

    def __init__(self, edge_index: Tensor, p: Tensor, module: Tensor, c: WalkthroughConfig) -> None:
        self.source, self.target = edge_index
        self.p, self.module, self.c = p, module, c
        self.label = torch.full_like(module, -1)
        self.used = torch.zeros_like(module, dtype=torch.bool)
        self.score = p.new_zeros(0)

    def simple_components(self, cut: float) -> Tensor:
        """Make tracks of simple chains; returns (E,) bool, the edges of other components."""
        mask = self.p > cut
        component = connected_labels(torch.stack([self.source, self.target]), len(self.used), mask)
        n = len(self.used)
        a, b = self.source[mask], self.target[mask]
        branch = (torch.bincount(a, minlength=n) > 1) | (torch.bincount(b, minlength=n) > 1)
        branched = torch.bincount(component[branch], minlength=n) > 0
        size = torch.bincount(component, minlength=n)
        keep = ~branched & (size >= max(self.c.min_path, 2))
        number = torch.cumsum(keep, 0) - 1
        path = torch.where(keep[component], number[component], -1)
        of_edge = path[a]
        inside = of_edge >= 0
        total = self.p.new_zeros(int(keep.sum())).double()
        total.index_add_(0, of_edge[inside], self.p[mask][inside].double())
        self._add(path, (total / (size[keep] - 1)).float())
        return mask & branched[component[self.source]]

    def best_paths(self, walk: Tensor) -> bool:
        """One pass; whether it found anything."""
        n = len(self.used)
        walk = walk & ~self.used[self.source] & ~self.used[self.target]
        a, b, p = self.source[walk], self.target[walk], self.p[walk]
        best = p.new_zeros(n)
        while True:
            new = torch.zeros_like(best).scatter_reduce(0, b, best[a] + p, "amax")
            if torch.equal(new, best):
                break
            best = new
        last = first_best(b, best[a] + p, n)
        node = torch.arange(n, device=best.device)
        # A node whose best predecessor adds nothing begins a path.
        has = best > 0
        back = node.clone()
        back[has] = a[last[has]]
        jump, length = back, has.long()
        while True:
            further = jump[jump]
            if torch.equal(further, jump):
                break
            length = length + length[jump]
            jump = further
        enough = length + 1 >= self.c.min_path
        candidate = torch.nonzero(enough).squeeze(1)
        if len(candidate) == 0:
            return False
        winner = first_best(jump[candidate], best[candidate], n)
        end = torch.sort(candidate[winner[winner < len(candidate)]]).values
        end = end[torch.argsort(-best[end], stable=True)]
        path = torch.full_like(self.label, -1)
        track = torch.arange(len(end), device=end.device)
        at = end
        for _ in range(int(length[end].max()) + 1):
            path[at] = track
            at = back[at]
        self._add(path, best[end] / length[end].clamp(min=1))
        return True

    def _add(self, path: Tensor, score: Tensor) -> None:
        """Attach hits beside the paths (N,), and keep the tracks that are long enough then."""
        self.used |= path >= 0
        if self.c.attach_cut < 1.0:
            path = self._attach(path, len(score))
            self.used |= path >= 0
        size = torch.bincount(path[path >= 0], minlength=len(score))
        keep = size >= self.c.min_hits
        number = torch.cumsum(keep, 0) - 1 + len(self.score)
        hit = torch.nonzero(path >= 0).squeeze(1)
        hit = hit[keep[path[hit]]]
        self.label[hit] = number[path[hit]]
        self.score = torch.cat([self.score, score[keep]])

    def _attach(self, path: Tensor, n_tracks: int) -> Tensor:
        """See `attach_by_scores`."""
        ok = self.p > self.c.attach_cut
        a, b, p = self.source[ok], self.target[ok], self.p[ok].double()
        outward = ~self.used[b] & (path[a] >= 0)
        inward = ~self.used[a] & (path[b] >= 0)
        hit = torch.cat([b[outward], a[inward]])
        if len(hit) == 0:
            return path
        track = torch.cat([path[a[outward]], path[b[inward]]])
        pair, which = torch.unique(hit * n_tracks + track, return_inverse=True)
        total = p.new_zeros(len(pair))
        total.index_add_(0, which, torch.cat([p[outward], p[inward]]))
        total = total.float()
        hit, track = pair // n_tracks, pair % n_tracks
        best = first_best(hit, total, len(path))  # pairs ascend by track: the earlier track wins
        best = best[best < len(pair)]
        hit, track, total = hit[best], track[best], total[best]
        order = torch.argsort(-total, stable=True)
        hit, track = hit[order], track[order]
        stride = int(self.module.max()) + 1
        key = track * stride + self.module[hit]
        on_path = torch.nonzero(path >= 0).squeeze(1)
        taken = torch.isin(key, path[on_path] * stride + self.module[on_path])
        _, which = torch.unique(key, return_inverse=True)
        rank = torch.arange(len(key), device=key.device)
        first = torch.full_like(rank, len(key)).scatter_reduce(0, which, rank, "amin")
        free = ~taken & (first[which] == rank)
        path = path.clone()
        path[hit[free]] = track[free]
        return path
