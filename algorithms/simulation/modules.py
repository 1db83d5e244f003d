"""The detector's modules as arrays: placement, outline and read-out of all 18,728 of them."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import acts
import numpy as np

from trkx.algorithms.detector import buildGenericDetector
from trkx.io.errors import GeometryIdError, InputFileError

__all__ = [
    "ModuleTable",
    "Readout",
    "config_path",
    "module_table",
    "modules_of",
    "read_readout",
]

N_VOLUMES = 256
EDGE_SIZE_MIN = 3
"""Clusters of this many channels or more are long: only these are shifted much by an edge."""


def config_path(name: str) -> Path:
    """Return the path of a JSON configuration in trkx/io/data.

    Args:
        name: file name without ending, such as `generic-digi-geometric`.
    """
    return Path(str(files("trkx.io") / "data" / f"{name}.json"))


@dataclass(frozen=True)
class ModuleTable:
    """Modules in ascending order of their geometry id.

    A local point (u, v) lies at `center + u * axis_u + v * axis_v`. The outline is a rectangle or
    a symmetric trapezoid: its half width grows linearly from `half_low` at v = -half_v to
    `half_high` at v = +half_v.
    """

    geometry_id: np.ndarray  # uint64 (M,)
    center: np.ndarray  # float64 (M, 3), mm
    axis_u: np.ndarray  # float64 (M, 3), unit vectors
    axis_v: np.ndarray  # float64 (M, 3), unit vectors
    half_low: np.ndarray  # float64 (M,), mm
    half_high: np.ndarray  # float64 (M,), mm
    half_v: np.ndarray  # float64 (M,), mm

    @property
    def volume(self) -> np.ndarray:
        """Volume ids, int64 (M,)."""
        return (self.geometry_id >> np.uint64(56)).astype(np.int64)

    @property
    def layer_key(self) -> np.ndarray:
        """One number per layer, uint64 (M,): the geometry id without the module."""
        return self.geometry_id >> np.uint64(36)

    @property
    def area(self) -> np.ndarray:
        """Sensitive areas, mm², float64 (M,)."""
        return 2.0 * self.half_v * (self.half_low + self.half_high)

    def half_u(self, module: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the half widths, mm (N,), of `module` rows at the local positions `v`."""
        low, high = self.half_low[module], self.half_high[module]
        return low + (high - low) * 0.5 * (1.0 + v / self.half_v[module])

    def index(self, geometry_id: np.ndarray) -> np.ndarray:
        """Return the rows of modules.

        Raises:
            GeometryIdError: an id that the detector does not have.
        """
        rows = np.searchsorted(self.geometry_id, geometry_id)
        known = rows < len(self.geometry_id)
        known[known] = self.geometry_id[rows[known]] == geometry_id[known]
        if not known.all():
            first = int(geometry_id[~known][0])
            raise GeometryIdError(f"the detector has no module with geometry id {first}")
        return rows

    def to_global(self, module: np.ndarray, local: np.ndarray) -> np.ndarray:
        """Return the global positions, mm (N, 3), of local points (N, 2) on `module` rows."""
        return (
            self.center[module]
            + local[:, :1] * self.axis_u[module]
            + local[:, 1:] * self.axis_v[module]
        )

    def to_local(self, module: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return the local points (N, 2) of global positions (N, 3), mm."""
        offset = position - self.center[module]
        return np.stack(
            [
                np.einsum("ij,ij->i", offset, self.axis_u[module]),
                np.einsum("ij,ij->i", offset, self.axis_v[module]),
            ],
            axis=1,
        )


@functools.lru_cache(maxsize=1)
def module_table() -> ModuleTable:
    """Read the modules of the GenericDetector, once per process."""
    return modules_of(buildGenericDetector()[1])


def modules_of(geometry: Any) -> ModuleTable:
    """Read the modules of a tracking geometry: rectangles and symmetric trapezoids."""
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    normal = acts.Vector3(0, 0, 1)
    corners = [acts.Vector2(0, 0), acts.Vector2(1, 0), acts.Vector2(0, 1)]
    identifiers, points, outlines = [], [], []
    for identifier, surface in geometry.geoIdSurfaceMap().items():
        if not surface.isSensitive:
            continue
        identifiers.append(identifier.value)
        places = [surface.localToGlobal(context, corner, normal) for corner in corners]
        points.append([[p[0], p[1], p[2]] for p in places])
        bounds = surface.bounds
        values = list(bounds.values())
        if isinstance(bounds, acts.RectangleBounds):
            # minimum u and v, maximum u and v
            outlines.append((values[2], values[2], values[3]))
        else:
            # half length in u at -v and at +v, half length in v (and a rotation, 0 here)
            outlines.append(tuple(values[:3]))
    ids = np.array(identifiers, dtype=np.uint64)
    order = np.argsort(ids)
    at = np.array(points, dtype=np.float64)[order]
    outline = np.array(outlines, dtype=np.float64)[order]
    return ModuleTable(
        geometry_id=ids[order],
        center=at[:, 0],
        axis_u=at[:, 1] - at[:, 0],
        axis_v=at[:, 2] - at[:, 0],
        half_low=outline[:, 0],
        half_high=outline[:, 1],
        half_v=outline[:, 2],
    )


@dataclass(frozen=True)
class Readout:
    """Pitch and resolution of each volume, from the digitization configuration.

    Rows are volume ids; volumes that are not configured hold NaN.
    """

    pitch: np.ndarray  # float64 (256, 2), mm
    edge: np.ndarray  # float64 (256, 2), mm; where the channels start
    sigma: np.ndarray
    """float64 (256, 2, S), mm; resolution along u and v for clusters of s + 1 channels, the last
    entry for all larger ones; smeared measurements have one entry"""

    def variances(
        self, modules: ModuleTable, module: np.ndarray, local: np.ndarray, size: np.ndarray
    ) -> np.ndarray:
        """Return the variances of measurements, as a cluster calibration would tell them.

        They are tabulated by cluster size. A long cluster that ends at the edge of its module is
        cut off by an unknown amount, which shifts its centre; half its length is added.

        Args:
            modules: the detector.
            module: int64 (N,), rows of `modules`.
            local: float64 (N, 2), measured positions, mm.
            size: int64 (N, 2), channels.

        Returns:
            float64 (N, 2), mm².
        """
        volume = modules.volume[module]
        row = np.clip(size, 1, self.sigma.shape[2]) - 1
        variances = self.sigma[volume[:, None], np.arange(2)[None, :], row] ** 2
        length = size * self.pitch[volume]
        reach = np.abs(local) + 0.5 * length
        half = np.stack([modules.half_u(module, local[:, 1]), modules.half_v[module]], axis=1)
        cut = (size >= EDGE_SIZE_MIN) & (reach > half - self.pitch[volume])
        return variances + np.where(cut, length**2 / 12.0, 0.0)


@functools.lru_cache(maxsize=4)
def read_readout(path: Path) -> Readout:
    """Read an ACTS digitization configuration with one entry per volume.

    Raises:
        InputFileError: there is no such file, or it is none.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            f"digitization: cannot read {path}: {error!r}; give a file with the key 'entries', as "
            "ACTS' digitization configurations have"
        ) from error
    pitch = np.full((N_VOLUMES, 2), np.nan)
    edge = np.full((N_VOLUMES, 2), np.nan)
    sigmas: dict[tuple[int, int], list[float]] = {}
    for entry in entries:
        volume, value = entry["volume"], entry["value"]
        if "geometric" in value:
            geometric = value["geometric"]
            for i, axis in enumerate(geometric["segmentation"]["binningdata"]):
                pitch[volume, i] = (axis["max"] - axis["min"]) / axis["bins"]
                edge[volume, i] = axis["min"]
                sigmas[volume, i] = [pitch[volume, i] / np.sqrt(12.0)]
            for variance in geometric.get("variances", ()):
                sigmas[volume, variance["index"]] = variance["rms"]
        else:
            for parameter in value["smearing"]:
                sigmas[volume, parameter["index"]] = [parameter["stddev"]]
    longest = max(len(values) for values in sigmas.values())
    sigma = np.full((N_VOLUMES, 2, longest), np.nan)
    for (volume, i), values in sigmas.items():
        sigma[volume, i] = values + [values[-1]] * (longest - len(values))
    return Readout(pitch=pitch, edge=edge, sigma=sigma)
