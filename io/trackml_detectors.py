"""The modules of the TrackML challenge: `detectors.csv`, plain or compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from trkx.io.errors import BranchError, BranchTypeError, InputFileError, TruncatedFileError

__all__ = ["TrackMLModules", "read_detectors"]

_IDS = ("volume_id", "layer_id", "module_id")
_CENTER = ("cx", "cy", "cz")
_ROTATION = tuple(f"rot_{a}{b}" for a in "xyz" for b in "uvw")


@dataclass(frozen=True)
class TrackMLModules:
    """M modules in the order of the file.

    Attributes:
        ids: shape (M, 3), int64; volume, layer and module number.
        center: shape (M, 3), mm.
        rotation: shape (M, 3, 3); columns are the local axes u, v, w in the global frame.
    """

    ids: np.ndarray
    center: np.ndarray
    rotation: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def read_detectors(path: str | Path) -> TrackMLModules:
    """Read `detectors.csv` or `detectors.csv.gz`; of a folder, the file of that name in it.

    Raises:
        InputFileError: no such file.
        BranchError, BranchTypeError: a column is missing, or holds no numbers.
        TruncatedFileError: the file is damaged.
    """
    path = Path(path)
    if path.is_dir():
        names = ("detectors.csv", "detectors.csv.gz")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    if not path.is_file():
        raise InputFileError(f"no file {path}; it comes with the events of the TrackML challenge")
    try:
        table = pa.csv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise TruncatedFileError(f"{path}: {str(error).splitlines()[0]}; fetch it again") from error
    columns: dict[str, np.ndarray] = {}
    for name in (*_IDS, *_CENTER, *_ROTATION):
        if name not in table.column_names:
            raise BranchError(
                f"column '{name}' not in {path}; found {', '.join(table.column_names)}"
            )
        values = table.column(name)
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise BranchTypeError(f"column '{name}' of {path} holds {values.type}, not numbers")
        columns[name] = values.to_numpy()
    return TrackMLModules(
        np.stack([columns[name] for name in _IDS], axis=1).astype(np.int64),
        np.stack([columns[name] for name in _CENTER], axis=1).astype(np.float64),
        np.stack([columns[name] for name in _ROTATION], axis=1).reshape(-1, 3, 3).astype(float),
    )
