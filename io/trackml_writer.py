"""Events of the TrackML challenge to its own files."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from trkx.io.trackml_event import TrackMLEvent

__all__ = ["TrackMLWriter", "csv_bytes", "write_csv"]

_GZIP_LEVEL = 6
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # equal events make equal archives


def csv_bytes(columns: Mapping[str, np.ndarray]) -> bytes:
    """Format columns as comma-separated values under a header.

    Numbers are written with as many digits as bring back the very same value, in the notation of
    the challenge's own files: `600` and `6.8e-05`.
    """
    buffer = io.BytesIO()
    # Arrow puts quotes around names in its own header.
    buffer.write((",".join(columns) + "\n").encode())
    table = pa.table({name: pa.array(_as_text(values)) for name, values in columns.items()})
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    return buffer.getvalue()


def _as_text(values: np.ndarray) -> np.ndarray | list[str]:
    """Floats as text, for Arrow writes 6.8e-05 as 0.000068; other columns as they are."""
    if values.dtype.kind != "f":
        return values
    if values.dtype != np.float64:
        return values.astype(str)  # as many digits as this type needs
    return [text.removesuffix(".0") for text in map(repr, values.tolist())]


def write_csv(path: Path, columns: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write columns as a CSV file, with `compressed` as gzip, without a time in it."""
    data = csv_bytes(columns)
    path.write_bytes(gzip.compress(data, _GZIP_LEVEL, mtime=0) if compressed else data)


class TrackMLWriter:
    """Writes the files of events into a folder or a zip archive.

    Args:
        target: a folder that is there, or the archive.
        compressed: write `.csv.gz` into the folder.
        archive: `target` is a zip archive to be written.
    """

    def __init__(self, target: Path, compressed: bool = False, archive: bool = False) -> None:
        self._folder = target
        self._compressed = compressed
        self._archive: zipfile.ZipFile | None = None
        if archive:
            self._archive = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)

    def write(self, event: TrackMLEvent) -> None:
        """Write the parts that an event has, each with the columns it has."""
        for kind, columns in event.parts.items():
            part = event.truth_name if kind == "truth" else kind
            name = f"event{event.number:09d}-{part}.csv"
            if self._archive is not None:
                entry = zipfile.ZipInfo(name, _ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                self._archive.writestr(entry, csv_bytes(columns))
            else:
                suffix = ".gz" if self._compressed else ""
                write_csv(self._folder / (name + suffix), columns, self._compressed)

    def close(self) -> None:
        """Finish the archive."""
        if self._archive is not None:
            self._archive.close()
