"""TreeWriter writes lists under shared counters, and nothing if it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from trkx.io.errors import OutputExistsError
from trkx.io.tree_writer import ListBlock, TreeLayout, TreeWriter

LAYOUT = TreeLayout(
    "tree",
    "one entry per event",
    {"event_nr": np.uint32},
    {"n_tracks": {"chi2": np.float32, "fitted": np.bool_}, "n_states": {"id": np.uint64}},
)


def block(number, n_tracks, n_states):
    tracks = {"chi2": number + np.arange(n_tracks) / 4, "fitted": np.arange(n_tracks) % 2 == 0}
    states = {"id": np.arange(n_states) + 2**60}
    return {"event_nr": [number]}, {
        "n_tracks": ListBlock(np.array([n_tracks]), tracks),
        "n_states": ListBlock(np.array([n_states]), states),
    }


@pytest.mark.parametrize("n_events", [0, 1, 40])
def test_round_trip(tmp_path, n_events):
    writer = TreeWriter(tmp_path / "x.root", LAYOUT, provenance={"seed": 3})
    for number in range(n_events):
        writer.extend(*block(number, number % 3, number % 5))
    assert not (tmp_path / "x.root").exists()
    writer.close()
    with uproot.open(tmp_path / "x.root") as file:
        assert json.loads(str(file["provenance"])) == {"seed": 3}
        tree = file["tree"]
        assert tree.keys() == ["event_nr", "n_tracks", "chi2", "fitted", "n_states", "id"]
        assert tree.typenames()["fitted"] == "bool[]"
        read = tree.arrays()
    assert read["event_nr"].tolist() == list(range(n_events))
    for number in range(n_events):
        _, lists = block(number, number % 3, number % 5)
        assert read["n_tracks"][number] == number % 3
        assert read["chi2"][number].tolist() == lists["n_tracks"].columns["chi2"].tolist()
        assert read["id"][number].tolist() == lists["n_states"].columns["id"].tolist()


def test_values_beyond_single_precision(tmp_path):
    writer = TreeWriter(tmp_path / "x.root", LAYOUT)
    flat, lists = block(0, 3, 0)
    lists["n_tracks"].columns["chi2"][:] = [1e300, np.nan, -1e300]
    writer.extend(flat, lists)
    writer.close()
    with uproot.open(tmp_path / "x.root") as file:
        chi2 = file["tree"]["chi2"].array()[0].to_numpy()
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(chi2, [largest, np.nan, -largest])


def test_nothing_is_left_of_a_failed_job(tmp_path):
    writer = TreeWriter(tmp_path / "x.root", LAYOUT)
    writer.extend({"event_nr": [1, 2]}, block(0, 1, 1)[1])
    with pytest.raises(ValueError, match="same number of entries"):
        writer.close()
    assert list(tmp_path.iterdir()) == []
    writer = TreeWriter(tmp_path / "x.root", LAYOUT)
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_results_are_not_replaced(tmp_path):
    TreeWriter(tmp_path / "x.root", LAYOUT).close()
    with pytest.raises(OutputExistsError):
        TreeWriter(tmp_path / "x.root", LAYOUT)
    TreeWriter(tmp_path / "x.root", LAYOUT, force=True).close()
