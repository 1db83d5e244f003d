"""What may be trained on, and what a model card says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trkx.io.errors import ConfigError, InputError, TrkxError
from trkx.io.event_sources import EventInput, open_events
from trkx.io.provenance import read_provenance

__all__ = ["FIRST_TEST_SEED", "PT_MIN", "input_provenance", "open_training_events"]

PT_MIN = {"pt1": 1.0, "pt05": 0.5}
"""Lowest pT of the tracks of each target, GeV."""

FIRST_TEST_SEED = 900000
"""Events of this seed and above are for tests: a model that has seen them proves nothing."""


def input_provenance(inputs: Sequence[str]) -> list[Any]:
    """What the files of each input say of their making; None: nothing."""
    found = []
    for folder in inputs:
        try:
            path = Path(folder)
            found.append(read_provenance(path if path.is_file() else path / "measurements.root"))
        except (TrkxError, OSError, KeyError, ValueError):  # files of other programs carry none
            found.append(None)
    return found


def open_training_events(inputs: Sequence[str]) -> EventInput:
    """Open simulated events to train, or to choose settings, on.

    Raises:
        InputError: there is no truth.
        ConfigError: the events are reserved for tests.
    """
    for folder, made in zip(inputs, input_provenance(inputs), strict=True):
        seed = made.get("seed") if isinstance(made, dict) else None
        if isinstance(seed, int) and seed >= FIRST_TEST_SEED:
            raise ConfigError(
                f"{folder}: simulated with seed {seed}; seeds from {FIRST_TEST_SEED} on are for "
                "tests only. Simulate others: trkx simulate --seed 1"
            )
    files = open_events(inputs)
    if not (files.has_truth and files.has_measurements):
        raise InputError(
            f"training and scores need truth, which {', '.join(inputs)} does not have; add "
            "measurements.root and particles.root of the same events"
        )
    return files
