"""A dump of the types that Athena's DumpObjects writes, made by a real ROOT, is read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import uproot

from trkx.algorithms.athena_convert import write_athena
from trkx.io.athena_files import AthenaFiles
from trkx.io.athena_schema import FLAT, LISTS
from trkx.io.event_files import EventFiles

SCRIPT = Path(__file__).parents[2] / "examples" / "athena_true_types.py"
TYPES = {"i4": "int32_t", "u4": "uint32_t", "u8": "uint64_t", "f4": "float", "f8": "double"}
NESTED = "std::vector<std::vector<{}>>"


@pytest.fixture(scope="module")
def files(tmp_path_factory, root_python):
    """The same two events as uproot and as ROOT write them."""
    pytest.importorskip("pythia8mc")
    pytest.importorskip("pyhepmc")
    from trkx.algorithms.simulation import GunSettings, SimulationSettings, simulate

    folder = tmp_path_factory.mktemp("athena")
    gun = GunSettings(pdg=211, pt_min=1, pt_max=20, eta_min=-2, eta_max=2, multiplicity=10)
    simulate(
        SimulationSettings(process="gun", pileup=0, seed=600004, strips="stereo", gun=gun),
        folder / "sample",
        2,
    )
    with EventFiles.open(folder / "sample") as sample:
        ours = write_athena(sample, [0, 1], folder / "uproot.root", {"seed": 600004})
    true = folder / "Dump_GNN4Itk.root"
    done = subprocess.run(
        [root_python, "-W", "ignore", SCRIPT, ours, true],
        capture_output=True,
        text=True,
        timeout=600,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        check=False,
    )
    assert done.returncode == 0 and "2 events" in done.stdout, done.stderr[-3000:]
    return ours, true


def test_true_types(files):
    with uproot.open(files[1]) as file:
        found = {b.name: b.typename for b in file["GNN4ITk"].branches}
        made = file["provenance"]
    wanted = {name: TYPES[kind] for name, kind in FLAT[""].items()}
    for counter, names in FLAT.items():
        if counter:
            wanted[counter] = "int32_t"
            wanted |= {name: f"{TYPES[kind]}[]" for name, kind in names.items()}
    for names in LISTS.values():
        wanted |= {name: NESTED.format(TYPES.get(kind, kind)) for name, kind in names.items()}
    assert found == wanted | {"CLhardware": "std::vector<std::string>"}
    assert "600004" in str(made)


def test_both_are_read_alike(files):
    ours, true = (AthenaFiles.open(path) for path in files)
    assert ours.numbers == true.numbers == [0, 1]
    lists = [name for names in LISTS.values() for name in names]
    for number in ours.numbers:
        one, two = ours.read(number), true.read(number)
        for part in ("space_points", "measurements", "particles"):
            first, second = getattr(one, part), getattr(two, part)
            assert set(first) == set(second)
            for name in first:
                np.testing.assert_array_equal(first[name], second[name], name)
        np.testing.assert_array_equal(one.measurement_particle_rows, two.measurement_particle_rows)
        assert one.n_space_points > 50 and one.space_points["is_strip"].any()
        first, second = ours.read_dump(number, lists), true.read_dump(number, lists)
        for name in lists:
            np.testing.assert_array_equal(first[name].offsets, second[name].offsets, name)
            np.testing.assert_array_equal(first[name].content, second[name].content, name)


def test_truncated(files, tmp_path):
    from trkx.io.errors import TruncatedFileError

    path = tmp_path / "cut.root"
    path.write_bytes(files[1].read_bytes()[:-5000])
    with pytest.raises(TruncatedFileError, match="truncated"):
        AthenaFiles.open(path)
