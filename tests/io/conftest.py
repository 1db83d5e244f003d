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


class AthenaToy:
    """One small event in the format of Athena's dump, to be spoiled by a test and then written.

    Clusters 0 to 5 are of pixels, 6 to 9 of strips; space points 0 to 5 are pixels, 6 joins strips
    of the same particle, 7 and 8 are crossings of strips of different ones. Particles are called by
    sub-event and barcode: barcode 1 is there twice, in sub-events 0 and 5.
    """

    def __init__(self, number: int = 0, run: int = 7) -> None:
        rng = np.random.default_rng(number)
        n, m = 10, 9
        strip = np.arange(n) >= 6
        self.scalars = {"run_number": run, "event_number": 1000 + 17 * number}
        self.counters = {"nCL": n, "nSP": m, "nPartEVT": 4}
        position = rng.normal(0, 100, (3, n))
        points = np.concatenate([position[:, :6], rng.normal(0, 100, (3, 3))], axis=1)
        self.columns: Columns = {
            "CLindex": np.arange(n, dtype=np.int32),
            "CLhardware": strip.astype(np.int8),
            **{f"CL{axis}": position[i] for i, axis in enumerate("xyz")},
            "CLbarrel_endcap": np.array([0, 0, 0, -2, 2, 2, 0, 0, 2, 2], np.int32),
            # Modules in no order, as 64-bit numbers that no double holds.
            "CLmoduleID": (np.uint64(3) << np.uint64(60))
            + np.array([9, 3, 3, 8, 1, 2, 41, 42, 12, 11], np.uint64),
            "CLloc_direction1": np.where(strip & (np.arange(n) > 7), 0.0, np.arange(n) + 0.5),
            "CLloc_direction2": np.where(strip & (np.arange(n) < 8), 0.0, np.arange(n) - 0.5),
            "SPindex": np.arange(m, dtype=np.int32),
            **{f"SP{axis}": points[i] for i, axis in enumerate("xyz")},
            "SPCL1_index": np.array([0, 1, 2, 3, 4, 5, 6, 8, 8], np.int32),
            "SPCL2_index": np.array([-1] * 6 + [7, 9, 7], np.int32),
            "SPisOverlap": np.array([-1] * 6 + [0, 1, 2], np.int32),
            "SPcovr": np.full(m, 0.01),
            "SPcovz": np.full(m, 0.02),
            "Part_event_number": np.array([0, 0, 5, 0], np.int32),
            "Part_barcode": np.array([1, 2, 1, 200001], np.int32),
            "Part_pdg_id": np.array([211, -13, 2212, 22], np.int32),
            "Part_px": np.array([1500.0, 0.0, 300.0, 10.0], np.float32),
            "Part_py": np.array([0.0, 2000.0, 400.0, 0.0], np.float32),
            "Part_pz": np.array([1000.0, 1.0, -1.0, 3.0], np.float32),
            "Part_pt": np.array([1500.0, 2000.0, 500.0, 10.0], np.float32),
            "Part_eta": np.arcsinh([1000 / 1500, 1 / 2000, -1 / 500, 0.3]).astype(np.float32),
            "Part_charge": np.array([1.0, 1.0, 1.0, 0.0], np.float32),
            **{f"Part_v{axis}": np.arange(4, dtype=np.float32) for axis in "xyz"},
        }
        self.lists: dict[str, tuple[type, list[list]]] = {
            "CLparticleLink_eventIndex": (
                np.int32,
                [[0], [0, 5], [], [5, 5], [0], [5], [0], [0], [0], [0]],
            ),
            "CLparticleLink_barcode": (
                np.int32,
                [[1], [1, 1], [], [1, 1], [2], [77], [1], [1], [2], [1]],
            ),
            "CLlocal_cov": (
                np.float64,
                [[0.01, 0.0, 0.0, 0.04]] * 6 + [[0.25], [0.25], [0.0, 0.36], [0.0, 0.36]],
            ),
            "CLphis": (np.int32, [[5, 6], [5], [7], [7], [1], [1], *[[-1, -1, -1]] * 4]),
            "CLetas": (np.int32, [[3, 9], [2], [1], [1], [1], [1], *[[70, 71, 72]] * 4]),
            "SPtopStripDirection": (np.float32, [[]] * 6 + [[1.0, 0.0, 0.0]] * 3),
        }

    def drop(self, *names: str) -> AthenaToy:
        """Leave out branches."""
        for name in names:
            self.columns.pop(name, None)
            self.lists.pop(name, None)
        return self


@pytest.fixture
def athena_toy() -> Callable[..., AthenaToy]:
    """Build a small event of an Athena dump."""
    return AthenaToy


@pytest.fixture
def write_athena(tmp_path: Path) -> Callable[..., Path]:
    """Write small events as `trkx convert` does, but with counters that a test may have spoiled."""

    def write(*events: AthenaToy, name: str = "dump.root", tree: str = "GNN4ITk") -> Path:
        branches: dict[str, object] = {
            name: np.array([event.scalars[name] for event in events], kind)
            for name, kind in (("run_number", np.uint32), ("event_number", np.uint64))
        }
        branches |= {
            name: np.array([event.counters[name] for event in events], np.int32)
            for name in events[0].counters
        }
        for column in events[0].columns:
            values = ak.Array([event.columns[column] for event in events])
            branches[column] = ak.values_astype(values, events[0].columns[column].dtype)
        for column, (kind, _) in events[0].lists.items():
            flat = [ak.flatten(ak.Array([[], *event.lists[column][1]])) for event in events]
            sizes = [[len(item) for item in event.lists[column][1]] for event in events]
            branches[column] = ak.values_astype(ak.Array(flat), kind)
            branches[f"{column}_size"] = ak.values_astype(ak.Array(sizes), np.int32)
        with uproot.recreate(tmp_path / name) as file:
            file.mktree(tree, branches)
        return tmp_path / name

    return write
