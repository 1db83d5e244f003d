"""Files of exatrkx-service: three scaled columns, r, φ and z."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from trkx.io import errors
from trkx.io.lrt_files import LrtFiles, is_lrt

TEXT = "0.032,-0.5,-0.1728\n0.1160,0.25,0.0\n1.02,1.0,2.9555\n"


def write(folder, number=12, text=TEXT):
    path = folder / f"evt_{number}.csv"
    path.write_text(text)
    return path


def test_hits_in_millimetres(tmp_path):
    write(tmp_path)
    (tmp_path / "evt_14.csv.gz").write_bytes(gzip.compress(TEXT.replace("\n", "\r\n").encode()))
    assert is_lrt(tmp_path)
    files = LrtFiles.open(tmp_path)
    assert files.numbers == [12, 14] and files.available == (12, 15)
    event = files.read(12)
    points = event.space_points
    np.testing.assert_allclose(points["x"], [0, 116 / np.sqrt(2), -1020], atol=1e-4)
    np.testing.assert_allclose(points["y"], [-32, 116 / np.sqrt(2), 0], atol=1e-4)
    np.testing.assert_allclose(points["z"], [-172.8, 0, 2955.5], rtol=1e-6)
    assert len(np.unique(points["geometry_id"])) == 3 and event.n_measurements == 3
    assert np.array_equal(files.read(14).space_points["x"], points["x"])
    assert files.read(13).n_space_points == 0
    assert not (files.has_truth or files.acts_modules)
    other = LrtFiles.open(tmp_path / "evt_12.csv", scales=(3000.0, np.pi, 400.0)).read(12)
    np.testing.assert_allclose(other.space_points["r"], 3 * points["r"], rtol=1e-6)


def test_what_they_are_called(tmp_path):
    (tmp_path / "event000000001-hits.csv").write_text("hit_id\n")
    assert not is_lrt(tmp_path) and not is_lrt(tmp_path / "event000000001-hits.csv")
    assert is_lrt(tmp_path / "in_e1000.csv") and not is_lrt(tmp_path / "sample.root")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", errors.EmptyInputError, r"evt_12\.csv is empty"),
        ("1,2\n", errors.CsvError, "cannot be read"),
        ("0.1,0.2,0.3,0.4\n", errors.CsvError, "cannot be read"),
        ("r,phi,z\n" + TEXT, errors.CsvError, "invalid value 'r'"),
        (TEXT + "0.1,nan,0.3\n", errors.NonFiniteError, "1 of 4 values of phi .* in row 4"),
        (TEXT + "0.1,3.1,0.3\n", errors.EventContentError, r"row 4 .* no scaled .*phi 3\.1"),
        (TEXT + "-0.1,0.1,0.3\n", errors.EventContentError, "expected r ≥ 0"),
        ("PK\0\3", errors.CsvError, "not a CSV file"),
    ],
)
def test_bad_files(tmp_path, text, kind, message):
    write(tmp_path, text=text)
    with pytest.raises(kind, match=message):
        LrtFiles.open(tmp_path).read(12)


def test_truncated_and_repeated_files(tmp_path):
    path = tmp_path / "evt_1.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:-9])
    with pytest.raises(errors.TruncatedFileError, match=r"evt_1\.csv\.gz is a truncated"):
        LrtFiles.open(path).read(1)
    write(tmp_path, 1)
    with pytest.raises(errors.EventContentError, match="same event number 1"):
        LrtFiles.open(tmp_path)
    with pytest.raises(errors.EventRangeError, match="events 3:4 asked for"):
        LrtFiles.open(path).read(3)
    with pytest.raises(errors.InputFileError, match="no truth"):
        LrtFiles.open(path).read(1, truth=True)
