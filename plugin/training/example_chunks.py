"""The examples of each epoch, made from the events of that epoch's chunk when it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic

from trkx.plugin.training.examples import (
    DiskExamples,
    Example,
    Make,
    only_one,
    write_atomic,
)
from trkx.plugin.training.stages import Events


class ExampleChunks(Generic[Example]):
    """Data for `fit` from a stream of events of any length, with bounded memory.

    Events in one chunk are made into examples once, on disk. Of several chunks, each epoch uses
    one; examples of a chunk are kept for its next turn only if `keep`.

    Args:
        events: where they come from.
        make: event to example.
        folder: for the examples.
        kind: class of the examples, a NamedTuple of tensors.
        size: edges, or whatever the work grows with.
        collate: joins examples to a batch.
        key: what examples depend on, beside the events; JSON.
        keep: keep the examples of all chunks on disk.
    """

    def __init__(
        self,
        events: Events,
        make: Make,
        folder: Path,
        kind: type[Example],
        size: Callable[[Example], int],
        collate: Callable[[Sequence[Example]], Any] = only_one,
        key: Any = None,
        keep: bool = True,
    ) -> None:
        self.events, self.make, self.folder, self.key, self.keep = events, make, folder, key, keep
        self._new = lambda path: DiskExamples(path, kind, size, collate)
        self._current: tuple[int, DiskExamples[Example]] | None = None

    @property
    def notes(self) -> dict[str, Any]:
        """What `make` noted of the first chunk's events; kept when that chunk is gone."""
        path = self.folder / "notes.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            notes = self.at_epoch(0).notes
            write_atomic(path, json.dumps(notes).encode())
            return notes

    def at_epoch(self, epoch: int) -> DiskExamples[Example]:
        """Examples of an epoch; those of the last one may be gone."""
        number = epoch % self.events.n_chunks
        if self._current is not None and self._current[0] == number:
            return self._current[1]
        if self._current is not None and not self.keep and _rank() == 0:
            self._current[1].drop()
        examples: DiskExamples[Example] = self._new(self.folder / f"chunk-{number}")
        key = {"chunk": number, "of": self.events.n_chunks, "key": self.key}
        # Data-parallel processes come here together: the first makes what all read.
        if _rank() == 0:
            examples.build(lambda: self.events.chunk(number), self.make, key)
        _barrier()
        if not examples.open(key):  # on another machine, without a shared folder
            examples.build(lambda: self.events.chunk(number), self.make, key)
        self._current = (number, examples)
        return examples


def _rank() -> int:
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _barrier() -> None:
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()
