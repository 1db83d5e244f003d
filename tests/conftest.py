"""Fixtures that all tests share."""

import importlib.resources
import importlib.util
import os
from pathlib import Path

# One thread per library: the tests run several jobs on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

TINY_SEED = 600001  # below 900000: figures for the notes never come from test fixtures


@pytest.fixture(scope="session")
def tiny_sample(tmp_path_factory):
    """Three simulated ttbar events with five pile-up collisions and noise, as `trkx simulate`
    writes them."""
    from trkx.algorithms.cli.main import main

    folder = tmp_path_factory.mktemp("tiny_sample") / "sample"
    arguments = ["simulate", "--events", "3", "--pileup", "5", "--seed", str(TINY_SEED)]
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def trackml_toy():
    """The module that writes a tiny event of the TrackML challenge."""
    path = Path(__file__).parent / "trackml_toy.py"
    spec = importlib.util.spec_from_file_location("trkx_trackml_toy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def trackml_data():
    """Folder with the real events of the TrackML challenge."""
    folder = os.environ.get("TRKX_TRACKML_DIR", "")
    if not folder:
        pytest.skip("set TRKX_TRACKML_DIR to the folder with event000000001-hits.csv.gz")
    return Path(folder)


@pytest.fixture
def muon_chain(tmp_path):
    """Make a sequencer that simulates muons in memory and leaves on the whiteboard what the
    readers of files do: space points and their table, measurements, particles and truth maps."""
    import acts
    import acts.examples
    from acts.examples.simulation import (
        EtaConfig,
        MomentumConfig,
        ParticleConfig,
        addDigitization,
        addFatras,
        addParticleGun,
    )

    from trkx.algorithms.detector import buildGenericDetector, constantField
    from trkx.algorithms.helpers import addSpacePointTable

    unit, quiet = acts.UnitConstants, acts.logging.ERROR
    geometry, field = buildGenericDetector()[1], constantField()
    volumes = (7, 8, 9, 12, 13, 14, 16, 17, 18)
    config_file = importlib.resources.files("trkx.io") / "data" / "generic-digi-geometric.json"

    def make(events=1, muons=100, threads=1, momentum=(1.0, 20.0)):
        s = acts.examples.Sequencer(
            events=events,
            numThreads=threads,
            trackFpes=False,
            logLevel=quiet,
            outputDir=str(tmp_path),
        )
        random = acts.examples.RandomNumbers(seed=TINY_SEED)
        addParticleGun(
            s,
            MomentumConfig(*(p * unit.GeV for p in momentum), transverse=True),
            EtaConfig(-3.5, 3.5, uniform=True),
            ParticleConfig(muons, acts.PdgParticle.eMuon, randomizeCharge=True),
            vtxGen=acts.examples.GaussianVertexGenerator(
                stddev=acts.Vector4(0.0125 * unit.mm, 0.0125 * unit.mm, 55.5 * unit.mm, 0),
                mean=acts.Vector4(0, 0, 0, 0),
            ),
            rnd=random,
            logLevel=quiet,
        )
        addFatras(s, geometry, field, rnd=random, logLevel=quiet)
        addDigitization(
            s, geometry, field, digiConfigFile=str(config_file), rnd=random, logLevel=quiet
        )
        s.addAlgorithm(
            acts.examples.SpacePointMaker(
                level=quiet,
                trackingGeometry=geometry,
                inputMeasurements="measurement_subset",
                outputSpacePoints="spacepoints",
                geometrySelection=[acts.GeometryIdentifier(volume=v) for v in volumes],
            )
        )
        addSpacePointTable(s)
        return s

    make.geometry, make.field = geometry, field
    return make


@pytest.fixture
def whiteboard():
    """Make an algorithm that hands objects on the whiteboard to a function of the test.

    `whiteboard(see, tracks=("key", type))` calls `see(event number, tracks=object)`; what the
    function raises fails the job.
    """
    import acts
    import acts.examples

    class Inspector(acts.examples.IAlgorithm):
        def __init__(self, see, inputs):
            acts.examples.IAlgorithm.__init__(self, "Inspector", acts.logging.WARNING)
            self.see, self.handles = see, {}
            for name, (key, kind) in inputs.items():
                self.handles[name] = acts.examples.ReadDataHandle(self, kind, name)
                self.handles[name].initialize(key)

        def execute(self, context):
            found = {name: handle(context.eventStore) for name, handle in self.handles.items()}
            self.see(context.eventNumber, **found)
            return acts.examples.ProcessCode.SUCCESS

    return lambda see, **inputs: Inspector(see, inputs)
