"""Modules of the TrackML challenge on the GenericDetector, by their local frames."""

from __future__ import annotations

import dataclasses
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from trkx.algorithms.simulation.modules import module_table
from trkx.algorithms.trackml_measurements import hit_measurements
from trkx.algorithms.trackml_modules import match_modules
from trkx.io.errors import BranchError, BranchTypeError, GeometryIdError, InputFileError
from trkx.io.trackml_clusters import cluster_shapes
from trkx.io.trackml_detectors import TrackMLModules, read_detectors
from trkx.io.trackml_files import TrackMLFiles

ENDCAPS = (7, 9, 12, 14, 16, 18)


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("TRKX_TRACKML_DIR")
    if not folder:
        pytest.skip("TRKX_TRACKML_DIR does not name a folder with events of the challenge")
    return Path(folder)


def made_up(seed: int = 1) -> tuple[TrackMLModules, np.ndarray]:
    """The detector's own frames, rounded, in another order, with endcaps numbered anew."""
    t = module_table()
    rng = np.random.default_rng(seed)
    row = rng.permutation(len(t.geometry_id))
    layer = (t.layer_key & np.uint64(0xFFF)).astype(np.int64)
    number = ((t.geometry_id >> np.uint64(8)) & np.uint64(0xFFFFF)).astype(np.int64)
    for key in np.unique(t.layer_key[np.isin(t.volume, ENDCAPS)]):
        of_layer = np.flatnonzero(t.layer_key == key)
        number[of_layer] = rng.permutation(number[of_layer])
    axes = np.stack([t.axis_u, t.axis_v, np.cross(t.axis_u, t.axis_v)], axis=2)
    modules = TrackMLModules(
        np.column_stack([t.volume, layer, number])[row],
        np.round(t.center, 3)[row],
        np.round(axes, 6)[row],
    )
    return modules, row


def test_all_modules_are_matched_one_to_one_whatever_their_numbers_and_order() -> None:
    modules, row = made_up()
    found = match_modules(modules)
    np.testing.assert_array_equal(found.row, row)
    assert len(found.row) == 18728
    barrel = ~np.isin(modules.ids[:, 0], ENDCAPS)
    assert not found.renumbered[barrel].any()
    assert found.renumbered[~barrel].mean() > 0.9
    hits = np.array([5, 5, 700])
    np.testing.assert_array_equal(found.rows_of(*modules.ids[hits].T), row[hits])


def test_a_hit_on_an_unknown_module_is_named() -> None:
    found = match_modules(made_up()[0])
    with pytest.raises(GeometryIdError, match="volume_id 8, layer_id 2, module_id 9999"):
        found.rows_of(np.array([8]), np.array([2]), np.array([9999]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fewer", "18727 modules, the detector 18728"),
        ("moved", "no module of the detector at their centre"),
        ("twice", "share a module"),
        ("turned", "other axes"),
        ("layer", "another volume or layer"),
    ],
)
def test_what_does_not_match_one_to_one_is_an_error(change: str, message: str) -> None:
    modules, _ = made_up()
    ids, center, rotation = modules.ids.copy(), modules.center.copy(), modules.rotation.copy()
    if change == "fewer":
        ids, center, rotation = ids[1:], center[1:], rotation[1:]
    elif change == "moved":
        center[3] += 0.5
    elif change == "twice":
        center[3], rotation[3] = center[4], rotation[4]
    elif change == "turned":
        rotation[3] = -rotation[3]
    else:
        ids[3, 1] += 2
    with pytest.raises(GeometryIdError, match=message):
        match_modules(dataclasses.replace(modules, ids=ids, center=center, rotation=rotation))


def test_detectors_are_read_from_plain_and_compressed_files(tmp_path: Path) -> None:
    names = ["volume_id", "layer_id", "module_id", "cx", "cy", "cz"]
    names += [f"rot_{a}{b}" for a in "xyz" for b in "uvw"] + ["pitch_u"]
    text = ",".join(names) + "\n7,2,1,-65.8,-5.2,-1502.5,0,1,0,1,0,0,0,0,-1,0.05\n"
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "detectors.csv.gz").write_bytes(gzip.compress(text.encode()))
    for path in (tmp_path / "plain.csv", tmp_path):
        modules = read_detectors(path)
        assert modules.ids.tolist() == [[7, 2, 1]]
        assert modules.center.tolist() == [[-65.8, -5.2, -1502.5]]
        assert modules.rotation[0, :, 0].tolist() == [0, 1, 0]
    (tmp_path / "plain.csv").write_text(text.replace("rot_zw", "zw"))
    with pytest.raises(BranchError, match="'rot_zw' not in"):
        read_detectors(tmp_path / "plain.csv")
    (tmp_path / "plain.csv").write_text(text.replace("-65.8", "left"))
    with pytest.raises(BranchTypeError, match="'cx' of"):
        read_detectors(tmp_path / "plain.csv")
    with pytest.raises(InputFileError, match="comes with the events"):
        read_detectors(tmp_path / "nowhere")


def test_real_hits_lie_on_the_modules_that_their_ids_name(real_data: Path) -> None:
    matching = match_modules(read_detectors(real_data))
    assert len(matching.row) == 18728
    assert not matching.renumbered[~np.isin(matching.ids[:, 0], ENDCAPS)].any()
    event = TrackMLFiles.open(real_data).read(1, parts=())
    row = matching.rows_of(*(event.hits[n] for n in ("volume_id", "layer_id", "module_id")))
    t = module_table()
    offset = np.stack([event.hits[axis] for axis in "xyz"], axis=1) - t.center[row]
    height = (offset * np.cross(t.axis_u, t.axis_v)[row]).sum(axis=1)
    assert np.abs(height).max() < 0.01
    measured = hit_measurements(event, cluster_shapes(event.hits["hit_id"], None))
    np.testing.assert_array_equal(measured.module, row)
