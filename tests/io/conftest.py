"""Small event files for the tests of trkx.io, made with uproot alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

BARCODE = ("vertex_primary", "vertex_secondary", "particle", "generation", "sub_particle")

Columns = dict[str, np.ndarray]


class Sample:
    """Columns of three small events, to be spoiled by a test and then written.

    Event 0 has 3 particles with 4 measurements each, the last measurement merged from
    particles 0 and 1, and one noise hit; event 1 has one particle but no hits; event 2 has
    one hit. Modules are 1, 2, … of layer 2 in volume 8.
    """

    def __init__(self, first: int = 0) -> None:
        rng = np.random.default_rng(900001)
        sizes = {0: 14, 1: 0, 2: 1}
        self.event_nr = np.concatenate([np.full(n, first + e) for e, n in sizes.items()])
        self.measurement_id = np.concatenate([np.arange(n) for n in sizes.values()])
        n = len(self.event_nr)
        sensitive = np.concatenate([np.arange(1, m + 1) for m in sizes.values()])
        self.geometry_id = (
            (8 << 56) | (2 << 36) | (sensitive.astype(np.uint64) << np.uint64(8))
        ).astype(np.uint64)
        position = rng.normal(0, 100, (3, n)).astype(np.float32)
        self.spacepoints: Columns = {
            "event_id": self.event_nr.astype(np.uint32),
            "measurement_id": self.measurement_id.astype(np.uint64),
            "geometry_id": self.geometry_id,
            "measurement_id_2": np.zeros(n, np.uint64),
            "geometry_id_2": np.zeros(n, np.uint64),
            "x": position[0],
            "y": position[1],
            "z": position[2],
            "r": np.hypot(position[0], position[1]),
            "t": np.full(n, np.nan, np.float32),
            "var_r": np.full(n, 0.01, np.float32),
            "var_z": np.full(n, 0.02, np.float32),
        }
        self.measurements: Columns = {
            "event_nr": self.event_nr.astype(np.int32),
            "volume_id": np.full(n, 8, np.int32),
            "layer_id": np.full(n, 2, np.int32),
            "surface_id": sensitive.astype(np.int32),
            "extra_id": np.zeros(n, np.int32),
            "rec_loc0": rng.normal(0, 1, n).astype(np.float32),
            "rec_loc1": rng.normal(0, 1, n).astype(np.float32),
            "var_loc0": np.full(n, 1e-4, np.float32),
            "var_loc1": np.full(n, 2e-4, np.float32),
            "rec_gx": position[0],
            "rec_gy": position[1],
            "rec_gz": position[2],
            "clus_size_loc0": np.arange(1, n + 1, dtype=np.int32),
            "clus_size_loc1": np.full(n, 2, np.int32),
            "measurement_id": self.measurement_id.astype(np.uint32),
            "geometry_id": self.geometry_id,
        }
        owners = [[i % 3] for i in range(12)] + [[0, 1], []] + [[0]]
        self.owners = ak.Array(owners)
        n_particles = [3, 1, 2]
        self.particle_event = np.arange(first, first + 3, dtype=np.uint32)
        self.barcodes = {
            "vertex_primary": ak.Array([[1] * k for k in n_particles]),
            "vertex_secondary": ak.Array([[0] * k for k in n_particles]),
            "particle": ak.Array([list(range(10, 10 + k)) for k in n_particles]),
            "generation": ak.Array([[0] * k for k in n_particles]),
            "sub_particle": ak.Array([[0] * k for k in n_particles]),
        }
        self.momentum = {
            axis: ak.Array([[1.0 + i + 0.25 * j for j in range(k)] for k in n_particles])
            for i, axis in enumerate(("px", "py", "pz"))
        }

    def write(self, folder: Path, kinds: str = "spacepoints measurements particles") -> Path:
        """Write the files and return their folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in kinds.split():
            with uproot.recreate(folder / f"{kind}.root") as file:
                getattr(self, f"_write_{kind}")(file)
        return folder

    def _write_spacepoints(self, file: uproot.WritableDirectory) -> None:
        file.mktree("spacepoints", self.spacepoints)

    def _write_measurements(self, file: uproot.WritableDirectory) -> None:
        components = {"vertex_primary": 1, "vertex_secondary": 0, "generation": 0}
        columns = dict(self.measurements)
        zero = self.owners * 0
        for name in BARCODE:
            value = self.owners + 10 if name == "particle" else zero + components.get(name, 0)
            columns[f"particles_{name}"] = ak.values_astype(value, np.uint32)
        file.mktree("measurements", columns)

    def _write_particles(self, file: uproot.WritableDirectory) -> None:
        columns = {"event_id": self.particle_event}
        columns |= {n: ak.values_astype(v, np.uint32) for n, v in self.barcodes.items()}
        columns |= {n: ak.values_astype(v, np.float32) for n, v in self.momentum.items()}
        file.mktree("particles", columns)


@pytest.fixture
def sample() -> Sample:
    """Three small events, not yet written."""
    return Sample()


@pytest.fixture
def make_sample() -> Callable[[int], Sample]:
    """Build the three small events with event numbers from a given one on."""
    return Sample
