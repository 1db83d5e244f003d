"""Inference of edge networks in sub-steps: blocks of edges under a memory budget in bytes."""

from __future__ import annotations

import logging
import mmap
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from trkx.plugin.errors import StageError

_LOG = logging.getLogger(__name__)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
SMALLEST_BLOCK = 256  # rows; below, calls cost more than they compute
CACHE = 4 << 20  # bytes of a block on a CPU: measured; larger ones leave the caches
_SHARE = 0.8  # of the free memory that a budget of "auto" takes


@dataclass(frozen=True)
class Footprint:
    """Bytes that a network needs for one graph, besides its inputs."""

    state: int  # of all edges between the steps; can be kept off the device
    nodes: int  # of arrays as long as the graph has nodes, and of the scores
    row: int  # of one edge of a block, and of one node


@runtime_checkable
class Substepped(Protocol):
    """A network that can score edges block by block."""

    def footprint(self, n_nodes: int, n_edges: int) -> Footprint: ...

    def scores_in_blocks(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        rows: int,
        offload: bool = False,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Plan:
    """How a graph is evaluated."""

    rows: int  # edges of a block
    offload: bool  # states of edges are kept off the device


def blocks(n: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` that cover n rows."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


class StateStore:
    """An uninitialised (n, width) float32 array of the states of edges, `states`.

    Off a GPU it is in the host's memory. Off a CPU it is a file without a name, whose pages
    leave the process after each block; the system keeps them in memory as long as it can.
    """

    def __init__(self, n: int, width: int, device: torch.device, offload: bool) -> None:
        self._row, self._pages = 4 * width, None
        if not offload or n == 0:
            self.states = torch.empty(n, width, device=device)
        elif device.type != "cpu":
            self.states = torch.empty(n, width, pin_memory=True)
        else:
            with tempfile.TemporaryFile(prefix="trkx-") as file:
                file.truncate(n * self._row)
                self._pages = mmap.mmap(file.fileno(), n * self._row)
            self.states = torch.frombuffer(self._pages, dtype=torch.float32).view(n, width)

    def load(self, rows: slice, device: torch.device) -> Tensor:
        """The states of a block on the device: themselves, unless they are on another."""
        return self.states[rows].to(device)

    def store(self, rows: slice, values: Tensor | None = None) -> None:
        """Done with a block; keep new values, or those written in place."""
        if values is not None and values.data_ptr() != self.states[rows].data_ptr():
            self.states[rows] = values
        if self._pages is not None:
            start = rows.start * self._row // mmap.PAGESIZE * mmap.PAGESIZE
            self._pages.madvise(mmap.MADV_DONTNEED, start, rows.stop * self._row - start)


def parse_budget(budget: str | int) -> int | None:
    """Bytes of a budget such as "4 GiB", "500 MB" or 1000000; None for "auto".

    Raises:
        StageError: no such size.
    """
    if isinstance(budget, str) and budget.strip().lower() == "auto":
        return None
    found = re.fullmatch(r"\s*([0-9.]+)\s*([kmg]i?)?b?\s*", str(budget).lower())
    try:
        size = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    except ValueError:
        size = 0
    if size <= 0:
        raise StageError(
            f"memory_budget is {budget!r}; expected a size such as '4 GiB' or '500 MB', or 'auto'"
        )
    return size


def free_memory(device: torch.device) -> int:
    """Bytes that are free now on a device; for a CPU what the system could hand out."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # Blocks that torch keeps for itself are free for us.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 4 << 30  # no /proc: a modest guess


def plan(footprint: Footprint, n_edges: int, budget: int, device: torch.device) -> Plan:
    """Blocks that fit a budget.

    On a GPU the largest that fit, on a CPU no larger than its cache. States of edges go off the
    device where nothing else helps. A budget below the rest gives the smallest block.
    """
    rest = budget - footprint.nodes - footprint.state
    smallest = SMALLEST_BLOCK * footprint.row
    offload = footprint.state > 0 and rest < smallest
    if offload:
        rest += footprint.state
    if device.type == "cpu":
        rest = min(rest, CACHE)
    rows = max(rest // footprint.row, SMALLEST_BLOCK)
    return Plan(min(rows, max(n_edges, SMALLEST_BLOCK)), offload)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short: torch raises plain ones on a CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text or "out of memory" in text
    )


@torch.inference_mode()
def score_edges(
    network: nn.Module,
    x: Tensor,
    edge_index: Tensor,
    edge_attr: Tensor | None = None,
    budget: str | int = "auto",
) -> Tensor:
    """Logits of all edges, computed in blocks that keep to a memory budget.

    The sums are those of `network(x, edge_index, edge_attr)` in another order. Where memory is
    short all the same the budget is halved, with a warning, and the graph evaluated again.

    Args:
        network: an edge network; one that is not `Substepped` is called as it is.
        x: (N, F) node features.
        edge_index: (2, E) int64.
        edge_attr: (E, G) edge features or None.
        budget: of the working memory besides the inputs; "auto": most of what is free.

    Returns:
        (E,) float32.

    Raises:
        StageError: not even the smallest blocks fit.
    """
    n_nodes, n_edges = x.shape[0], edge_index.shape[1]
    if n_edges == 0:
        return torch.zeros(0, device=x.device)
    if not isinstance(network, Substepped):
        return network(x, edge_index, edge_attr).float()
    footprint = network.footprint(n_nodes, n_edges)
    size = parse_budget(budget) or int(_SHARE * free_memory(x.device))
    while True:
        planned = plan(footprint, n_edges, size, x.device)
        least = footprint.nodes + planned.rows * footprint.row
        if size < least:
            _LOG.warning(
                "memory budget of %.0f MiB: %d nodes and %d edges need %.0f MiB even in blocks of "
                "%d edges",
                *(size / 2**20, n_nodes, n_edges, least / 2**20, planned.rows),
            )
        try:
            return network.scores_in_blocks(
                x, edge_index, edge_attr, planned.rows, planned.offload
            ).float()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size < least:
                raise StageError(
                    f"edge network: out of memory on {x.device} with {n_nodes} nodes and {n_edges} "
                    f"edges, even in blocks of {planned.rows} edges; at least "
                    f"{least / 2**20:.0f} MiB are needed. Use a narrower network, or drop "
                    "edges before it"
                ) from error
            _LOG.warning("out of memory with a budget of %.0f MiB; halved", size / 2**20)
        # Outside of `except`: the error holds on to the arrays of the failed attempt.
        size //= 2
        if x.device.type == "cuda":
            torch.cuda.empty_cache()
