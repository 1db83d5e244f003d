"""Events of exatrkx-service: files of three scaled columns, r, φ and z, without a header."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from trkx.io.csv_table import parse_csv, read_bytes, unzip_bytes
from trkx.io.errors import EventContentError, InputFileError, NonFiniteError
from trkx.io.event import Event
from trkx.io.input_files import PathLike, expand_inputs
from trkx.io.numbered_events import NumberedEvents
from trkx.io.trackml_files import is_trackml

__all__ = ["SCALES", "LrtFiles", "is_lrt"]

SCALES = (1000.0, math.pi, 1000.0)
"""What r (mm), φ (rad) and z (mm) are divided by in the files."""

_COLUMNS = ("r", "phi", "z")
_NAME = re.compile(r"^[A-Za-z_\-]*(\d*)\.csv(?:\.gz)?$")


def is_lrt(path: PathLike) -> bool:
    """Whether `path` names such files, by their names: CSV files that are not TrackML's, or a
    folder with nothing but these."""
    path = Path(path).expanduser()
    if path.is_dir():
        names = [item.name for item in path.iterdir() if not item.name.startswith(".")]
        return bool(names) and all(map(_NAME.match, names)) and not is_trackml(path)
    return bool(_NAME.match(path.name)) and not is_trackml(path)


class LrtFiles(NumberedEvents):
    """Events of exatrkx-service behind the interface of `EventFiles`: one file, one event.

    An event's number is that at the end of the file's name (`evt_12.csv`), or 0. There are no
    modules, no clusters and no truth: each hit is put on a module of its own, of which no detector
    knows, so that finders that need nothing but positions can run. Measurements are (r φ, z) with
    a variance of 1 mm², as nothing is known of it; they are not for fits.

    Use `LrtFiles.open`.

    References:
        https://github.com/The-ExaTrkX-Project/exatrkx-service
    """

    def __init__(self, files: Mapping[int, Path], scales: tuple[float, float, float]) -> None:
        self._files = dict(files)
        self._scales = scales
        self.numbers: list[int] = sorted(files)

    @classmethod
    def open(
        cls,
        inputs: PathLike | Sequence[PathLike],
        scales: tuple[float, float, float] = SCALES,
    ) -> LrtFiles:
        """Find the files.

        Args:
            inputs: folders, `.csv` or `.csv.gz` files, glob patterns, or a list of these.
            scales: what r, φ and z are divided by, in mm, rad and mm.

        Raises:
            InputFileError: there is no file.
            EventContentError: two files have the same number.
        """
        found: dict[int, Path] = {}
        for path in expand_inputs(inputs):
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            for file in files:
                match = _NAME.match(file.name)
                if match is None:
                    continue
                number = int(match[1] or 0)
                if number in found:
                    raise EventContentError(
                        f"{found[number]} and {file} have the same event number {number}; name "
                        "one of them"
                    )
                found[number] = file
        if not found:
            raise InputFileError(f"no CSV file in {inputs}")
        return cls(found, scales)

    @property
    def label(self) -> str:
        """The folder of the first file."""
        return str(self.paths[0].parent)

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self._files[number] for number in self.numbers]

    @property
    def has_truth(self) -> bool:
        """There is no truth."""
        return False

    @property
    def has_measurements(self) -> bool:
        """There are: one per hit."""
        return True

    @property
    def has_hits(self) -> bool:
        """There are no simulated hits."""
        return False

    @property
    def has_strips(self) -> bool:
        """All hits are space points of one measurement."""
        return False

    @property
    def acts_modules(self) -> bool:
        """There are no modules."""
        return False

    def read(
        self, number: int, truth: bool | None = None, columns: Collection[str] | None = None
    ) -> Event:
        """Read one event; a number that no file has is an event without hits.

        Raises:
            EventRangeError: the number is not between the first and the last one.
            InputFileError: truth is asked for.
            InputError: the file is damaged; see `trkx.io.csv_table`.
            NonFiniteError, EventContentError: values are not finite, or not scaled.
        """
        self.check_range(number, number + 1)
        if truth:
            raise InputFileError(f"no truth in {self.paths[0]}; read without truth")
        path = self._files.get(number)
        r, phi, z = (np.zeros(0),) * 3 if path is None else self._positions(path)
        n = len(r)
        # Two hits of one module are never joined, so that each has its own.
        geometry_id = np.arange(1, n + 1, dtype=np.uint64) << np.uint64(8)
        index = np.arange(n, dtype=np.uint64)
        one = np.ones(n, dtype=np.float32)
        return Event(
            number,
            {
                "measurement_id": index,
                "geometry_id": geometry_id,
                "x": (r * np.cos(phi)).astype(np.float32),
                "y": (r * np.sin(phi)).astype(np.float32),
                "z": z.astype(np.float32),
                "r": r.astype(np.float32),
            },
            {
                "measurement_id": index,
                "geometry_id": geometry_id,
                "rec_loc0": (r * phi).astype(np.float32),
                "rec_loc1": z.astype(np.float32),
                "var_loc0": one,
                "var_loc1": one,
            },
        )

    def read_hits(self, number: int) -> dict[str, np.ndarray]:
        """Raise InputFileError: there are no simulated hits."""
        raise InputFileError(f"no simulated hits in {self.paths[0]}; do not ask for them")

    def _positions(self, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """r, φ and z in mm and rad, shape (N,) each."""
        data = unzip_bytes(read_bytes(path), str(path))
        columns = parse_csv(data, str(path), dict.fromkeys(_COLUMNS, np.float64), names=_COLUMNS)
        for name, values in columns.items():
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise NonFiniteError(
                    f"{len(bad)} of {len(values)} values of {name} are not finite in {path}; the "
                    f"first is {values[bad[0]]} in row {bad[0] + 1}. Remove these rows."
                )
        r, phi, z = (values * s for values, s in zip(columns.values(), self._scales, strict=True))
        bad = np.flatnonzero((r < 0) | (np.abs(phi) > np.pi * (1 + 1e-6)))
        if len(bad):
            shown = ", ".join(f"{name} {values[bad[0]]:g}" for name, values in columns.items())
            raise EventContentError(
                f"row {bad[0] + 1} of {path} is no scaled (r, φ, z): {shown}; expected r ≥ 0 and "
                f"φ from -1 to 1. Columns are r, φ and z over {self._scales[0]:g} mm, "
                f"{self._scales[1]:.4g} and {self._scales[2]:g} mm."
            )
        return r, phi, z
