"""Branches of the files that `trkx simulate` writes: names and types of ACTS' C++ writers.

Length is in mm, momentum, energy and mass in GeV, charge in e, angle in rad; time is c·t in mm.
References: ACTS Examples/Io/Root (RootSpacePointWriter, RootMeasurementWriter,
RootParticleWriter, RootSimHitWriter) and Plugins/Root (RootMeasurementIo).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = [
    "BARCODE",
    "HITS",
    "MEASUREMENTS",
    "PARTICLES",
    "SPACE_POINTS",
    "STRIP_COLUMNS",
    "STRIP_TREES",
    "TREES",
    "Branch",
    "TreeSchema",
    "units_of",
]

BARCODE = ("vertex_primary", "vertex_secondary", "particle", "generation", "sub_particle")
"""The five numbers that identify a simulated particle within its event."""


@dataclass(frozen=True)
class Branch:
    """One column of a tree."""

    name: str
    dtype: str
    """NumPy type code"""
    unit: str = ""
    """empty: a number without unit"""


@dataclass(frozen=True)
class TreeSchema:
    """One tree of one file."""

    tree: str
    event_branch: str
    """scalar branch with the event number, first of the tree"""
    branches: tuple[Branch, ...]
    jagged: str = ""
    """name of the group of jagged branches that share a counter; empty: none"""
    jagged_prefix: str = ""
    """put before the names of the jagged branches"""
    jagged_branches: tuple[Branch, ...] = ()
    row: str = "row"
    """what one entry is"""

    @property
    def file_name(self) -> str:
        """Name of the file that holds this tree."""
        return f"{self.tree}.root"

    @property
    def counter(self) -> str:
        """Branch with the length of the jagged branches."""
        return f"n_{self.jagged}"


def _branches(dtype: str, unit: str, *names: str) -> tuple[Branch, ...]:
    return tuple(Branch(name, dtype, unit) for name in names)


SPACE_POINTS = TreeSchema(
    tree="spacepoints",
    event_branch="event_id",
    branches=(
        Branch("event_id", "u4"),
        Branch("measurement_id", "u8"),
        Branch("geometry_id", "u8"),
        Branch("measurement_id_2", "u8"),
        Branch("geometry_id_2", "u8"),
        *_branches("f4", "mm", "x", "y", "z", "r", "t"),
        *_branches("f4", "mm²", "var_r", "var_z"),
    ),
    row="space point",
)

STRIP_COLUMNS = ("is_strip", *(f"cluster{i}_{axis}" for i in (1, 2) for axis in "xyz"))
"""Columns of space points where strip modules have two sensors: whether it is made of two clusters,
and the global positions of the clusters; that of a strip is the middle of the strip. The second
position is NaN, and `geometry_id_2` is 0, where there is one cluster only."""

MEASUREMENTS = TreeSchema(
    tree="measurements",
    event_branch="event_nr",
    branches=(
        *_branches("i4", "", "event_nr", "volume_id", "layer_id", "surface_id", "extra_id"),
        Branch("measurement_id", "u4"),
        Branch("geometry_id", "u8"),
        *_branches("f4", "mm", "rec_loc0", "rec_loc1", "rec_time"),
        *_branches("f4", "mm²", "var_loc0", "var_loc1", "var_time"),
        *_branches("f4", "mm", "rec_gx", "rec_gy", "rec_gz"),
        *_branches("i4", "channels", "clus_size", "clus_size_loc0", "clus_size_loc1"),
        *_branches("f4", "mm", "true_loc0", "true_loc1"),
        *_branches("f4", "rad", "true_phi", "true_theta"),
        Branch("true_qop", "f4", "e/GeV"),
        *_branches("f4", "mm", "true_time", "true_x", "true_y", "true_z"),
        *_branches("f4", "rad", "true_incident_phi", "true_incident_theta"),
        *_branches("f4", "mm", "residual_loc0", "residual_loc1", "residual_time"),
        *_branches("f4", "", "pull_loc0", "pull_loc1", "pull_time"),
    ),
    jagged="measurement_particles",
    jagged_prefix="particles_",
    jagged_branches=_branches("u4", "", *BARCODE),
    row="measurement",
)

PARTICLES = TreeSchema(
    tree="particles",
    event_branch="event_id",
    branches=(Branch("event_id", "u4"),),
    jagged="particles",
    jagged_branches=(
        Branch("particle_hash", "u8"),
        Branch("particle_type", "i4"),
        Branch("process", "u4"),
        *_branches("f4", "mm", "vx", "vy", "vz", "vt"),
        *_branches("f4", "GeV", "px", "py", "pz", "p", "pt", "m"),
        Branch("q", "f4", "e"),
        Branch("eta", "f4"),
        *_branches("f4", "rad", "phi", "theta"),
        Branch("q_over_p", "f4", "e/GeV"),
        *_branches("u4", "", *BARCODE),
        Branch("e_loss", "f4", "GeV"),
        *_branches("f4", "", "total_x0", "total_l0"),
        Branch("number_of_hits", "i4"),
        Branch("outcome", "u4"),
    ),
    row="event",
)

HITS = TreeSchema(
    tree="hits",
    event_branch="event_id",
    branches=(
        Branch("event_id", "u4"),
        Branch("geometry_id", "u8"),
        *_branches("u4", "", *(f"barcode_{name}" for name in BARCODE)),
        *_branches("f4", "mm", "tx", "ty", "tz", "tt"),
        *_branches("f4", "GeV", "tpx", "tpy", "tpz", "te"),
        *_branches("f4", "GeV", "deltapx", "deltapy", "deltapz", "deltae"),
        Branch("index", "i4"),
        *_branches("u4", "", "volume_id", "boundary_id", "layer_id", "approach_id", "sensitive_id"),
    ),
    row="simulated hit",
)

TREES = {schema.tree: schema for schema in (SPACE_POINTS, MEASUREMENTS, PARTICLES, HITS)}
"""Schemas by tree name."""

STRIP_TREES = TREES | {
    SPACE_POINTS.tree: dataclasses.replace(
        SPACE_POINTS,
        branches=(
            *SPACE_POINTS.branches,
            Branch("is_strip", "bool"),
            *_branches("f4", "mm", *STRIP_COLUMNS[1:]),
        ),
    )
}
"""The same, with the columns of strip space points."""


def units_of(tree: str) -> dict[str, str]:
    """Return the unit of each branch of `tree`; empty for an unknown tree."""
    schema = STRIP_TREES.get(tree.lower())
    if schema is None:
        return {}
    units = {branch.name: branch.unit for branch in schema.branches}
    for branch in schema.jagged_branches:
        units[schema.jagged_prefix + branch.name] = branch.unit
    return units
