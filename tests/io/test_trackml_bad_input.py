"""Bad files of the TrackML challenge: each gives an error that says what, where and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from trkx.io import errors
from trkx.io.trackml_event import PARTS
from trkx.io.trackml_files import TrackMLFiles


def read(folder, number=7):
    return TrackMLFiles.open(folder).read(number)


def with_row(text, row, index=1):
    lines = text.splitlines()
    lines[index] = row
    return "\n".join(lines) + "\n"


CASES = {
    "column missing": (
        "hits",
        lambda t: t.replace("volume_id", "volume"),
        errors.ColumnError,
        r"column 'volume_id' not in .*event000000007-hits\.csv; nearest: 'volume'",
    ),
    "column twice": (
        "cells",
        lambda t: t.replace("ch1", "ch0", 1),
        errors.ColumnError,
        r"column 'ch0' is there twice in .*cells\.csv",
    ),
    "no header": (
        "hits",
        lambda t: t.partition("\n")[2],
        errors.ColumnError,
        r"column 'hit_id' not in .*Its first line is '3,-65\.5.*expected a header",
    ),
    "row too short": (
        "hits",
        lambda t: with_row(t, "3,1.0,2.0"),
        errors.CsvError,
        r"hits\.csv cannot be read .*Expected 7 columns, got 3.*correct or remove",
    ),
    "text for a number": (
        "cells",
        lambda t: with_row(t, "3,ten,20,0.5", 3),
        errors.CsvError,
        r"cells\.csv cannot be read .*column 2: .*int64: invalid value 'ten'",
    ),
    "fraction for an id": (
        "truth",
        lambda t: with_row(t, "3.5,0,0,0,0,0,0,0,0"),
        errors.CsvError,
        r"truth\.csv cannot be read .*invalid value '3\.5'",
    ),
    "id missing": (
        "hits",
        lambda t: with_row(t, "NaN,1,2,3,7,2,1", 2),
        errors.CsvError,
        r"1 of 4 values of column 'hit_id' are missing or NaN in .*data row 2",
    ),
    "position NaN": (
        "hits",
        lambda t: with_row(t, "3,1,nan,3,7,2,1"),
        errors.NonFiniteError,
        r"1 of 4 values of column 'y' are not finite in .*hits\.csv.*data row 1",
    ),
    "charge infinite": (
        "cells",
        lambda t: with_row(t, "3,1,2,inf"),
        errors.NonFiniteError,
        r"column 'value' are not finite in .*cells\.csv; the first is inf",
    ),
    "true momentum NaN": (
        "truth",
        lambda t: t.replace("0.0625", "nan"),
        errors.NonFiniteError,
        r"column 'tpy' of the truth of event 7 .* the first is hit_id 5",
    ),
    "hit twice": (
        "hits",
        lambda t: t.replace("\n9,", "\n5,"),
        errors.EventContentError,
        r"hit_id 5 is in data rows 2 and 4 of .*hits\.csv, 1 repeated",
    ),
    "truth twice": (
        "truth",
        lambda t: t.replace("\n9,", "\n5,"),
        errors.EventContentError,
        r"hit_id 5 is in data rows 2 and 4 of .*truth\.csv",
    ),
    "particle twice": (
        "particles",
        lambda t: t.replace("4503805785800704", "4503668346847232"),
        errors.EventContentError,
        r"particle_id 4503668346847232 is in data rows 1 and 2",
    ),
    "negative id": (
        "hits",
        lambda t: t.replace(",8,6,20", ",8,-6,20"),
        errors.EventContentError,
        r"layer_id -6 in data row 4 of .* is out of range",
    ),
    "cell of another hit": (
        "cells",
        lambda t: t.replace("5,100", "8,100"),
        errors.EventContentError,
        r"1 of 6 rows of the cells of event 7 .* hit_id 8 .*\(hits have 3 to 9\)",
    ),
    "truth of another hit": (
        "truth",
        lambda t: t.replace("\n9,", "\n8,"),
        errors.EventContentError,
        r"1 of 4 rows of the truth of event 7 .*same event",
    ),
    "particle not there": (
        "particles",
        lambda t: t.replace("4503668346847232", "1"),
        errors.EventContentError,
        r"1 particles of the truth .* particle_id 4503668346847232",
    ),
    "truth of another event": (
        "truth",
        lambda t: t.replace(",32.26,", ",-232.26,").replace(",72.51,", ",-72.51,"),
        errors.EventContentError,
        r"true positions of event 7 .* 145 mm from the hits \(median\)",
    ),
    "events mixed": (
        "particles",
        lambda t: with_row(t.replace("\n", ",7\n").replace(",7", ",event_id", 1), "1" + ",8" * 10),
        errors.EventContentError,
        r"event_id is 8 in row 0 of .*particles\.csv, expected 7",
    ),
    "empty": ("cells", lambda t: "\r\n", errors.EmptyInputError, r"cells\.csv is empty"),
    "not text": ("hits", lambda t: "PK\0\1", errors.CsvError, r"is not a CSV file: it starts"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_file(tmp_path, trackml_toy, case):
    part, spoil, kind, message = CASES[case]
    folder = trackml_toy.write_folder(tmp_path, **{part: spoil(trackml_toy.FILES[part])})
    with pytest.raises(kind, match=message):
        read(folder)


def test_truncated_files(tmp_path, trackml_toy):
    folder = trackml_toy.write_folder(tmp_path / "gz", zipped=True)
    path = folder / "event000000007-cells.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(errors.TruncatedFileError, match=r"cells\.csv\.gz is a truncated"):
        read(folder)
    archive = trackml_toy.write_archive(tmp_path / "a.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[:-30])
    with pytest.raises(errors.TruncatedFileError, match=r"a\.zip is not a zip archive, or a trunc"):
        TrackMLFiles.open(archive)
    at = content.index(b"event000000007-cells.csv") + 60
    archive.write_bytes(content[:at] + b"\xff\xff\xff" + content[at + 3 :])
    with pytest.raises(errors.TruncatedFileError, match=r"cells\.csv in .*a\.zip is damaged"):
        read(archive)
    archive.write_bytes(b"no zip")
    with pytest.raises(errors.TruncatedFileError, match="not a zip archive"):
        TrackMLFiles.open(archive)


def test_nothing_to_read(tmp_path, trackml_toy):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(errors.InputFileError, match=r"no TrackML event in .* found notes\.txt"):
        TrackMLFiles.open(tmp_path)
    with pytest.raises(errors.InputFileError, match="no such file or folder"):
        TrackMLFiles.open(tmp_path / "nowhere")
    with pytest.raises(errors.InputFileError, match="no file of the TrackML challenge"):
        TrackMLFiles.open(tmp_path / "notes.txt")
    with pytest.raises(errors.InputFileError, match="no such file"):
        TrackMLFiles.open(tmp_path / "train.zip")
    with pytest.raises(errors.InputFileError, match="no input given"):
        TrackMLFiles.open([])
    empty = trackml_toy.write_archive(tmp_path / "empty.zip", numbers=())
    with pytest.raises(errors.InputFileError, match=r"no TrackML event in .*empty\.zip"):
        TrackMLFiles.open(empty)


def test_archives_in_an_archive(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("train_1.zip", b"PK")
    with pytest.raises(errors.InputFileError, match=r"found train_1\.zip; unpack the archives"):
        TrackMLFiles.open(tmp_path / "all.zip")


def test_event_numbers_that_do_not_match(tmp_path, trackml_toy):
    folder = trackml_toy.write_folder(tmp_path, cells=None)
    trackml_toy.write_folder(tmp_path, number=8, hits=None, truth=None, particles=None)
    with pytest.raises(errors.EventContentError, match=r"event 8 has no hits: .*000008-cells"):
        TrackMLFiles.open(folder)
    trackml_toy.write_folder(tmp_path, number=8)
    with pytest.raises(errors.EventRangeError, match=r"no event 9 in .*it has events 7, 8"):
        TrackMLFiles.open(folder).read(9)


def test_part_that_is_there_twice(tmp_path, trackml_toy):
    folder = trackml_toy.write_folder(tmp_path)
    trackml_toy.write_folder(tmp_path, zipped=True, hits=None, cells=None, particles=None)
    with pytest.raises(errors.EventContentError, match=r"the truth of event 7 are in .*csv and in"):
        TrackMLFiles.open(folder)


def write_root(path, **trees):
    with uproot.recreate(path) as file:
        for name, columns in trees.items():
            file.mktree(name, {n: c.dtype for n, c in columns.items()}).extend(columns)
    return path


def root_hits(*event_id):
    n = len(event_id)
    whole = {name: np.arange(n, dtype=np.int32) for name in ("hit_id", *PARTS["hits"].required[4:])}
    return {
        "event_id": np.array(event_id, np.int32),
        **whole,
        **{axis: np.linspace(1, 2, n, dtype=np.float32) for axis in "xyz"},
    }


def test_root_files_of_others(tmp_path):
    path = write_root(tmp_path / "a.root", hits=root_hits(4, 4, 9))
    files = TrackMLFiles.open(path)
    assert files.numbers == [4, 9] and files.read(4).parts.keys() == {"hits"}
    assert files.read(4).hits["x"].dtype == np.float64
    with pytest.raises(errors.EventContentError, match="event 4 appears twice in tree 'hits'"):
        TrackMLFiles.open(write_root(tmp_path / "b.root", hits=root_hits(4, 9, 4)))
    without = {name: c for name, c in root_hits(4).items() if name != "layer_id"}
    with pytest.raises(errors.BranchError, match="branch 'layer_id' not in tree 'hits'"):
        TrackMLFiles.open(write_root(tmp_path / "c.root", hits=without))
    with pytest.raises(errors.TreeError, match="tree 'hits' not in"):
        TrackMLFiles.open(write_root(tmp_path / "d.root", other=root_hits(4)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.TruncatedFileError, match=r"a\.root is truncated"):
        TrackMLFiles.open(path)
